#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: download
short_description: Download a file from the first mirror that has the right one
version_added: 0.1.0
author: [meshops maintainers (@meshops)]
description:
  - Tries ordered mirrors until one gives the file with the wanted sha256 checksum, and puts it in its place in one
    step.
  - A wrong or cut off answer is removed and the next mirror is tried. The failure names every mirror with its error.
  - A file that is there already with the right checksum is not asked for again, so a second run needs no network.
options:
  urls:
    description: Addresses of the same file, in the order in which they are tried.
    type: list
    elements: str
    required: true
  checksum:
    description: Wanted checksum, as C(sha256:) and 64 hexadecimal digits.
    type: str
  checksum_urls:
    description:
      - Addresses of a checksum file, tried in order, when O(checksum) is not known beforehand.
      - It has one digest, or lines as C(sha256sum) writes them; the one with the name of the first of O(urls) counts.
      - What was verified is kept beside the file as O(dest) with the ending C(.sha256).
    type: list
    elements: str
  dest:
    description: Path of the file. Its folder must exist.
    type: path
    required: true
  mode:
    description: Permissions of the file, octal, as a string.
    type: str
    default: "0644"
  timeout:
    description: Seconds without an answer, or without a further byte, after which a mirror is given up.
    type: int
    default: 20
  total_timeout:
    description: Seconds for the whole file from one mirror.
    type: int
    default: 900
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Get the release from our mirror or else from upstream
  meshops.istio.download:
    urls:
      - http://mirror.example/istio-1.31.1-linux-amd64.tar.gz
      - https://github.com/istio/istio/releases/download/1.31.1/istio-1.31.1-linux-amd64.tar.gz
    checksum_urls:
      - https://github.com/istio/istio/releases/download/1.31.1/istio-1.31.1-linux-amd64.tar.gz.sha256
    dest: /opt/istio/istio-1.31.1-linux-amd64.tar.gz
"""

RETURN = r"""
dest: {description: Path of the file., returned: always, type: str}
url: {description: "The mirror that gave the file, empty when nothing was downloaded.", returned: always, type: str}
checksum:
  description: The verified checksum, empty in check mode when it is not known.
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

from ansible_collections.meshops.istio.plugins.module_utils import mirrors, runner


def main() -> None:
    spec = {
        "urls": {"type": "list", "elements": "str", "required": True},
        "checksum": {"type": "str"},
        "checksum_urls": {"type": "list", "elements": "str"},
        "dest": {"type": "path", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "timeout": {"type": "int", "default": 20},
        "total_timeout": {"type": "int", "default": 900},
    }
    runner.run(
        spec,
        mirrors.download,
        mutually_exclusive=[("checksum", "checksum_urls")],
        required_one_of=[("checksum", "checksum_urls")],
    )


if __name__ == "__main__":
    main()
