# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a package repository offers, and which of its mirrors to use."""

from __future__ import annotations

import functools
import gzip
import io
import lzma
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.mirrors import MirrorError

RPM = "{http://linux.duke.edu/metadata/common}"
RPM_REPO = "{http://linux.duke.edu/metadata/repo}"
Versions = dict[str, list[str]]


def _rank(character: str) -> int:
    """Place of a character in a version: ~ before the end before letters before the rest."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare_part(left: str, right: str) -> int:
    """Order of two upstream versions or revisions by the rules of Debian policy 5.6.12."""
    while left or right:
        texts = [re.match(r"\D*", side)[0] for side in (left, right)]  # type: ignore[index]
        width = max(map(len, texts)) + 1
        ranks = [[_rank(c) for c in text] + [0] * (width - len(text)) for text in texts]
        if ranks[0] != ranks[1]:
            return -1 if ranks[0] < ranks[1] else 1
        left, right = left[len(texts[0]) :], right[len(texts[1]) :]
        numbers = [re.match(r"\d*", side)[0] for side in (left, right)]  # type: ignore[index]
        values = [int(number or 0) for number in numbers]
        if values[0] != values[1]:
            return -1 if values[0] < values[1] else 1
        left, right = left[len(numbers[0]) :], right[len(numbers[1]) :]
    return 0


def compare(left: str, right: str) -> int:
    """-1, 0 or 1: the order of two package versions [epoch:]upstream[-revision]."""
    halves = []
    for version in (left, right):
        epoch, colon, rest = version.partition(":")
        upstream, dash, revision = (rest if colon else version).rpartition("-")
        halves.append(
            (int(epoch) if colon and epoch.isdigit() else 0, *((upstream, revision) if dash else (revision, "")))
        )
    if halves[0][0] != halves[1][0]:
        return -1 if halves[0][0] < halves[1][0] else 1
    return _compare_part(halves[0][1], halves[1][1]) or _compare_part(halves[0][2], halves[1][2])


def newest_first(versions: Iterable[str]) -> list[str]:
    """Each version once, newest first."""
    return sorted(set(versions), key=functools.cmp_to_key(compare), reverse=True)


def matches(full: str, wanted: str) -> bool:
    """Is the package version `full` a build of the upstream version `wanted` (or `wanted` itself)?"""
    plain = re.sub(r"^\d+:", "", full)
    return not wanted or full == wanted or re.match(re.escape(wanted) + r"(?![.\w~])", plain) is not None


def upstream(full: str) -> str:
    """'1:2.3.4-1~debian.12' -> '2.3.4'."""
    return re.sub(r"^\d+:", "", full).partition("-")[0]


def parse_packages(text: str, names: list[str], architecture: str) -> Versions:
    """Versions in a Debian Packages index, by package name. architecture '' takes all."""
    found: Versions = {name: [] for name in names}
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(Package|Version|Architecture):[ \t]*(\S+)", stanza, re.MULTILINE))
        if fields.get("Package") in found and fits(fields.get("Architecture", "all"), architecture):
            found[fields["Package"]].append(fields.get("Version", ""))
    return {name: newest_first(versions) for name, versions in found.items()}


def fits(offered: str, architecture: str) -> bool:
    """Does a package of the architecture `offered` run on `architecture`?"""
    return not architecture or offered in (architecture, "all", "noarch")


def parse_primary(document: bytes, names: list[str], architecture: str) -> Versions:
    """Versions in an rpm primary.xml, by package name, as version-release with an epoch when it has one."""
    found: Versions = {name: [] for name in names}
    for package in _xml(document).iter(f"{RPM}package"):
        name, arch = package.findtext(f"{RPM}name") or "", package.findtext(f"{RPM}arch") or "noarch"
        version = package.find(f"{RPM}version")
        if name in found and version is not None and fits(arch, architecture):
            epoch = version.get("epoch", "0")
            found[name].append((f"{epoch}:" if epoch != "0" else "") + f"{version.get('ver')}-{version.get('rel')}")
    return {name: newest_first(versions) for name, versions in found.items()}


def primary_location(document: bytes) -> str:
    """Path of primary.xml inside the repository, from its repomd.xml. Raises MirrorError."""
    for data in _xml(document).iter(f"{RPM_REPO}data"):
        location = data.find(f"{RPM_REPO}location")
        if data.get("type") == "primary" and location is not None:
            return location.get("href", "")
    raise MirrorError("its repomd.xml names no primary index")


def _xml(document: bytes) -> ET.Element:
    """Root of an XML document. Raises MirrorError. Entities are refused: an index has none, a trap has."""
    if b"<!ENTITY" in document:
        raise MirrorError("its index declares XML entities")
    try:
        return ET.fromstring(document)  # noqa: S314
    except ET.ParseError as error:
        raise MirrorError(f"its index is no XML ({error})") from error


def unpack(name: str, data: bytes) -> bytes:
    """The content of an index, decompressed by the ending of its name; no more than four times mirrors.SMALL."""
    try:
        if name.endswith(".gz"):
            return gzip.GzipFile(fileobj=io.BytesIO(data)).read(4 * mirrors.SMALL)
        if name.endswith(".xz"):
            return lzma.LZMAFile(io.BytesIO(data)).read(4 * mirrors.SMALL)
        if name.endswith(".zst"):
            return _unzstd(data)
    except (OSError, lzma.LZMAError, EOFError, zlib.error) as error:
        raise MirrorError(f"its index {name.rpartition('/')[2]} cannot be unpacked ({error})") from error
    return data


def _unzstd(data: bytes) -> bytes:
    """zstd by the command of that name: Python has it only from 3.14 on."""
    command = shutil.which("zstd")
    if not command:
        raise MirrorError("its index is packed with zstd; install the package zstd on this host")
    done = subprocess.run([command, "-d", "-c"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise MirrorError("its index cannot be unpacked by zstd")
    return done.stdout


def read_index(base: str, index: str, names: list[str], architecture: str, timeout: float) -> Versions:
    """Versions of the packages that one index of one mirror offers. Raises MirrorError."""
    data = mirrors.fetch(mirrors.join(base, index), timeout)
    if index.endswith("repomd.xml"):
        location = primary_location(data)
        root = index.removesuffix("repodata/repomd.xml").removesuffix("repomd.xml")
        primary = mirrors.fetch(mirrors.join(base, root + location), timeout)
        return parse_primary(unpack(location, primary), names, architecture)
    text = unpack(index, data).decode("utf-8", "replace")
    if not re.search(r"^Package:", text, re.MULTILINE):
        raise MirrorError(f"{index} is no index of packages")
    return parse_packages(text, names, architecture)


def read_first_index(base: str, params: dict[str, Any]) -> Versions:
    """The first of the possible indexes that this mirror has. Raises MirrorError with the last cause."""
    cause = MirrorError("no index is given")
    for index in params["index"]:
        try:
            return read_index(base, index, params["packages"], params["architecture"], params["timeout"])
        except MirrorError as error:
            cause = error
            if "HTTP status 404" not in str(error):
                break  # a dead host does not answer for another path either
    raise cause


def offer(base: str, params: dict[str, Any]) -> Versions:
    """The versions on this mirror; one that lacks a wanted package or version is no good answer."""
    versions = read_first_index(base, params)
    for name in params["packages"]:
        if not versions[name]:
            raise MirrorError(f"it has no package {name}")
        if not any(matches(full, params["version"]) for full in versions[name]):
            has = ", ".join(dict.fromkeys(upstream(full) for full in versions[name][:20]))
            raise MirrorError(f"it has no {name} {params['version']}, it has {has}")
    return versions


def dpkg_installed(names: list[str], statuses: tuple[str, ...] = ("installed",)) -> dict[str, dict[str, Any]]:
    """What dpkg says of the packages: {name: {version, held}} of those in one of its statuses; () is any but gone."""
    form = "${Package}\t${Version}\t${db:Status-Status}\t${db:Status-Want}\n"
    lines = _query(["dpkg-query", "-W", "-f", form, "--", *names])
    rows = [line.split("\t") for line in lines if line.count("\t") == 3]

    def wanted(status: str) -> bool:
        return status in statuses if statuses else status != "not-installed"

    return {row[0]: {"version": row[1], "held": row[3] == "hold"} for row in rows if wanted(row[2])}


def rpm_installed(names: list[str]) -> dict[str, dict[str, Any]]:
    """What rpm says of the packages. It knows no hold; versionlock is dnf's."""
    rows = [line.split("\t") for line in _query(["rpm", "-q", "--qf", "%{NAME}\t%{VERSION}-%{RELEASE}\n", *names])]
    return {row[0]: {"version": row[1], "held": False} for row in rows if len(row) == 2}


