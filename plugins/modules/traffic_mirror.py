#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_mirror
short_description: Copy requests to another destination
description:
  - Sends copies of a percentage of the requests of a route to a subset or Service. The answers to the copies are
    dropped.
  - Mirrors of somebody else on the same route stay.
  - Requests that write something do so twice. The copies have C(-shadow) behind the name of their host.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
  - meshops.istio.traffic
  - meshops.istio.traffic.route
  - meshops.istio.traffic.between
  - meshops.istio.traffic.state
  - meshops.istio.traffic.ready
  - meshops.istio.traffic.write
  - meshops.istio.traffic.point
options:
  destination:
    description:
      - Subset (or Service) that gets the copies. Needed for O(state=present).
      - With O(state=absent) the mirror to it is removed, all of ours when unset.
    type: str
  percent:
    description: Percentage of the requests that is copied. Needed for O(state=present), as Istio's own default is all.
    type: float
notes:
  - Mirrors are written to VirtualServices, not to objects of the Gateway API.
seealso:
  - module: meshops.istio.traffic_split
"""

EXAMPLES = r"""
- name: Copy a tenth of the requests to v3
  meshops.istio.traffic_mirror:
    host: reviews
    namespace: bookinfo
    destination: v3
    percent: 10

- name: Stop copying
  meshops.istio.traffic_mirror:
    host: reviews
    namespace: bookinfo
    state: absent
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.mirror import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
