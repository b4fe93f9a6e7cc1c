#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_policy
short_description: Set timeout and retries of a route
description:
  - Sets the timeout and the retries of a route. What is not named stays as it is.
  - With O(state=absent) they are again what they were before this module set them.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
  - meshops.istio.traffic
  - meshops.istio.traffic.route
  - meshops.istio.traffic.state
  - meshops.istio.traffic.write
  - meshops.istio.traffic.point
options:
  timeout:
    description: How long a request may take, retries included, as C(2s). C(0s) is no limit, as without the field.
    type: str
  retries:
    description: How requests that failed are tried again.
    type: dict
    suboptions:
      attempts:
        description: How often, V(0) for never. Needed when the route has none yet.
        type: int
      per_try_timeout:
        description: How long each try may take, as C(500ms).
        type: str
      retry_on:
        description: What counts as failed, in the words of Envoy, such as C(5xx) or C(connect-failure).
        type: list
        elements: str
notes:
  - Written to VirtualServices, not to objects of the Gateway API.
seealso:
  - module: meshops.istio.traffic_subset
"""

EXAMPLES = r"""
- name: Give up after 3 seconds, after 2 retries
  meshops.istio.traffic_policy:
    host: ratings
    namespace: bookinfo
    timeout: 3s
    retries:
      attempts: 2
      per_try_timeout: 1s
      retry_on: [5xx, reset, connect-failure]

- name: As it was before
  meshops.istio.traffic_policy:
    host: ratings
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.policy import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
