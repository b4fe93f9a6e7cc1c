#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_pin
short_description: Install exact versions of Debian packages and hold them
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Installs, upgrades or downgrades to the exact versions and holds the packages, so that no upgrade moves them.
  - Finishes first what an interrupted run has left unconfigured, and waits while another package manager works.
  - Reads the index of one repository only, and only when something is to be installed.
options:
  packages:
    description: Full version by package name. One without a version is taken as it is, or as the repository has it.
    type: dict
    required: true
  state:
    description: V(absent) purges the packages, held or not.
    type: str
    choices: [present, absent]
    default: present
  sources_file:
    description: File in C(/etc/apt/sources.list.d) with the repository of the packages. Needed for O(state=present).
    type: path
  lock_timeout:
    description: Seconds to wait for another package manager.
    type: int
    default: 300
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Install containerd and hold it
  meshops.istio.apt_pin:
    packages: {containerd.io: 2.3.4-1~debian.13~trixie}
    sources_file: /etc/apt/sources.list.d/meshops-docker.sources
"""

RETURN = r"""
installed: {description: Packages that were (or would be) installed., returned: always, type: list, elements: str}
removed: {description: Packages that were (or would be) purged., returned: always, type: list, elements: str}
held: {description: Packages that were (or would be) held., returned: always, type: list, elements: str}
"""

from ansible_collections.meshops.istio.plugins.module_utils import apt, runner


def main() -> None:
    spec = {
        "packages": {"type": "dict", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "sources_file": {"type": "path"},
        "lock_timeout": {"type": "int", "default": 300},
    }
    runner.run(spec, apt.pin, required_if=[("state", "present", ["sources_file"])])


if __name__ == "__main__":
    main()
