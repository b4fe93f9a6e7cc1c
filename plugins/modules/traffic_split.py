#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_split
short_description: Split the requests to a service by weights
description:
  - Sets the weights of the subsets of one host, or of several Services, in its default route of HTTP (gRPC and
    WebSocket included), TCP or TLS, in a C(VirtualService) or in an object of the Gateway API.
  - Only weights change. Everything else in the object stays as it is, whoever wrote it.
  - When nothing routes the host yet, a C(VirtualService), and if there is none a C(DestinationRule), is created for
    it. Subsets are in the proxies before the route that uses them.
version_added: 0.1.0
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
  weights:
    description:
      - Weight of each subset (or Service), whole numbers from 0. Only their ratio counts. Needed for O(state=present).
      - This is the whole split. A destination of the Service that is not named here gets weight 0 and keeps its place.
      - A subset that the C(DestinationRule) does not have is refused, unless there is no C(DestinationRule) or this
        collection created it. Then the subset is added, for pods whose label C(version) is its name.
    type: dict
  api:
    description:
      - Consider only the objects of Istio or only those of the Gateway API, and create one of them.
      - An object of the Gateway API splits between Services, each written as C(name:port) where a new one is added.
    type: str
    choices: [istio, gateway]
notes:
  - A change of the weights of TCP and TLS routes concerns new connections only, and is not read from the proxies.
seealso:
  - module: meshops.istio.traffic_match
  - module: meshops.istio.traffic_probe
  - module: meshops.istio.traffic_rollback
  - module: meshops.istio.traffic_subset
"""

EXAMPLES = r"""
- name: Send half of the requests to v3
  meshops.istio.traffic_split:
    host: reviews
    namespace: bookinfo
    weights:
      v1: 50
      v3: 50

- name: Give a name to the state before, and move everything
  meshops.istio.traffic_split:
    host: reviews
    namespace: bookinfo
    weights:
      v3: 1
    point: before-v3

- name: Choose the route where several fit
  meshops.istio.traffic_split:
    host: reviews.bookinfo
    virtual_service: bookinfo/reviews
    route: http[0]
    weights:
      v1: 9
      v3: 1

- name: Give the route back as it was
  meshops.istio.traffic_split:
    host: reviews
    namespace: bookinfo
    state: absent
"""

RETURN = r"""
effective:
  description: Share of each destination in percent.
  returned: success
  type: dict
  sample: {v1: 50, v3: 50}
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.split import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
