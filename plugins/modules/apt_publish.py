#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_publish
short_description: Publish folders of .deb files as signed apt repositories
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Makes the indexes, signs them with a key of this host (created on first use) and puts each repository in place in
    one step.
  - A repository is rebuilt only when its packages, its description or the key changed.
  - The public key lies in each repository as C(Release.key) and C(gpg), its fingerprint in the web root as
    C(fingerprint).
  - Needs C(gpg) and C(dpkg-deb) on the host.
options:
  root:
    description: Folder that a web server serves.
    type: path
    required: true
  gnupg_home:
    description: Folder for the signing key, readable by root alone.
    type: path
    required: true
  key_name:
    description: User id of the signing key.
    type: str
    default: meshops mirror
  repositories:
    description: The repositories.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Folder below the web root, as upstream names it.
        type: str
        required: true
      layout:
        description:
          - V(flat) as pkgs.k8s.io has it, or V(dists) with suites and a component as Docker has it.
          - V(auto) is V(dists) where O(repositories[].suites) are named, else V(flat).
        type: str
        choices: [auto, flat, dists]
        default: auto
      suites:
        description: Suites of the layout V(dists).
        type: list
        elements: str
        default: []
      component:
        description: Component of the layout V(dists).
        type: str
        default: stable
      packages_dir:
        description: Folder with the .deb files. A folder inside it with the name of a suite holds the files of that
          suite alone.
        type: path
        required: true
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Publish the packages
  meshops.istio.apt_publish:
    root: /srv/mirror/www
    gnupg_home: /srv/mirror/gnupg
    repositories:
      - path: kubernetes/core:/stable:/v1.36/deb
        packages_dir: /srv/mirror/packages/kubernetes
      - path: docker/linux/debian
        suites: [bookworm, trixie]
        packages_dir: /srv/mirror/packages/docker
"""

RETURN = r"""
fingerprint:
  description: Fingerprint of the signing key, empty in check mode before there is one.
  returned: always
  type: str
rebuilt:
  description: Paths of the repositories that were (or would be) rebuilt.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.meshops.istio.plugins.module_utils import aptrepo, runner


def main() -> None:
    spec = {
        "root": {"type": "path", "required": True},
        "gnupg_home": {"type": "path", "required": True},
        "key_name": {"type": "str", "default": "meshops mirror"},
        "repositories": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "path": {"type": "str", "required": True},
                "layout": {"type": "str", "choices": ["auto", "flat", "dists"], "default": "auto"},
                "suites": {"type": "list", "elements": "str", "default": []},
                "component": {"type": "str", "default": "stable"},
                "packages_dir": {"type": "path", "required": True},
            },
        },
    }
    runner.run(spec, aptrepo.publish)


if __name__ == "__main__":
    main()
