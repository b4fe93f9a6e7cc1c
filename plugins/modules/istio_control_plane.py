#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_control_plane
short_description: Install or change an Istio control plane, only when it differs
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
  - After an installation the rollouts are waited for and injection is proved with a dry-run pod.
  - The version is that of istioctl. Going up or down by more than one minor version in place is refused, and so is a
    Kubernetes that this Istio does not support.
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
    description: Name of the control plane's revision; unset for the unnamed one.
    type: str
  spec:
    description: What stands under C(spec) of an IstioOperator document, merged over the options above.
    type: dict
  namespace:
    description: Namespace of the control plane. It is created.
    type: str
    default: istio-system
  timeout:
    description: How long to wait for each component to become ready, in seconds.
    type: int
    default: 300
  state:
    description: The control plane exists as given.
    type: str
    choices: [present]
    default: present
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

- name: Install the next version beside the present one
  meshops.istio.istio_control_plane:
    istioctl: /opt/istio/istio-1.31.1/bin/istioctl
    revision: 1-31-1
"""

RETURN = r"""
version:
  description: Version of istioctl, and so of the control plane. Null in check mode while there is no istioctl yet.
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
  description: The objects that differed.
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
      description: C(created) or C(changed).
      type: str
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
            "spec": {"type": "dict"},
            "namespace": {"type": "str", "default": "istio-system"},
            "timeout": {"type": "int", "default": 300},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        control_plane.core,
    )


if __name__ == "__main__":
    main()
