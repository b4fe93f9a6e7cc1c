# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a release of Istio is called, where it lies, which machines it is for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from ansible_collections.meshops.istio.plugins.module_utils import support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.mirrors import join

VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z][0-9A-Za-z.-]*)?")
LATEST, ALL = "latest", "all"
OLDEST = (1, 24)  # as in istioctl.py, which needs Python packages that a host may not have
SYSTEMS = {"linux": "linux", "darwin": "osx", "osx": "osx"}
# armv8l is what a 32-bit user land calls a 64-bit processor; it runs the 32-bit program.
ARCHES = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64",
    "armv7l": "armv7", "armv7": "armv7", "armv8l": "armv7",
}  # fmt: skip
# The first minor that has such an archive: istio/release-builder, pkg/build/archive.go of each release branch.
SINCE = {
    ("linux", "amd64"): (1, 6), ("linux", "arm64"): (1, 6), ("linux", "armv7"): (1, 6),
    ("osx", "amd64"): (1, 6), ("osx", "arm64"): (1, 10),
}  # fmt: skip
OSX_AMD64 = (1, 19)  # from here on the name says amd64, before it was osx alone
_GITHUB = re.compile(r"(.+)/releases/download")
_FEED_TAG = re.compile(r'href="[^"]*/releases/tag/([^"/]+)"')
_UPSTREAM_FILE = re.compile(
    rf"(?P<kind>istio|istioctl)-(?P<version>{VERSION.pattern}?)-(?P<platform>(linux|osx)(-(amd64|arm64|armv7))?)\.tar\.gz"
)


@dataclass(frozen=True)
class Wish:
    """Which release is wanted, for which machine. `prefix` is what the options are called by in sentences."""

    version: str
    system: str
    machine: str
    client_only: bool
    prefix: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """Upstream's words for the machine, empty where it has none."""
        return SYSTEMS.get(self.system.lower(), ""), ARCHES.get(self.machine.lower(), "")

    @property
    def platform(self) -> Optional[str]:
        """linux-amd64, osx-arm64 … as upstream calls it in this version; None when there is no such archive."""
        minor = support.minor(self.version)
        if self.pair not in SINCE or minor < SINCE[self.pair]:
            return None
        return "osx" if self.pair == ("osx", "amd64") and minor < OSX_AMD64 else "-".join(self.pair)

    @property
    def archive(self) -> str:
        """The file upstream has for it."""
        return f"{'istioctl' if self.client_only else 'istio'}-{self.version}-{self.platform}.tar.gz"


def version_key(version: str) -> tuple[tuple[int, ...], int, str]:
    """Sort key: 1.9.0 < 1.10.0-rc.1 < 1.10.0."""
    numbers, _dash, suffix = version.partition("-")
    return tuple(int(number) for number in numbers.split(".")), 0 if suffix else 1, suffix


def release(version: str) -> str:
    """The folder of a version, in the archive and on the host."""
    return f"istio-{version}"


def addresses(mirrors: Iterable[str], version: str, file: str) -> list[str]:
    """Where that file lies on each mirror."""
    return [join(mirror, f"{version}/{file}") for mirror in mirrors]


def latest_addresses(mirrors: Iterable[str]) -> list[str]:
    """Where each mirror may say which version is the newest, in the order in which they are asked.

    GitHub's own `releases/latest` goes to whatever was published last, often a patch of an older minor
    (istio/istio issues 14843 and 26510, pull request 15449); its feed lists the last releases. Any mirror
    may have a text file `latest` beside the folders of the versions.
    """
    found = []
    for mirror in mirrors:
        github = _GITHUB.fullmatch(mirror.rstrip("/"))
        found += [f"{github[1]}/releases.atom"] if github else []
        found.append(join(mirror, LATEST))
    return found