def _query(argv: list[str]) -> list[str]:
    """Lines that a package manager's query prints; it ends with 1 when one of the packages is not there."""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()


def installed(names: list[str]) -> dict[str, dict[str, Any]]:
    """The packages that are installed on this host: {name: {version: str, held: bool}}."""
    if shutil.which("dpkg-query"):
        return dpkg_installed(names)
    return rpm_installed(names) if shutil.which("rpm") else {}


def named_in(path: str, urls: list[str]) -> str:
    """The mirror that a sources file names; '' when it names none of them."""
    try:
        words = Path(path).read_text(encoding="utf-8", errors="replace").split() if path else []
    except OSError:
        return ""
    texts = [word.partition("=")[2] if word.startswith("baseurl=") else word for word in words]
    for url in urls:
        if any(text.rstrip("/") == url.rstrip("/") or text.startswith(url.rstrip("/") + "/") for text in texts):
            return url
    return ""


def find(
    params: dict[str, Any], check_mode: bool, installed_of: Callable[[list[str]], dict[str, Any]] = installed
) -> dict[str, Any]:
    """Core of the module repository_find: params as in its documentation; never changes anything."""
    del check_mode  # a pure read
    names, version = params["packages"], params["version"]
    have = installed_of(names)
    in_use = named_in(params["sources_file"], params["urls"])
    result: dict[str, Any] = {
        "changed": False, "url": in_use, "version": version, "versions": {}, "candidates": {}, "failures": [],
        "installed": have, "problem": "",
        "current": all(name in have and matches(have[name]["version"], version) for name in names),
    }  # fmt: skip
    if result["current"] and in_use and version:
        return {**result, "candidates": {name: have[name]["version"] for name in names}}
    # the mirror in use goes first, so that one which was down last time does not make a change of its own
    urls = [in_use, *(url for url in params["urls"] if url != in_use)] if in_use else params["urls"]
    label = f"{names[0]} {version}".strip()
    hint = "Give a mirror that can be reached and has it, or choose a version from those named."
    try:
        outcome = mirrors.first_good(urls, lambda url: offer(url, params), f"The repository with {label}", hint)
    except MeshopsError as error:
        if params["fail_on_problem"]:
            raise
        return {**result, "url": in_use or (urls[0] if urls else ""), "problem": str(error)}
    candidates = {name: next(full for full in found if matches(full, version)) for name, found in outcome.value.items()}
    keep = {"url": outcome.url, "versions": outcome.value, "candidates": candidates, "failures": outcome.failures}
    return {**result, **keep}
