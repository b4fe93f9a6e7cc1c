#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_up
short_description: Keep a systemd service running with its present configuration
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Enables and starts a service, and restarts it when one of its files is newer than its process.
  - A handler is lost when a run is killed between the change of a file and the restart. This is not.
options:
  name:
    description: Name of the service.
    type: str
    required: true
  files:
    description: Files the service reads when it starts, and folders whose direct content it reads then.
    type: list
    elements: path
    default: []
  files_changed:
    description: Whether this run changed one of them. Only check mode needs to be told, for then the files stay as
      they are.
    type: bool
    default: false
  enabled:
    description: Whether the service starts at boot. V(false) leaves that as it is.
    type: bool
    default: true
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Have containerd run with its present configuration
  meshops.istio.service_up:
    name: containerd
    files: [/etc/containerd/config.toml, /etc/containerd/conf.d]
"""

RETURN = r"""
actions:
  description: What systemctl was asked to do, in order.
  returned: always
  type: list
  elements: str
  sample: [enable, start]
"""

from ansible_collections.meshops.istio.plugins.module_utils import runner, units


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "files_changed": {"type": "bool", "default": False},
        "enabled": {"type": "bool", "default": True},
    }
    runner.run(spec, units.up)


if __name__ == "__main__":
    main()
