#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_subset
short_description: Add, change or remove a subset of a service
description:
  - Sets one subset of the C(DestinationRule) of a Service, with the labels of its pods and its settings for load
    balancing, connections, outlier detection (circuit breaking) and locality failover.
  - Other subsets and settings stay. When the Service has no C(DestinationRule), one is created.
  - A subset that a route or mirror still names is not removed. One that no object names is removed only after no
    route of any proxy has it.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
  - meshops.istio.traffic
  - meshops.istio.traffic.state
  - meshops.istio.traffic.ready
  - meshops.istio.traffic.write
options:
  name:
    description: Name of the subset.
    type: str
    required: true
  labels:
    description:
      - Labels of the pods of the subset, beside those that the Service selects by.
      - When unset, those of an existing subset stay, and a new one gets C(version=NAME).
    type: dict
  traffic_policy:
    description:
      - Settings by the names of Istio's C(TrafficPolicy), merged into those that are there. A value of V(null) takes a
        setting out.
    type: dict
notes:
  - In check mode nothing is waited for.
  - That the proxies have a new subset is waited for; the settings of one that was there already are not read from
    them.
seealso:
  - module: meshops.istio.traffic_split
"""

EXAMPLES = r"""
- name: Add v2, at most 100 connections to it, and set aside pods that answer with errors
  meshops.istio.traffic_subset:
    host: reviews
    namespace: bookinfo
    name: v2
    labels:
      version: v2
    traffic_policy:
      connectionPool:
        tcp:
          maxConnections: 100
      outlierDetection:
        consecutive5xxErrors: 5
        interval: 10s
        baseEjectionTime: 30s

- name: Remove a subset that no route names
  meshops.istio.traffic_subset:
    host: reviews
    namespace: bookinfo
    name: old
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
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.subset import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
