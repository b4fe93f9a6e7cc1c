#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_key
short_description: Install the signing key of a package repository after checking its fingerprint
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Takes the key from the first mirror that serves one with a wanted fingerprint, and no other key beside it.
  - The fingerprint is computed here; neither gpg nor an apt keyring tool is needed on the host.
  - The file is written in ASCII armour, which apt (C(Signed-By)) and rpm (C(gpgkey)) both read.
options:
  urls:
    description: Addresses of the key, armoured or binary, in the order in which they are tried.
    type: list
    elements: str
    required: true
  fingerprints:
    description: Full fingerprints of the keys that are trusted. Blanks and case do not matter.
    type: list
    elements: str
    required: true
  dest:
    description: Path of the key file, best with the ending C(.asc). Its folder must exist.
    type: path
    required: true
  refresh:
    description: Fetch the key again although it is there, for instance because its expiry was extended.
    type: bool
    default: false
  timeout:
    description: Seconds without an answer after which a mirror is given up.
    type: int
    default: 20
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Trust Docker's repository
  meshops.istio.repository_key:
    urls: [https://download.docker.com/linux/debian/gpg]
    fingerprints: ["9DC8 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88"]
    dest: /etc/apt/keyrings/docker.asc
"""

RETURN = r"""
dest: {description: Path of the key file., returned: always, type: str}
url: {description: "The mirror that gave the key, empty when it was there.", returned: always, type: str}
fingerprints: {description: Fingerprints of the keys in the file., returned: always, type: list, elements: str}
failures:
  description: The mirrors that gave no correct answer before the one that was used.
  returned: always
  type: list
  elements: dict
  contains:
    url: {description: Address of the mirror., type: str, returned: always}
    error: {description: Why it was passed over., type: str, returned: always}
"""

from ansible_collections.meshops.istio.plugins.module_utils import openpgp, runner


def main() -> None:
    spec = {
        "urls": {"type": "list", "elements": "str", "required": True},
        "fingerprints": {"type": "list", "elements": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "refresh": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 20},
    }
    runner.run(spec, openpgp.install_key)


if __name__ == "__main__":
    main()
