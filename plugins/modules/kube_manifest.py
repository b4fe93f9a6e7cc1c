#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_manifest
short_description: Apply a whole Kubernetes manifest and write only what differs
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Brings all objects of a manifest to the wanted form by server-side apply, in one task.
  - Each object is read first. One that exists is compared with a server-side dry run, and only a different one is
    written, so a run that changes nothing sends nothing but reads and dry runs.
  - Namespaces come first, then CRDs, which have to be served before the rest follows. Removal goes the other way round.
  - Requests that may be repeated safely are repeated on errors of the connection and of the server, and while an
    admission webhook does not answer yet.
options:
  src:
    description:
      - Path of a YAML or JSON file with one or more documents, on the host that runs the module.
      - In check mode a file that does not exist yet counts as a change.
    type: path
  definition:
    description: The objects themselves.
    type: list
    elements: dict
  namespace:
    description: Namespace for objects of namespaced kinds that name none. It is not created.
    type: str
  overlays:
    description:
      - Partial objects, each merged into the object of the manifest with the same kind, name and (when given)
        namespace. An overlay that matches nothing is an error.
      - Dictionaries merge by key and null removes a key; lists whose items all have a C(name) merge by it, other lists
        are replaced.
    type: list
    elements: dict
  image_prefixes:
    description: New starts for container images, by their old start. The longest match wins.
    type: dict
  state:
    description: Whether the objects exist as given, or do not exist at all.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether to wait until Deployments, DaemonSets and StatefulSets are rolled out.
      - CRDs are always waited for, and so is the end of deleted objects.
    type: bool
    default: false
  timeout:
    description: How long to wait at most, in seconds, for everything together.
    type: int
    default: 300
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
"""

EXAMPLES = r"""
- name: Install flannel with the pod network of this cluster
  meshops.istio.kube_manifest:
    src: /opt/flannel/kube-flannel.yml
    overlays:
      - kind: ConfigMap
        metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
        data:
          net-conf.json: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'
    wait: true

- name: Deploy Bookinfo with images from Docker Hub
  meshops.istio.kube_manifest:
    src: /opt/istio/current/samples/bookinfo/platform/kube/bookinfo.yaml
    namespace: bookinfo
    image_prefixes:
      registry.istio.io/release/: docker.io/istio/
    wait: true

- name: Remove an address pool
  meshops.istio.kube_manifest:
    state: absent
    definition:
      - apiVersion: metallb.io/v1beta1
        kind: IPAddressPool
        metadata: {name: old, namespace: metallb-system}
"""

RETURN = r"""
objects:
  description: What happened to each object, in the order of work.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
    name:
      description: Name of the object.
      type: str
    namespace:
      description: Its namespace, empty for an object without one.
      type: str
    result:
      description: One of C(created), C(changed), C(unchanged) and C(deleted).
      type: str
  sample:
    - {kind: Namespace, name: bookinfo, namespace: "", result: created}
"""

from ansible_collections.meshops.istio.plugins.module_utils import apply, kube, runner


def main() -> None:
    runner.run(
        {
            **kube.KUBE_ARGS,
            "src": {"type": "path"},
            "definition": {"type": "list", "elements": "dict"},
            "namespace": {"type": "str"},
            "overlays": {"type": "list", "elements": "dict"},
            "image_prefixes": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
        },
        apply.core,
        mutually_exclusive=[("src", "definition")],
        required_one_of=[("src", "definition")],
    )


if __name__ == "__main__":
    main()
