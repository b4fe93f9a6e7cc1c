#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_kube_inject
short_description: Apply a manifest with sidecars that istioctl kube-inject puts in
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - For namespaces without automatic injection. The sidecars are those that istiod of the revision would inject, and
    become part of the workloads' templates.
  - The result is compared with the cluster as M(meshops.istio.kube_manifest) does it, and only what differs is written.
    After an upgrade of the control plane another run brings the new sidecars.
  - The intermediate files are readable by the user of the task alone, and removed at the end.
options:
  src:
    description: Path of a YAML or JSON file with one or more documents, on the host that runs the module.
    type: path
    required: true
  namespace:
    description: Namespace for objects of namespaced kinds that name none. It is not created.
    type: str
  image_prefixes:
    description: New starts for container images, by their old start, before injection. The longest match wins.
    type: dict
  istioctl:
    description: Path or name of istioctl, on the host that runs the module. At least 1.24.
    type: str
    default: istioctl
  revision:
    description: Revision of the control plane that gives the sidecars, not a tag; the unnamed one when unset.
    type: str
  wait:
    description: Whether to wait until Deployments, DaemonSets and StatefulSets are rolled out.
    type: bool
    default: false
  timeout:
    description: How long to wait at most, in seconds, for everything together.
    type: int
    default: 300
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
seealso:
  - module: meshops.istio.kube_manifest
  - module: meshops.istio.istio_injection
"""

EXAMPLES = r"""
- name: Deploy an application with sidecars in its manifest
  meshops.istio.istio_kube_inject:
    src: /srv/shop/deployment.yaml
    namespace: shop
    istioctl: /opt/istio/current/bin/istioctl
    wait: true
"""

RETURN = r"""
injected:
  description: The objects of the manifest that have a sidecar now.
  returned: success
  type: list
  elements: str
  sample: [Deployment shop/web]
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
      description: One of C(created), C(changed) and C(unchanged).
      type: str
"""

from ansible_collections.meshops.istio.plugins.module_utils import kube, manual_injection, runner


def main() -> None:
    runner.run({**kube.KUBE_ARGS, **manual_injection.ARGS}, manual_injection.core)


if __name__ == "__main__":
    main()
