#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_analyze
short_description: Find mistakes in the configuration of a mesh, and fail on them
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - Runs C(istioctl analyze) on the cluster, on files, or on the cluster as it would be with the files applied, and
    fails when there is something bad. Changes nothing.
  - C(istioctl analyze -o json) itself ends well whatever it finds, also when it cannot read a file or the namespace
    does not exist. Here each of these is a failure.
  - When istioctl is more than one minor version from the control plane, its findings are not to be relied on. That is a
    finding of level C(Error) with the code C(VersionSkew).
options:
  istioctl:
    description: Path or name of istioctl, on the host that runs the module.
    type: str
    default: istioctl
  cluster:
    description: Analyse the live cluster. With V(false) only O(files) are, and no kubeconfig is needed.
    type: bool
    default: true
  files:
    description:
      - Files of manifests, and folders of them, on the host that runs the module, to be analysed together.
      - Their names end in C(.yaml), C(.yml) or C(.json). Others are passed over in folders, and refused by name.
    type: list
    elements: path
  namespaces:
    description:
      - Namespaces whose objects are analysed. All when unset.
      - Objects of O(files) without a namespace are taken to be in it when it is one, and to be in none otherwise.
    type: list
    elements: str
  istio_namespace:
    description: Namespace of the control plane.
    type: str
    default: istio-system
  revision:
    description: Name of the control plane's revision to analyse for. The unnamed one when unset.
    type: str
  fail_on:
    description: Fail when there is a finding of this level or a worse one. With V(never) findings are only returned.
    type: str
    choices: [error, warning, info, never]
    default: error
  ignore:
    description: Findings that are left out altogether. V(*) stands for any text in both.
    type: list
    elements: dict
    suboptions:
      code:
        description: Code of the finding, for example V(IST0102).
        type: str
        required: true
      object:
        description: The object, as C(Kind namespace/name), for example V(Pod bookinfo/*). Every one when unset.
        type: str
  baseline:
    description:
      - Findings of an earlier run, as returned in RV(findings). Only those that are not among them can fail the task.
      - A finding is the same when code, object and message are.
    type: list
    elements: dict
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
notes:
  - In check mode a missing istioctl or cluster is a warning, an earlier task may be to make it.
seealso:
  - module: meshops.istio.istio_precheck
"""

EXAMPLES = r"""
- name: Stop when the configuration of the mesh has an error
  meshops.istio.istio_analyze:
    ignore:
      - {code: IST0102, object: Namespace sandbox}

- name: Analyse manifests before they are applied, as part of the cluster
  meshops.istio.istio_analyze:
    files: [manifests/]
    namespaces: [bookinfo]
    fail_on: warning

- name: Analyse manifests without a cluster
  meshops.istio.istio_analyze:
    cluster: false
    files: [manifests/]

- name: Remember what is wrong already
  meshops.istio.istio_analyze:
    fail_on: never
  register: before

- name: Stop at what an upgrade made worse
  meshops.istio.istio_analyze:
    fail_on: warning
    baseline: "{{ before.findings }}"
"""

RETURN = r"""
findings:
  description: All findings that are not ignored, also when the task failed.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: Code of the finding, for example C(IST0101).
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
new:
  description: Those of RV(findings) that are not in O(baseline), which O(fail_on) judges.
  returned: always
  type: list
  elements: dict
counts:
  description: Number of findings of each level in RV(new).
  returned: always
  type: dict
  sample: {error: 1, warning: 0, info: 3}
version:
  description: Version of istioctl. Null in check mode while there is none.
  returned: always
  type: str
  sample: 1.31.1
"""

from ansible_collections.meshops.istio.plugins.module_utils import istio_analysis, kube, runner

IGNORE = {"code": {"type": "str", "required": True}, "object": {"type": "str"}}


def main() -> None:
    runner.run(
        {
            **kube.KUBE_ARGS,
            "istioctl": {"type": "str", "default": "istioctl"},
            "cluster": {"type": "bool", "default": True},
            "files": {"type": "list", "elements": "path"},
            "namespaces": {"type": "list", "elements": "str"},
            "istio_namespace": {"type": "str", "default": "istio-system"},
            "revision": {"type": "str"},
            "fail_on": {"type": "str", "choices": ["error", "warning", "info", "never"], "default": "error"},
            "ignore": {"type": "list", "elements": "dict", "options": IGNORE},
            "baseline": {"type": "list", "elements": "dict"},
        },
        istio_analysis.analyze,
    )


if __name__ == "__main__":
    main()
