#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Bring several small text files to their content in one task
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Writes each file in one step, with its folders, or removes it. Only files that differ are written.
  - Contents appear in the diff, so it is not for secrets.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the file.
        type: path
        required: true
      content:
        description: Its text. Without one the file is removed.
        type: str
  mode:
    description: Permissions of the files, octal, as a string.
    type: str
    default: "0644"
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Configure the runtime
  meshops.istio.config_files:
    files:
      - path: /etc/containerd/config.toml
        content: "{{ lookup('ansible.builtin.template', 'config.toml.j2') }}"
      - path: /etc/containerd/conf.d/50-extra.toml
"""

RETURN = r"""
files: {description: Paths that were (or would be) changed., returned: always, type: list, elements: str}
"""

from ansible_collections.meshops.istio.plugins.module_utils import configfiles, runner


def main() -> None:
    spec = {
        "files": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"path": {"type": "path", "required": True}, "content": {"type": "str"}},
        },
        "mode": {"type": "str", "default": "0644"},
    }
    runner.run(spec, configfiles.write)


if __name__ == "__main__":
    main()
