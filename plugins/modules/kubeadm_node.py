#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: Make this machine a node of a Kubernetes cluster by kubeadm, or take it out again
description:
  - Runs C(kubeadm init), C(kubeadm join) or C(kubeadm reset) when the node's state asks for it, and only then.
  - The state is found by what is on disk and what the API server says, so a node that was left half done by a killed
    run, a reboot or an error is recognised, and is completed or begun anew.
  - A cluster never gets a second certificate authority. A half-done C(kubeadm init) is resumed with the existing one as
    soon as etcd holds data; leftovers without data and with broken files are reset first.
  - A C(kubeadm) that a killed run left behind is waited for.
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
extends_documentation_fragment: [meshops.istio.attributes]
options:
  state:
    description:
      - V(initialized) makes it the first control plane, V(joined) a worker, V(reset) removes all that Kubernetes left.
      - V(probed) changes nothing and returns the state.
    type: str
    required: true
    choices: [initialized, joined, probed, reset]
  name:
    description: Name of the node in the cluster. By default the one in O(config), or else the host's name.
    type: str
  config:
    description: The kubeadm documents (C(InitConfiguration), C(ClusterConfiguration), C(JoinConfiguration) ...).
    type: list
    elements: dict
    default: []
  token:
    description: Bootstrap token to join with. It is written into the C(JoinConfiguration), in a file of mode 0600.
    type: str
  ca_hash:
    description:
      - RV(ca_hash) of the cluster that the node shall belong to.
      - A node that trusts another one is refused. Required to join, except in check mode.
    type: str
    default: ""
  ignore_preflight_errors:
    description: Names of kubeadm's preflight checks whose errors are only warnings, for example V(SystemVerification).
    type: list
    elements: str
    default: []
  cri_socket:
    description: Socket of the container runtime, for the reset.
    type: str
    default: unix:///run/containerd/containerd.sock
  kubeconfigs:
    description: Copies of C(admin.conf) that a reset removes. One that belongs to another cluster is left alone.
    type: list
    elements: path
    default: []
  paths:
    description: Further files and directories that a reset removes.
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds that C(kubeadm) may take.
    type: int
    default: 600
notes:
  - Runs on the node as root. It needs C(kubectl) there, but no Python library.
seealso:
  - name: kubeadm configuration (v1beta4)
    description: Reference of the documents in O(config).
    link: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
"""

EXAMPLES = r"""
- name: Initialise the control plane
  meshops.istio.kubeadm_node:
    state: initialized
    config:
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: InitConfiguration
        localAPIEndpoint: {advertiseAddress: 192.168.31.106}
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        kubernetesVersion: v1.36.3
        networking: {podSubnet: 10.244.0.0/16}
  register: control_plane

- name: Join a worker
  meshops.istio.kubeadm_node:
    state: joined
    token: "{{ token }}"
    ca_hash: "{{ control_plane.ca_hash }}"
    config:
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: JoinConfiguration
        discovery:
          bootstrapToken: {apiServerEndpoint: "192.168.31.106:6443"}

- name: Show what a reset would remove
  meshops.istio.kubeadm_node:
    state: reset
  check_mode: true
"""

RETURN = r"""
node: {description: Name of the node., returned: success, type: str, sample: n1}
node_state:
  description:
    - State afterwards, or the one it would have. V(absent), V(half-initialised), V(initialised), V(half-joined),
      V(joined) or V(foreign), which belongs to another cluster.
  returned: success
  type: str
  sample: initialised
node_state_before: {description: State before., returned: success, type: str, sample: absent}
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [kubeadm init]
removed:
  description: What a reset removed or would remove.
  returned: success
  type: list
  elements: str
  sample: [/etc/kubernetes, network interface cni0]
ca_hash:
  description: Hash of the public key of the CA that this node trusts; empty when there is none yet.
  returned: success
  type: str
  sample: sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866
server: {description: API server that the kubelet uses., returned: success, type: str, sample: "https://192.168.31.106:6443"}
api:
  description: Whether the API server V(answered), V(denied) access, was V(unreachable) or there was no way to ask it.
  returned: success
  type: str
  sample: answered
versions:
  description: Installed versions of kubeadm, kubelet and kubectl, empty for what is not installed.
  returned: when O(state=probed)
  type: dict
  sample: {kubeadm: 1.36.3, kubectl: 1.36.3, kubelet: 1.36.3}
"""

from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_node import core
from ansible_collections.meshops.istio.plugins.module_utils.runner import run


def main() -> None:
    run(
        {
            "state": {"type": "str", "required": True, "choices": ["initialized", "joined", "probed", "reset"]},
            "name": {"type": "str"},
            "config": {"type": "list", "elements": "dict", "default": []},
            "token": {"type": "str", "no_log": True},
            "ca_hash": {"type": "str", "default": ""},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
            "kubeconfigs": {"type": "list", "elements": "path", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        core,
    )


if __name__ == "__main__":
    main()
