#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_injection
short_description: Choose how the pods of a namespace get into the mesh, and bring running ones up to that
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - Sets the labels of a namespace that decide on injection, and takes away those that contradict. All others stay.
  - Refuses labels that no webhook serves, because pods would then start without a sidecar and without an error.
  - Says which workloads and pods run another sidecar than new pods would get, an older one, or none.
  - With O(restart=true) these workloads are restarted one after another, as C(kubectl rollout restart) does it. Each
    has to be ready before the next begins. State is kept in the cluster only, so a run that was killed is repeated.
  - A restart waits for PodDisruptionBudgets over the workload's pods to allow a disruption. How many pods go at once is
    then up to the workload's own strategy.
  - Pods that belong to no Deployment, StatefulSet or DaemonSet are named and never deleted.
options:
  namespace:
    description: Name of the namespace. It has to exist, except in check mode.
    type: str
    required: true
  mode:
    description:
      - V(on) is the label C(istio-injection=enabled), which stands for the tag C(default).
      - V(revision) is the label C(istio.io/rev) with O(revision).
      - V(off) leaves neither; where even unlabelled namespaces are injected it is C(istio-injection=disabled), and
        where that is set already it stays.
      - V(ambient) is the label C(istio.io/dataplane-mode=ambient), without sidecars.
    type: str
    choices: ['on', 'off', revision, ambient]
    required: true
  revision:
    description:
      - Name of a revision or of a tag, with O(mode=revision).
      - In check mode one that is not there yet is only a warning.
    type: str
  restart:
    description: Whether to restart the workloads whose pods differ.
    type: bool
    default: false
  timeout:
    description: How long to wait for each workload, in seconds, its PodDisruptionBudgets included.
    type: int
    default: 300
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
seealso:
  - module: meshops.istio.istio_revision_tag
"""

EXAMPLES = r"""
- name: Bring a namespace into the mesh, running workloads included
  meshops.istio.istio_injection:
    namespace: shop
    mode: 'on'
    restart: true

- name: Move a namespace to the control plane behind a tag
  meshops.istio.istio_injection:
    namespace: shop
    mode: revision
    revision: prod
    restart: true

- name: See which workloads still run an older sidecar
  meshops.istio.istio_injection:
    namespace: shop
    mode: revision
    revision: prod
  register: shop
  check_mode: true
"""

RETURN = r"""
labels:
  description: The labels of the namespace that decide on injection.
  returned: success
  type: dict
  sample: {istio.io/rev: prod}
revision:
  description: The revision that injects new pods of the namespace; empty when none does.
  returned: success
  type: str
  sample: 1-31-1
version:
  description: Version of the sidecars that new pods get; empty when they get none or it cannot be told.
  returned: success
  type: str
  sample: 1.31.1
workloads:
  description: The workloads whose pods differed from new ones.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the workload.
      type: str
    name:
      description: Name of the workload.
      type: str
    problem:
      description: How its pods differ.
      type: str
    pods:
      description: Names of the pods that differ.
      type: list
      elements: str
    result:
      description:
        - C(restarted), C(rolling) when a rollout in progress replaces them, else C(outdated).
      type: str
  sample:
    - kind: Deployment
      name: web
      problem: sidecar 1.30.5 of revision 1-30-5, a new pod would get sidecar 1.31.1 of revision 1-31-1
      pods: [web-5d8c7f-abcde]
      result: restarted
pods:
  description: The pods that differ and belong to nothing that can be restarted.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pod.
      type: str
    owner:
      description: Kind and name of what made the pod, empty for a bare one.
      type: str
    problem:
      description: How it differs.
      type: str
"""

from ansible_collections.meshops.istio.plugins.module_utils import injection, kube, runner


def main() -> None:
    runner.run({**kube.KUBE_ARGS, **injection.ARGS}, injection.core, **injection.RULES)


if __name__ == "__main__":
    main()
