#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_rollback
short_description: Undo traffic changes
description:
  - Takes the object with the routes of a host back to what it was before its last changes, or at a named point, by
    the journal that the traffic modules keep in it.
  - An undo is recorded as well. Another one goes one step further back.
  - A later edit of somebody else is not overwritten, unless O(force) is set.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
  - meshops.istio.traffic
  - meshops.istio.traffic.ready
  - meshops.istio.traffic.write
options:
  virtual_service:
    description: Name, or C(namespace/name), of the object, where several route to the Service.
    type: str
  steps:
    description: How many changes to undo. 1 when neither this nor O(point) is set.
    type: int
  point:
    description: Name of the state to go back to, as an earlier task gave it. Nothing happens when it is in effect.
    type: str
notes:
  - Undoing by O(steps) is not idempotent, each run undoes further. O(point) is.
  - Subsets of DestinationRules and Gateways have no journal.
seealso:
  - module: meshops.istio.traffic_info
"""

EXAMPLES = r"""
- name: Undo the last change of reviews
  meshops.istio.traffic_rollback:
    host: reviews
    namespace: bookinfo

- name: Go back to a state that has a name
  meshops.istio.traffic_rollback:
    host: reviews
    namespace: bookinfo
    point: before-v3
"""

RETURN = r"""
before:
  description: The object with the route before, empty when it did not exist.
  returned: success
  type: dict
after:
  description:
    - The object after, empty when it does not exist any more. In check mode as the API server would have it.
  returned: success
  type: dict
steps:
  description: The writes, in their order.
  returned: success, and failure after a write
  type: list
  elements: str
  sample: ["replace VirtualService bookinfo/reviews"]
proof:
  description: What the proxies say of it.
  returned: when something was written and O(wait) is true
  type: dict
  contains:
    proxies:
      description: How many proxies have it. With 0 a warning says why.
      type: int
    seconds:
      description: How long that took.
      type: float
    lagging:
      description: Proxies that do not have it. Always empty, as the task fails otherwise.
      type: list
      elements: str
  sample: {proxies: 6, seconds: 0.31, lagging: []}
"""

from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.rollback import ARGS, RULES, core


def main() -> None:
    run(ARGS, core, **RULES)


if __name__ == "__main__":
    main()
