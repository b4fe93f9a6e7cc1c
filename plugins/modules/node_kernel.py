#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_kernel
short_description: Bring kernel modules, sysctl keys and swap of a node to what Kubernetes needs
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Sets all of it now and for the next boot, in one task.
  - A kernel module that is built in counts as loaded. Keys that this kernel does not know, or that cannot be written
    here
    (as in a container), are skipped and named.
options:
  state:
    description: With V(absent) the two files are removed; what is in force stays until the next boot.
    type: str
    choices: [present, absent]
    default: present
  modules:
    description: Kernel modules to load.
    type: list
    elements: str
    default: []
  sysctl:
    description: Values by key, as C(sysctl) names them.
    type: dict
    default: {}
  swap_off:
    description: Whether to switch swap off now, and comment it out in C(/etc/fstab).
    type: bool
    default: false
  modules_file:
    description: File that names the modules to load at boot.
    type: path
    default: /etc/modules-load.d/meshops.conf
  sysctl_file:
    description: File that sets the keys at boot.
    type: path
    default: /etc/sysctl.d/99-meshops.conf
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Prepare the kernel
  meshops.istio.node_kernel:
    modules: [overlay, br_netfilter]
    sysctl: {net.ipv4.ip_forward: 1}
    swap_off: true
"""

RETURN = r"""
skipped_settings:
  description: Modules and keys that were left alone, with the reason.
  returned: always
  type: dict
  sample: {net.bridge.x: this kernel does not know it}
"""

from ansible_collections.meshops.istio.plugins.module_utils import kernel, runner


def main() -> None:
    spec = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "modules": {"type": "list", "elements": "str", "default": []},
        "sysctl": {"type": "dict", "default": {}},
        "swap_off": {"type": "bool", "default": False},
        "modules_file": {"type": "path", "default": "/etc/modules-load.d/meshops.conf"},
        "sysctl_file": {"type": "path", "default": "/etc/sysctl.d/99-meshops.conf"},
    }
    runner.run(spec, kernel.settle)


if __name__ == "__main__":
    main()
