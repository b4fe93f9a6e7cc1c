#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_release
short_description: Have releases of Istio, or istioctl alone, side by side in a folder
version_added: 0.3.0
author: [meshops maintainers (@meshops)]
description:
  - Brings a release to C(istio-VERSION) in a folder, from the first mirror that has the right archive, or from a file.
  - The archive is verified, its istioctl is asked for its version, and only then the release appears, in one step. A
    record beside it says what was unpacked, so that nothing else is ever removed.
  - What a killed run left is removed by the next one. Two runs in the same folder wait for each other.
options:
  state:
    description: Whether the version is there.
    type: str
    choices: [present, absent]
    default: present
  version:
    description:
      - A version in full, such as V(1.31.1); with O(state=absent) also V(all).
      - V(latest) is the highest final version in the feed of releases beside a mirror that has GitHub's addresses,
        C(…/releases/download), or else the one in a text file C(latest) on the mirror. It is looked up in each run.
      - From 1.24 on. Of 1.6 to 1.23 there is the client alone, see O(client_only); older ones are refused.
    type: str
    required: true
  dir:
    description: Folder of the releases.
    type: path
    default: /opt/istio
  file:
    description:
      - An archive of a release, an archive of istioctl alone, or istioctl itself, on the controller. It is brought to
        the host when that does not have it yet, and no mirror is asked.
      - O(version) must be that of the file. Another file of the same version replaces the one before.
    type: path
  mirrors:
    description: Addresses that have C(VERSION/istio-VERSION-OS-ARCH.tar.gz) below them, in the order in which they are
      tried.
    type: list
    elements: str
    default: [https://github.com/istio/istio/releases/download]
  checksum:
    description: Checksum of the archive or O(file), C(sha256:) and 64 hexadecimal digits. When unset, the file
      C(.sha256) beside the archive on a mirror counts.
    type: str
  client_only:
    description: Whether istioctl alone will do, without samples, manifests and tools. A whole release will do as well.
    type: bool
    default: false
  arch:
    description: Kind of processor, C(amd64) or C(x86_64), C(arm64) or C(aarch64), or C(armv7); the host's own when
      unset.
    type: str
  current:
    description: Whether the link C(current) in the folder names this version. It goes with the version that it names.
    type: bool
    default: true
  timeout:
    description: Seconds of silence after which a mirror is given up.
    type: int
    default: 30
extends_documentation_fragment: [meshops.istio.attributes]
"""

EXAMPLES = r"""
- name: Have the newest release
  meshops.istio.istio_release:
    version: latest

- name: Have an older client beside it
  meshops.istio.istio_release:
    version: 1.23.6
    client_only: true
    current: false

- name: Have a release from a file
  meshops.istio.istio_release:
    version: 1.31.1
    file: ~/istio-1.31.1-linux-amd64.tar.gz

- name: Remove all that was brought
  meshops.istio.istio_release:
    version: all
    state: absent
"""

RETURN = r"""
version: {description: "The version, in full.", returned: when present, type: str, sample: 1.31.1}
path: {description: Folder of the version., returned: when present, type: str, sample: /opt/istio/istio-1.31.1}
istioctl: {description: Path of its istioctl., returned: when present, type: str}
current: {description: "The folder that the link names, empty without a link.", returned: success, type: str}
installed: {description: "Versions that can be used, oldest first.", returned: success, type: list, elements: str}
url: {description: "The mirror that gave the archive, empty when none was asked.", returned: when present, type: str}
failures:
  description: The mirrors that gave no correct answer before the one that was used.
  returned: when present
  type: list
  elements: dict
  contains:
    url: {description: Address., type: str, returned: always}
    error: {description: Why it was passed over., type: str, returned: always}
"""

from ansible_collections.meshops.istio.plugins.module_utils import istio_release_core, runner


def main() -> None:
    runner.run(istio_release_core.ARGS, istio_release_core.core)


if __name__ == "__main__":
    main()
