#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_match
short_description: Send requests with certain properties elsewhere, before the split
description:
  - Puts a named rule in front of the default route of a host. All requests that it does not match keep their split.
  - The rule inherits from the default route what is not named here, such as rewrites, timeouts, retries, headers
    and the mirror.
  - Without O(before) and O(after) it stands behind the rules that are more specific and in front of the first route
    that would take its requests. A rule that no request would reach, or that would take all requests of another
    one, is refused.
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
  name:
    description:
      - Name of the rule, of small letters, digits and dashes. Its route is called C(meshops-NAME).
    type: str
    required: true
  uri:
    description:
      - The path of the request. A string for equality, or one of C(exact), C(prefix), C(regex) as a dictionary.
      - Regular expressions are those of RE2 and match the whole text.
    type: raw
  method:
    description: The method, written as O(uri).
    type: raw
  scheme:
    description: The scheme, written as O(uri).
    type: raw
  authority:
    description: The host that the request names, written as O(uri).
    type: raw
  headers:
    description: "Headers by name, each written as O(uri), or C({present: true}) when any value will do."
    type: dict
  without_headers:
    description: Headers that the request must not have, written as O(headers).
    type: dict
  query_params:
    description: Query parameters by name, written as O(headers).
    type: dict
  source_labels:
    description: Labels of the pods that the requests come from. For callers inside the mesh.
    type: dict
  source_namespace:
    description: Namespace that the requests come from. For callers inside the mesh.
    type: str
  gateways:
    description: Gateways that the requests come through, C(mesh) for the sidecars. Those of the object when unset.
    type: list
    elements: str
  port:
    description: Port of the Service that the requests are for.
    type: int
  ignore_uri_case:
    description: Whether O(uri) is compared without regard to case.
    type: bool
    default: false
  destination:
    description: Subset (or Service) that gets the requests. This or O(weights) is needed for O(state=present).
    type: str
  weights:
    description: Weights of several destinations for these requests, as in M(meshops.istio.traffic_split).
    type: dict
  before:
    description: Name of a route or rule in front of which the rule has to stand.
    type: str
    default: ""
  after:
    description: Name of a route or rule behind which the rule has to stand.
    type: str
    default: ""
notes:
  - Rules are made in VirtualServices, not in objects of the Gateway API.
seealso:
  - module: meshops.istio.traffic_split
"""

EXAMPLES = r"""
- name: Let jason see v2, while all others keep their split
  meshops.istio.traffic_match:
    host: reviews
    namespace: bookinfo
    name: jason-sees-v2
    headers:
      end-user:
        exact: jason
    destination: v2

- name: A tenth of the requests of testers goes to v3
  meshops.istio.traffic_match:
    host: reviews
    namespace: bookinfo
    name: testers
    headers:
      end-user:
        regex: test-.*
    uri:
      prefix: /reviews
    weights:
      v1: 90
      v3: 10

- name: Take a rule away
  meshops.istio.traffic_match:
    host: reviews
    namespace: bookinfo
    name: testers
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.match import ARGS, RULES, core


def main() -> None:
    run(ARGS, core, **RULES)


if __name__ == "__main__":
    main()
