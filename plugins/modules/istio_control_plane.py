#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_control_plane
short_description: Install, change or remove an Istio control plane, only when it differs
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Renders the control plane with C(istioctl manifest generate), compares every object with the live one by a
    server-side dry run, and runs C(istioctl install) only when something differs. A plain C(istioctl install) that has
    nothing to do still switches the injection webhook off and on, which can lose injections.
  - What istiod and the installer set afterwards (certificate bundles, the validator's failure policy, the selectors of
    an injector that the default tag stands in for, replicas under an autoscaler) is no difference.
  - A ConfigMap C(meshops-istio) beside istiod remembers what was installed. By it a setting that was dropped and an
    installation that was interrupted are seen.
  - What is no longer part of the control plane is deleted by the installer, and is reported before it is. What an
    older version left is not deleted by it; a warning names that.
  - After an installation the rollouts are waited for, injection is proved with a dry-run pod, and every gateway has to
    be connected to istiod. Other proxies that are not connected or of another version are named in a warning.
  - The version is that of istioctl. Going up or down by more than one minor version in place is refused, and so are a
    Kubernetes that this Istio does not support, a second control plane without a revision, and objects that belong to
    Helm, Argo CD or Flux.
  - The settings are those of the options O(profile), O(hub), O(tag), O(revision), O(manifests) and O(namespace), with
    O(files), O(spec), O(values) and O(set) over them, each over the one before. istioctl checks their names, but for
    those below C(meshConfig).
options:
  istioctl:
    description: Path or name of istioctl, on the host that runs the module. At least 1.24.
    type: str
    default: istioctl
  profile:
    description: Installation profile.
    type: str
    default: default
  hub:
    description: Registry and path of Istio's images.
    type: str
    default: docker.io/istio
  tag:
    description: Tag of Istio's images; that of istioctl's own version when unset.
    type: str
  revision:
    description: Name of the control plane's revision, a DNS label; unset for the unnamed one.
    type: str
  manifests:
    version_added: 0.3.0
    description: >-
      Folder with charts and profiles to use in place of those in istioctl, the folder C(manifests) of a release.
    type: path
  files:
    version_added: 0.3.0
    description:
      - Files with one IstioOperator document each, on the host that runs the module, merged from left to right.
      - A C(metadata.name) in them tells apart several installations of one revision. istioctl deletes what an
        installation without a name does not have, that of named ones too, so that is refused.
    type: list
    elements: path
  spec:
    description: What stands under C(spec) of an IstioOperator document.
    type: dict
  values:
    version_added: 0.3.0
    description: What stands under C(spec.values) of an IstioOperator document, the values of the charts.
    type: dict
  set:
    version_added: 0.3.0
    description:
      - Single settings as C(path=value), as C(istioctl --set) takes them, also C(a.[0].b) for an item of a list,
        C(a.[name:x].b) for the one with that key, and a backslash before a dot that is part of a key.
      - The value may have a C(=) in it, which istioctl itself refuses before 1.31.
    type: list
    elements: str
  namespace:
    description: Namespace of the control plane. It is created.
    type: str
    default: istio-system
  timeout:
    description: How long to wait for each component to become ready, or for all to be gone, in seconds.
    type: int
    default: 300
  state:
    description:
      - C(present) for the control plane as given.
      - C(absent) removes the control plane of O(revision) with its gateways and the record. Other revisions, the CRDs,
        all objects of traffic, and the namespace stay. It is refused while a revision tag points at the revision.
    type: str
    choices: [present, absent]
    default: present
  purge:
    version_added: 0.3.0
    description:
      - With O(state=absent), remove all of Istio instead. That is all revisions, tags and CRDs, with the CRDs
        everybody's VirtualServices and the like, the namespace with all that is in it, and the injection labels of all
        namespaces.
    type: bool
    default: false
  confirm_purge:
    version_added: 0.3.0
    description: Without it a purge is refused, and the failure lists the traffic objects that would be deleted.
    type: bool
    default: false
  save_to:
    version_added: 0.3.0
    description:
      - Path of a file on the host that runs the module. A purge first writes all objects of the groups
        C(networking.istio.io), C(security.istio.io), C(telemetry.istio.io) and C(extensions.istio.io) to it, as YAML
        that can be applied again. Only its owner can read it. A file with other content is not written over.
    type: path
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
"""

EXAMPLES = r"""
- name: Install Istio with access logs
  meshops.istio.istio_control_plane:
    istioctl: /opt/istio/current/bin/istioctl
    profile: default
    spec:
      meshConfig:
        accessLogFile: /dev/stdout

- name: Install what a file says, with two settings of this site
  meshops.istio.istio_control_plane:
    files: [/etc/istio/mesh.yaml]
    set:
      - meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY
      - values.global.proxy.resources.requests.memory=64Mi

- name: Install the next version beside the present one
  meshops.istio.istio_control_plane:
    istioctl: /opt/istio/istio-1.31.1/bin/istioctl
    revision: 1-31-1

- name: Remove the version before
  meshops.istio.istio_control_plane:
    revision: 1-30-5
    state: absent

- name: Remove Istio with everything, but keep the traffic objects in a file
  meshops.istio.istio_control_plane:
    state: absent
    purge: true
    confirm_purge: true
    save_to: /root/istio-objects.yaml
"""

RETURN = r"""
version:
  description: >-
    Version of istioctl, and so of the control plane. Null for a removal, and in check mode while there is no istioctl
    yet.
  returned: success
  type: str
  sample: 1.31.1
revision:
  description: Revision of the control plane, empty for the unnamed one.
  returned: success
  type: str
reason:
  description: Why an installation was (or, in check mode, would be) necessary, in words; empty when it was not.
  returned: success
  type: str
  sample: the settings differ from those of the last installation
objects:
  description: The objects that differed, or that were deleted. A purge lists namespaces first.
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
      description: C(created), C(changed) or C(deleted).
      type: str
saved:
  description: File with the traffic objects, empty when none was asked for.
  returned: success
  type: str
traffic:
  description: The traffic objects that a purge would delete.
  returned: when a purge was not confirmed
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the objects.
      type: str
    count:
      description: How many there are.
      type: int
    names:
      description: Their names, as C(namespace/name).
      type: list
      elements: str
"""

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, kube, runner


def main() -> None:
    runner.run(
        {
            **kube.KUBE_ARGS,
            "istioctl": {"type": "str", "default": "istioctl"},
            "profile": {"type": "str", "default": "default"},
            "hub": {"type": "str", "default": "docker.io/istio"},
            "tag": {"type": "str"},
            "revision": {"type": "str"},
            "manifests": {"type": "path"},
            "files": {"type": "list", "elements": "path"},
            "spec": {"type": "dict"},
            "values": {"type": "dict"},
            "set": {"type": "list", "elements": "str"},
            "namespace": {"type": "str", "default": "istio-system"},
            "timeout": {"type": "int", "default": 300},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "confirm_purge": {"type": "bool", "default": False},
            "save_to": {"type": "path"},
        },
        control_plane.core,
    )


if __name__ == "__main__":
    main()
