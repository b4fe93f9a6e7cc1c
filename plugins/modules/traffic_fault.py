#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_fault
short_description: Delay or abort requests, for a limited time
description:
  - Injects a delay, an abort or both into the requests of a route. Faults of somebody else on other routes stay.
  - With O(expires) a fault is over some day. M(meshops.istio.traffic_info) reports it then, and the next traffic
    task on that host removes it. Nothing removes it by itself.
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
  delay:
    description: Hold requests back.
    type: dict
    suboptions:
      duration:
        description: How long, as C(2s) or C(250ms).
        type: str
        required: true
      percent:
        description: Percentage of the requests.
        type: float
        default: 100
  abort:
    description: Answer requests with an error.
    type: dict
    suboptions:
      status:
        description: Status of HTTP from 200 to 599, or the name of a code of gRPC such as C(UNAVAILABLE).
        type: str
        required: true
      percent:
        description: Percentage of the requests.
        type: float
        default: 100
  expires:
    description:
      - When the fault is over, as C(2026-12-31T18:00:00Z), or how long it lasts, as C(30m).
      - A second run with the same length does not make it longer.
    type: str
    default: ""
notes:
  - Timeouts and retries of a route do not work while it has a fault.
  - Faults are written to VirtualServices, as the Gateway API has none.
seealso:
  - module: meshops.istio.traffic_info
"""

EXAMPLES = r"""
- name: Delay a tenth of the requests to ratings by 2 seconds, for half an hour
  meshops.istio.traffic_fault:
    host: ratings
    namespace: bookinfo
    delay:
      duration: 2s
      percent: 10
    expires: 30m

- name: End it
  meshops.istio.traffic_fault:
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.fault import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
