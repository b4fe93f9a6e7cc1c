#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_info
short_description: Read several objects of a cluster in one task
description:
  - Reads the objects and lists that are asked for, through one connection.
  - Can wait until a condition of the objects is true.
version_added: 0.1.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
options:
  objects:
    description: What to read.
    type: list
    elements: dict
    required: true
    suboptions:
      api_version:
        description: API version of the kind.
        type: str
        default: v1
      kind:
        description: Kind of the objects. C(Secret) is refused, a secret has no place in a result.
        type: str
        required: true
      name:
        description: Name of one object. When unset, the objects are listed.
        type: str
      namespace:
        description: Namespace to look in. When unset, lists are of all namespaces.
        type: str
      label_selector:
        description: Labels that listed objects must have, for example C(app=ratings).
        type: str
      wait_condition:
        description:
          - Name of a condition of C(status.conditions) to wait for on each object found, for example C(Ready).
          - Nothing is waited for in check mode.
        type: str
  timeout:
    description: Seconds that all waiting together may take.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Wait for the nodes and read the services of the mesh
  meshops.istio.kube_info:
    objects:
      - kind: Node
        wait_condition: Ready
      - kind: Service
        namespace: istio-system
  register: cluster
"""

RETURN = r"""
reachable:
  description: Whether the cluster answered. Only check mode goes on without an answer.
  returned: always
  type: bool
found:
  description: For each entry of O(objects) the list of objects found, without C(metadata.managedFields).
  returned: always
  type: list
  elements: list
  sample: [[{apiVersion: v1, kind: Node, metadata: {name: n1}}]]
"""

from ansible_collections.meshops.istio.plugins.module_utils.kube import KUBE_ARGS
from ansible_collections.meshops.istio.plugins.module_utils.kube_read import core
from ansible_collections.meshops.istio.plugins.module_utils.runner import run

ITEM = {
    "api_version": {"type": "str", "default": "v1"},
    "kind": {"type": "str", "required": True},
    "name": {"type": "str"},
    "namespace": {"type": "str"},
    "label_selector": {"type": "str"},
    "wait_condition": {"type": "str"},
}


def main() -> None:
    run(
        {
            **KUBE_ARGS,
            "objects": {"type": "list", "elements": "dict", "required": True, "options": ITEM},
            "timeout": {"type": "int", "default": 120},
        },
        core,
    )


if __name__ == "__main__":
    main()
