#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_precheck
short_description: Check whether Istio can be installed or upgraded on a cluster
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - Runs C(istioctl x precheck) and fails when it finds something bad. Changes nothing.
  - Checks beside it whether this Istio supports the Kubernetes of the cluster, in both directions, and whether istioctl
    is within one minor version of each control plane that is there. These findings have the codes
    C(KubernetesVersion) and C(VersionSkew).
  - Needs an istioctl of 1.20 or newer.
options:
  istioctl:
    description: Path or name of istioctl, on the host that runs the module. That of the version to be installed.
    type: str
    default: istioctl
  namespace:
    description: Namespace of the control plane.
    type: str
    default: istio-system
  fail_on:
    description: Fail when there is a finding of this level or a worse one. With V(never) findings are only returned.
    type: str
    choices: [error, warning, never]
    default: error
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
notes:
  - In check mode a missing istioctl or cluster is a warning, an earlier task may be to make it.
seealso:
  - module: meshops.istio.istio_analyze
"""

EXAMPLES = r"""
- name: Stop when the cluster is not fit for the new version
  meshops.istio.istio_precheck:
    istioctl: /opt/istio/istio-1.31.1/bin/istioctl
    fail_on: warning
"""

RETURN = r"""
findings:
  description: What was found, also when the task failed.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: Code of the finding, for example C(IST0141).
      type: str
    level:
      description: C(Error), C(Warning) or C(Info).
      type: str
    message:
      description: What is wrong.
      type: str
    object:
      description: The object it is about, as C(Kind namespace/name), empty for none.
      type: str
    namespace:
      description: Its namespace, empty for none.
      type: str
    documentation_url:
      description: Page about the finding, empty for those of this module.
      type: str
    reference:
      description: File and line, empty for objects of a cluster.
      type: str
counts:
  description: Number of findings of each level.
  returned: always
  type: dict
  sample: {error: 0, warning: 1, info: 0}
version:
  description: Version of istioctl. Null in check mode while there is none.
  returned: always
  type: str
  sample: 1.31.1
kubernetes:
  description: Version of Kubernetes. Null in check mode while there is no cluster.
  returned: always
  type: str
  sample: 1.36.3
control_planes:
  description: The control planes that are there, as M(meshops.istio.istio_info) returns them.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.meshops.istio.plugins.module_utils import istio_analysis, kube, runner


def main() -> None:
    runner.run(
        {
            **kube.KUBE_ARGS,
            "istioctl": {"type": "str", "default": "istioctl"},
            "namespace": {"type": "str", "default": "istio-system"},
            "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
        },
        istio_analysis.precheck,
    )


if __name__ == "__main__":
    main()
