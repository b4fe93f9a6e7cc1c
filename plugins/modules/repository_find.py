#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_find
short_description: Find the first package repository that has the wanted packages
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Reads the index of each mirror in order and stops at the first that has all packages in the wanted version.
  - Changes nothing, and runs in check mode as well.
  - When the packages are installed in the wanted version and O(sources_file) names one of O(urls), no mirror is asked
    at all.
options:
  urls:
    description: Base addresses of the same repository, in the order in which they are tried.
    type: list
    elements: str
    required: true
  index:
    description:
      - Paths of the index below the base address; the first that exists counts.
      - Understood are Debian's C(Packages) (plain, .gz, .xz) of flat and dists layouts, and C(repomd.xml) of rpm
        repositories.
    type: list
    elements: str
    default: [Packages.gz, Packages]
  packages:
    description: Names of the packages to look for.
    type: list
    elements: str
    required: true
  version:
    description: Upstream version that all of them must have, without the revision of the package. Empty takes the
      newest of each.
    type: str
    default: ""
  architecture:
    description: The repository's word for the architecture, such as V(amd64) or V(x86_64). Empty takes all.
    type: str
    default: ""
  sources_file:
    description: File that names the repository in use. A mirror that is named there is tried first, so that a choice
      lasts.
    type: path
    default: ""
  fail_on_problem:
    description: Whether to fail when no mirror will do, or to return the sentence as RV(problem).
    type: bool
    default: true
  timeout:
    description: Seconds without an answer after which a mirror is given up.
    type: int
    default: 20
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Find a repository that has the wanted containerd
  meshops.istio.repository_find:
    urls: [http://mirror.example/docker/linux/debian, https://download.docker.com/linux/debian]
    index: [dists/trixie/stable/binary-amd64/Packages.gz]
    packages: [containerd.io]
    version: 2.3.4
  register: found
"""

RETURN = r"""
url: {description: Base address of the repository to use., returned: always, type: str}
version: {description: The version that was asked for., returned: always, type: str}
versions:
  description: Versions that the repository has, newest first, by package; empty when it was not asked.
  returned: always
  type: dict
candidates:
  description: Full version to install, by package.
  returned: always
  type: dict
  sample: {containerd.io: 2.3.4-1~debian.13~trixie}
installed:
  description: Version and hold of the packages that are installed.
  returned: always
  type: dict
  sample: {kubeadm: {held: true, version: 1.36.3-1.1}}
current: {description: Whether all packages are installed in the wanted version., returned: always, type: bool}
problem:
  description: The sentence of the failure with O(fail_on_problem=false), else empty.
  returned: always
  type: str
failures:
  description: The mirrors that gave no correct answer before the one that was used.
  returned: always
  type: list
  elements: dict
  contains:
    url: {description: Address of the mirror., type: str, returned: always}
    error: {description: Why it was passed over., type: str, returned: always}
"""

from ansible_collections.meshops.istio.plugins.module_utils import repositories, runner


def main() -> None:
    spec = {
        "urls": {"type": "list", "elements": "str", "required": True},
        "index": {"type": "list", "elements": "str", "default": ["Packages.gz", "Packages"]},
        "packages": {"type": "list", "elements": "str", "required": True},
        "version": {"type": "str", "default": ""},
        "architecture": {"type": "str", "default": ""},
        "sources_file": {"type": "path", "default": ""},
        "fail_on_problem": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 20},
    }
    runner.run(spec, repositories.find)


if __name__ == "__main__":
    main()
