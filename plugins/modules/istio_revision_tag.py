#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_revision_tag
short_description: Point a revision tag to an Istio control plane, or remove it
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - A revision tag is a name that namespaces use as the value of their label C(istio.io/rev), and that is moved from one
    control plane to the next. The tag C(default) also serves C(istio-injection=enabled).
  - Reads the tag's objects, and runs C(istioctl tag set) or C(istioctl tag remove) only when they differ.
  - Afterwards the tag's webhook leads to the revision, and a dry-run pod that asks for the tag gets its sidecar.
  - Running pods keep their sidecars when a tag moves; see M(meshops.istio.istio_injection).
  - When the tag C(default) is removed, the validator that istioctl before 1.31 leaves behind is deleted as well.
options:
  name:
    description: Name of the tag, a DNS label of at most 43 characters that is not the name of a revision.
    type: str
    required: true
  revision:
    description:
      - The revision that the tag points to, C(default) for the unnamed one. Needed with O(state=present).
      - In check mode a revision that is not there yet is only a warning.
    type: str
  istioctl:
    description:
      - Path or name of istioctl, on the host that runs the module. At least 1.24, and at most one minor version away
        from the revision.
    type: str
    default: istioctl
  force:
    description: Remove the tag although namespaces or workloads use it. Their new pods then start without a sidecar.
    type: bool
    default: false
  timeout:
    description: How long to wait until pods get the sidecar of the revision, in seconds.
    type: int
    default: 60
  state:
    description: Whether the tag points to O(revision), or does not exist.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
seealso:
  - module: meshops.istio.istio_injection
  - module: meshops.istio.istio_control_plane
"""

EXAMPLES = r"""
- name: Move the tag of the production namespaces to the new control plane
  meshops.istio.istio_revision_tag:
    name: prod
    revision: 1-31-1
    istioctl: /opt/istio/current/bin/istioctl

- name: Remove a tag that no namespace uses any more
  meshops.istio.istio_revision_tag:
    name: canary
    state: absent
"""

RETURN = r"""
revision:
  description: The revision that the tag points to; empty when it is removed.
  returned: success
  type: str
  sample: 1-31-1
previous:
  description: The revision that it pointed to before; empty when there was no tag.
  returned: success
  type: str
  sample: 1-30-5
reason:
  description: What differed, in words; empty when nothing did.
  returned: success
  type: str
  sample: the tag points to revision 1-30-5
namespaces:
  description: The namespaces that use the tag.
  returned: success
  type: list
  elements: str
  sample: [bookinfo]
workloads:
  description: With O(state=absent), workloads of other namespaces that ask for the tag by labels of their own.
  returned: success
  type: list
  elements: str
  sample: [Deployment istio-system/istio-ingressgateway]
"""

from ansible_collections.meshops.istio.plugins.module_utils import kube, revision_tags, runner


def main() -> None:
    runner.run({**kube.KUBE_ARGS, **revision_tags.ARGS}, revision_tags.core, **revision_tags.RULES)


if __name__ == "__main__":
    main()
