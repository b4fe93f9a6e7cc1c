#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_split
short_description: Split the requests to a service between its subsets
description:
  - Sets the weights of the subsets of one host in its default HTTP route.
  - Only weights change. Everything else in the C(VirtualService) stays as it is, whoever wrote it.
  - When nothing routes the host yet, a C(VirtualService), and if there is none a C(DestinationRule), is created for it.
    Subsets are in place before the route that uses them.
version_added: 0.1.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
options:
  host:
    description:
      - The Service, as C(reviews), C(reviews.bookinfo) or C(reviews.bookinfo.svc.cluster.local).
    type: str
    required: true
  namespace:
    description: Namespace of the Service. Needed unless O(host) has it.
    type: str
  weights:
    description:
      - Weight of each subset, whole numbers from 0. Only their ratio counts.
      - This is the whole split. A destination of the Service that is not named here gets weight 0 and keeps its place.
      - A subset that the C(DestinationRule) does not have is refused, unless there is no C(DestinationRule) or this
        module created it. Then the subset is added, for pods whose label C(version) is its name.
    type: dict
    required: true
  virtual_service:
    description:
      - Name, or C(namespace/name), of the C(VirtualService) to edit.
      - Needed when several have a default route to the Service.
      - Also the name of the one that is created. The name of the Service when unset.
    type: str
  route:
    description:
      - Which HTTP route of the C(VirtualService) to edit, by its name or by its position as C(http[0]).
      - V(all) edits every default route, that is one without match conditions.
      - When unset, there has to be exactly one default route to the Service.
    type: str
  require_ready:
    description:
      - Refuse to send requests to a subset that has no ready pod.
      - Services without selector are not checked.
    type: bool
    default: true
  wait:
    description:
      - After a write, wait until the proxies have the routes. They are read from the proxies' own configuration,
        by running C(pilot-agent) in their containers, which needs the right to create C(pods/exec).
      - The proxies are those of all running, ready pods that see the C(VirtualService), the sidecars as well as the
        pods of its gateways. A sidecar that has no route for the host at all is not waited for.
      - Missing rights give a warning. Routes of TCP and TLS are not read.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait for the proxies.
      - The task fails when they have passed. What was written stays.
    type: float
    default: 30
  cluster_domain:
    description: DNS domain of the cluster, as in the full names of Services.
    type: str
    default: cluster.local
notes:
  - In check mode nothing is waited for.
  - In check mode a Service that does not exist gives a warning instead of a failure, an earlier task may be to make it.
seealso:
  - module: meshops.istio.traffic_probe
"""

EXAMPLES = r"""
- name: Send half of the requests to v3
  meshops.istio.traffic_split:
    host: reviews
    namespace: bookinfo
    weights:
      v1: 50
      v3: 50

- name: Move the default route of the gateway, not the one of the mesh
  meshops.istio.traffic_split:
    host: shop.sales
    virtual_service: ingress/shop
    route: main
    weights:
      stable: 9
      canary: 1
"""

RETURN = r"""
effective:
  description: Share of each subset in percent.
  returned: success
  type: dict
  sample: {v1: 50, v3: 50}
before:
  description: The C(VirtualService) before, empty when it did not exist.
  returned: success
  type: dict
after:
  description: The C(VirtualService) after. In check mode as the API server would have it.
  returned: success
  type: dict
steps:
  description: The writes, in their order.
  returned: success
  type: list
  elements: str
  sample: ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]
proof:
  description: What the proxies say of the split.
  returned: when something was written and O(wait) is true
  type: dict
  contains:
    proxies:
      description: How many proxies have the routes. With 0 a warning says why.
      type: int
    seconds:
      description: How long that took.
      type: float
    lagging:
      description: Proxies that do not have them. Always empty, as the task fails otherwise.
      type: list
      elements: str
  sample: {proxies: 6, seconds: 0.61, lagging: []}
"""

from ansible_collections.meshops.istio.plugins.module_utils.kube import KUBE_ARGS
from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_split import core


def main() -> None:
    run(
        {
            "host": {"type": "str", "required": True},
            "namespace": {"type": "str"},
            "weights": {"type": "dict", "required": True},
            "virtual_service": {"type": "str"},
            "route": {"type": "str"},
            "require_ready": {"type": "bool", "default": True},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "float", "default": 30},
            "cluster_domain": {"type": "str", "default": "cluster.local"},
            **KUBE_ARGS,
        },
        core,
    )


if __name__ == "__main__":
    main()