def newest(text: str) -> Optional[str]:
    """The version in a text file `latest`, or the highest final one of a feed of releases; None when there is none."""
    if VERSION.fullmatch(text.strip()):
        return text.strip()
    final = [tag for tag in _FEED_TAG.findall(text) if VERSION.fullmatch(tag) and "-" not in tag]
    return max(final, key=version_key, default=None)


def version_problem(version: str) -> Optional[str]:
    """Why this is no version of a release, as the rest of a sentence; None when it is one."""
    if VERSION.fullmatch(version):
        return None
    bare = version.strip().lstrip("vV")
    return f"is not a full version. Write it like {bare if VERSION.fullmatch(bare) else '1.31.1'}."


def problems(wish: Wish) -> list[str]:
    """Sentences that say why this version cannot be had for this machine. Of `latest` only the machine is judged."""
    found = [] if wish.pair in SINCE else [_no_machine(wish)]
    if wish.version == LATEST:
        return found
    named = f"{wish.prefix}version {wish.version}"
    wrong = version_problem(wish.version)
    if wrong:
        return [f"{named} {wrong}", *found]
    minor, oldest = support.minor(wish.version), min(SINCE.values())
    if minor < oldest:
        text = (
            f"{named} is too old: archives for each kind of machine begin with {_text(oldest)}."
            f" Use {_text(OLDEST)} or newer, or {_text(oldest)} or newer for the client alone."
        )
        return [text, *found]
    if minor < OLDEST and not wish.client_only:
        found.append(
            f"{named} is older than {_text(OLDEST)}, the oldest Istio that this collection installs."
            f" Set {wish.prefix}client_only to true for istioctl {wish.version} alone, or use a newer version."
        )
    if minor < SINCE.get(wish.pair, oldest):
        found.append(
            f"There is no istioctl {wish.version} for {wish.system} {wish.machine}: it begins with"
            f" {_text(SINCE[wish.pair])}. Set {wish.prefix}version to that or a newer one."
        )
    return found


def _no_machine(wish: Wish) -> str:
    """The sentence for a machine that no istioctl was ever built for."""
    pairs = [f"{name} {'/'.join(arch for one, arch in SINCE if one == name)}" for name in ("linux", "osx")]
    return (
        f"There is no istioctl for {wish.system} {wish.machine}. Upstream has {' and '.join(pairs)} (osx is Darwin;"
        f" x86_64 and aarch64 are known as well): use such a host, or correct {wish.prefix}arch."
    )


def file_problems(file: str, wish: Wish) -> list[str]:
    """Sentences for what the name of a file contradicts; a name that is not upstream's says nothing."""
    subject = f"{wish.prefix}file {file}"
    if wish.version == LATEST:
        return [f"{wish.prefix}version is latest, but {subject} is one version. Set {wish.prefix}version to it."]
    match = _UPSTREAM_FILE.fullmatch(file.rpartition("/")[2])
    if not match or version_problem(wish.version):
        return []
    found = []
    if match["version"] != wish.version:
        found.append(
            f"{subject} is version {match['version']}, but {wish.prefix}version is {wish.version}. Give both the same."
        )
    # upstream still gives its old name to the file for osx-amd64
    if wish.platform and match["platform"] not in (wish.platform, "osx" if wish.platform == "osx-amd64" else ""):
        found.append(f"{subject} is for {match['platform']}, but the host needs {wish.platform}. Give that file.")
    if match["kind"] == "istioctl" and not wish.client_only:
        found.append(client_sentence(subject, wish.prefix))
    return found


def client_sentence(subject: str, prefix: str = "") -> str:
    """The sentence for a file without the rest of the release, where that was asked for."""
    return (
        f"{subject} is istioctl alone, without samples and manifests."
        f" Set {prefix}client_only to true, or give istio-VERSION-OS-ARCH.tar.gz."
    )


def member_path(name: str) -> tuple[str, ...]:
    """The parts of a name in an archive, without `.`; MeshopsError when it leads out of the folder."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        raise MeshopsError(f"The archive has a file {name!r} that would leave its folder; nothing of it is used.")
    return parts


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"
