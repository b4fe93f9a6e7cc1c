#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_info
short_description: Tell what mesh a cluster has, and what of it is not in order
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - Returns versions, revisions, tags, the injection of namespaces, gateways with their URLs, proxies with the state of
    their configuration, and in sentences what is not in order. Changes nothing.
  - A cluster without a mesh is no failure, see RV(installed).
  - Profiles are read from the folder of a release, istioctl has had no command for them since 1.24.
options:
  istioctl:
    description:
      - Path or name of istioctl, on the host that runs the module, for RV(client) and to find the folder of its
        release.
      - All else is known without it.
    type: str
    default: istioctl
  manifests:
    description: The folder C(manifests) of a release, or the release. That beside O(istioctl) when unset.
    type: path
  profile:
    description: Name of a profile whose content is returned.
    type: str
  proxies:
    description:
      - Whether to ask each istiod which proxies are connected, and whether they have their configuration.
      - Needs the right to create C(pods/exec), without it there is a sentence in RV(problems).
    type: bool
    default: true
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
seealso:
  - module: meshops.istio.istio_analyze
  - module: meshops.istio.traffic_info
"""

EXAMPLES = r"""
- name: Look at the mesh
  meshops.istio.istio_info:
  register: mesh

- name: Stop when something is not in order
  ansible.builtin.assert:
    that: mesh.problems | length == 0
    fail_msg: "{{ mesh.problems | join(' ') }}"

- name: Show what the profile demo sets
  meshops.istio.istio_info:
    istioctl: /opt/istio/current/bin/istioctl
    profile: demo
"""

RETURN = r"""
installed:
  description: Whether the cluster has a control plane.
  returned: success
  type: bool
client:
  description: Version of istioctl, null when there is none.
  returned: success
  type: str
  sample: 1.31.1
control_planes:
  description: Each istiod, by its Deployment.
  returned: success
  type: list
  elements: dict
  contains:
    revision:
      description: Its revision, C(default) for the unnamed one.
      type: str
    name:
      description: Name of the Deployment.
      type: str
    namespace:
      description: Its namespace.
      type: str
    version:
      description: Its version, null when that is not known.
      type: str
    ready:
      description: Whether it is rolled out and all its pods are ready.
      type: bool
data_plane:
  description: How many proxies there are of each version.
  returned: success
  type: dict
  sample: {"1.31.1": 12}
revisions:
  description: Revisions that have a control plane.
  returned: success
  type: list
  elements: str
  sample: [default]
tags:
  description: Revision tags.
  returned: success
  type: list
  elements: dict
  contains:
    tag:
      description: Name of the tag.
      type: str
    revision:
      description: The revision that it means.
      type: str
    namespaces:
      description: Namespaces whose labels name the tag.
      type: list
      elements: str
namespaces:
  description: Namespaces whose labels speak of injection, and those with proxies.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the namespace.
      type: str
    injection:
      description: C(enabled) when a webhook takes its pods, C(disabled) when its label says so, else C(unset).
      type: str
    asked:
      description: The tag or revision that its labels ask for, empty for none.
      type: str
    revision:
      description: The revision that injects its pods, null for none.
      type: str
    tag:
      description: The tag by which it does, empty for none.
      type: str
    ambient:
      description: Whether its label takes it into an ambient mesh.
      type: bool
    with_proxy:
      description: Number of its running pods that have a proxy.
      type: int
    without_proxy:
      description: Number of those that have none and would get one if they were made anew.
      type: int
gateways:
  description: Services in front of gateway pods.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the Service.
      type: str
    namespace:
      description: Its namespace.
      type: str
    type:
      description: C(LoadBalancer), C(NodePort) or C(ClusterIP).
      type: str
    ready_pods:
      description: Number of ready pods behind it.
      type: int
    ports:
      description: Its ports, with C(name), C(port), C(node_port) (null for none) and C(protocol).
      type: list
      elements: dict
    addresses:
      description:
        - Where it is reached from outside. The addresses of the load balancer and the external ones, else, when it has
          ports on the nodes, those of the ready nodes.
      type: list
      elements: str
    urls:
      description: Addresses with the ports of http and https.
      type: list
      elements: str
      sample: ["http://172.30.0.200", "https://172.30.0.200"]
    pending:
      description: Whether it waits for the address of a load balancer.
      type: bool
proxies:
  description: Proxies of running pods, and connected ones without a pod.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pod.
      type: str
    namespace:
      description: Its namespace.
      type: str
    type:
      description: C(sidecar), C(router), C(waypoint) or C(ztunnel).
      type: str
    version:
      description: Its version, empty when that is not known.
      type: str
    state:
      description:
        - C(synced), C(stale) (something was not confirmed), C(not_sent), C(refused), C(not_connected), or C(unknown)
          when istiod was not asked.
      type: str
    detail:
      description: The resources that are not as they should be, and why. Empty when all are.
      type: str
    revision:
      description: Revision of the istiod that it is connected to, null for none.
      type: str
    istiod:
      description: That istiod's pod, as C(namespace/name), null for none.
      type: str
profiles:
  description: Names of the profiles of the release, empty when there is no folder of one.
  returned: success
  type: list
  elements: str
  sample: [ambient, default, demo, minimal]
profile:
  description:
    - The document that O(profile) stands for, its settings over those of C(default), with the values that the charts
      add. Null when none was asked for.
    - Registry and tag are those of the files, istioctl installs with its own.
  returned: success
  type: dict
problems:
  description: What is not in order, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["3 of 4 pods of namespace bookinfo have no sidecar; restart their workloads."]
"""

from ansible_collections.meshops.istio.plugins.module_utils import istio_info, kube, runner


def main() -> None:
    runner.run(
        {
            **kube.KUBE_ARGS,
            "istioctl": {"type": "str", "default": "istioctl"},
            "manifests": {"type": "path"},
            "profile": {"type": "str"},
            "proxies": {"type": "bool", "default": True},
        },
        istio_info.core,
    )


if __name__ == "__main__":
    main()
