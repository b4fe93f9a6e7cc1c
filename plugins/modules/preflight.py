#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Report everything that is wrong at once, before the first change
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Collects the sentences of all checks that do not hold, and fails with the whole list, numbered.
  - The list grows over the tasks of one run in the fact C(meshops_problems) of the host, each sentence once.
  - It runs on the controller and asks nothing of the host, in check mode as well.
options:
  checks:
    description: What must hold.
    type: list
    elements: dict
    default: []
    suboptions:
      that:
        description: Whether it holds, as the result of an expression in double braces.
        type: raw
        required: true
      msg:
        description: The sentence for the user; it names the object, the cause and the next step.
        type: str
        required: true
  problems:
    description: Sentences that were found otherwise, such as by a filter. Empty ones do not count.
    type: list
    elements: str
    default: []
  role:
    description:
      - Name of a role of this collection. Variables that look like mistyped options of it become problems, each with
        the nearest option. Variables that are like no option belong to somebody else and are left alone.
    type: str
  defer:
    description: Collect only; a later task without it fails with everything found until then.
    type: bool
    default: false
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Check the input
  meshops.istio.preflight:
    role: flannel
    checks:
      - that: "{{ flannel_network == kubeadm_pod_cidr }}"
        msg: flannel_network and kubeadm_pod_cidr differ. Give both the same network.
    defer: "{{ preflight_defer | default(false) }}"
"""

RETURN = r"""
problems: {description: All sentences of this host so far., returned: always, type: list, elements: str}
"""
