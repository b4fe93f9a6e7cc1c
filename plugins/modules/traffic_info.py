#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_info
short_description: Tell what happens to the requests to a service
description:
  - Returns for each object that routes the requests to a host its routes with their effective percentages, rules,
    mirrors and faults, what was done to it by this collection, what somebody changed since, and which proxies have
    it.
  - Writes nothing.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
  - meshops.istio.traffic
options:
  proxies:
    description: Whether to ask the proxies what they have, which needs the rights to get and create C(pods/exec).
    type: bool
    default: true
  timeout:
    description: Seconds that each proxy has to answer.
    type: float
    default: 30
seealso:
  - module: meshops.istio.traffic_rollback
"""

EXAMPLES = r"""
- name: Look at reviews
  meshops.istio.traffic_info:
    host: reviews
    namespace: bookinfo
  register: reviews

- name: Fail when somebody edited it by hand
  ansible.builtin.assert:
    that: reviews.objects | selectattr('edited_by_hand') | length == 0
"""

RETURN = r"""
host:
  description: Full name of the Service.
  returned: success
  type: str
objects:
  description: The objects that route the requests to the host.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    manager:
      description: Who manages it, C(meshops.istio) for what this collection created, empty when nobody is known.
      type: str
    hosts:
      description: Its hosts as they are written.
      type: list
      elements: str
    routes:
      description:
        - Its routes in their order. C(effective) is in percent of the requests that a route takes; C(rule) is the name
          of a rule of M(meshops.istio.traffic_match); C(fault) has C(what), C(ours), C(expires) and C(expired).
      type: list
      elements: dict
    journal:
      description: Changes by this collection, oldest first.
      type: list
      elements: dict
    edited_by_hand:
      description: Whether somebody changed the object after the last change in the journal.
      type: bool
    hand_edits:
      description: What was changed.
      type: list
      elements: str
      sample: ["spec.http[0].route[0].weight: 50 is 40"]
    proxies:
      description: C(current) lists the proxies that have it, C(lagging) says what others have instead.
      returned: when O(proxies) is true
      type: dict
subsets:
  description: Subsets of the Service with their labels and the number of ready pods.
  returned: success
  type: dict
  sample: {v1: {labels: {version: v1}, ready_pods: 1}}
"""

from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.info import ARGS, core


def main() -> None:
    run(ARGS, core)


if __name__ == "__main__":
    main()
