# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: core of the module istio_release."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import istio_release as names
from ansible_collections.meshops.istio.plugins.module_utils import istio_release_files as files
from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

ARGS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "version": {"type": "str", "required": True},
    "dir": {"type": "path", "default": "/opt/istio"},
    "file": {"type": "path"},
    "mirrors": {"type": "list", "elements": "str", "default": ["https://github.com/istio/istio/releases/download"]},
    "checksum": {"type": "str"},
    "client_only": {"type": "bool", "default": False},
    "arch": {"type": "str"},
    "current": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
}
TOTAL = 900  # seconds for the whole archive from one mirror
State = dict[str, str]  # folder or link -> what it is, for the diff


def core(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have a release, or have it away: params as in the module's documentation."""
    folder = Path(params["dir"])
    if os.path.lexists(folder) and not folder.is_dir():
        raise MeshopsError(f"dir {folder} is no folder. Give one, or a path where nothing is.")
    try:
        return (absent if params["state"] == "absent" else present)(params, check_mode)
    except OSError as error:
        raise MeshopsError(
            f"{error.filename or params['dir']} cannot be changed: {error.strerror or error}."
            " Use become, or give a folder that this user may write to."
        ) from error


def present(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring a version into the folder when it is not there, and let the link name it."""
    folder = Path(params["dir"])
    wish = the_wish(params, folder)
    problem = files.link_problem(folder) if params["current"] else None
    if problem:
        raise MeshopsError(problem)
    checksum = mirrors.parse_checksum(params["checksum"]) if params["checksum"] else ""
    target = names.release(wish.version)
    needed = not good(files.look(folder / target), wish, checksum, bool(params["file"]))
    before = overview(folder)
    after = {**tidy(before), **({target: kind(wish.client_only)} if needed else {})}
    after.update({files.CURRENT: target} if params["current"] else {})
    changed = needed or after != before
    got: dict[str, Any] = {"url": "", "failures": []}
    if changed:
        writable(folder)
    if changed and check_mode and needed and params["file"] and Path(params["file"]).exists():
        files.unpack(Path(params["file"]), wish, None)
    elif changed and not check_mode:
        with files.workshop(folder) as staging:
            # another run may have brought it while this one waited for the lock
            if not good(files.look(folder / target), wish, checksum, bool(params["file"])):
                got = bring(params, wish, staging, folder / target)
            if params["current"] and files.current(folder) != target:
                files.link(folder, staging, target)
    return {
        **answer(folder, changed, before, after),
        **got,
        "version": wish.version,
        "path": str(folder / target),
        "istioctl": str(folder / target / files.BINARY),
        "warnings": [f"{one['url']} was passed over: {one['error']}." for one in got["failures"]],
    }


def the_wish(params: Mapping[str, Any], folder: Path) -> names.Wish:
    """What is wanted, with `latest` looked up; all that is wrong with it is one MeshopsError."""
    machine = params["arch"] or platform.machine()
    wish = names.Wish(params["version"], platform.system(), machine, params["client_only"])
    found = names.problems(wish) + (names.file_problems(params["file"], wish) if params["file"] else [])
    if wish.version == names.LATEST and params["checksum"]:
        found.append("A checksum belongs to one version, but version is latest. Give the version in full.")
    if not params["mirrors"] and not params["file"]:
        found.append("mirrors is empty. Give at least one address that has the releases of Istio.")
    if found:
        raise MeshopsError(" ".join(found))
    if wish.version != names.LATEST:
        return wish
    wish = names.Wish(latest(params, folder), wish.system, wish.machine, wish.client_only)
    found = names.problems(wish)
    if found:
        raise MeshopsError(" ".join(found))
    return wish


def latest(params: Mapping[str, Any], folder: Path) -> str:
    """The newest version according to the first mirror that says one; MeshopsError when none does."""

    def ask(url: str) -> str:
        version = names.newest(mirrors.fetch(url, params["timeout"], 4 << 20).decode("utf-8", "replace"))
        if version is None:
            raise mirrors.MirrorError("it names no release of Istio")
        return version

    there = [one for one in files.versions(folder) if files.look(folder / names.release(one))]
    known = f" {' and '.join(there)} {'are' if len(there) > 1 else 'is'} installed in {folder}." if there else ""
    hint = f"Give version in full, or a mirror that says what is newest.{known}"
    return mirrors.first_good(names.latest_addresses(params["mirrors"]), ask, "The newest version of Istio", hint).value


def good(found: Optional[files.Installed], wish: names.Wish, checksum: str, from_file: bool) -> bool:
    """Tell whether what is installed is what is wished.

    A release whose origin is not known was verified when it came from a mirror; a file may be another build.
    """
    if found is None or (found.client_only and not wish.client_only):
        return False
    return not checksum or found.sha256 == checksum or not (found.sha256 or from_file)


def bring(params: dict[str, Any], wish: names.Wish, staging: Path, home: Path) -> dict[str, Any]:
    """Get, verify, unpack, try and place a version; return where it came from."""
    source = Path(params["file"]) if params["file"] else staging / wish.archive
    got: dict[str, Any] = {"url": "", "failures": []}
    if params["file"]:
        digest = mirrors.file_digest(str(source)) or ""
        if params["checksum"] and digest != mirrors.parse_checksum(params["checksum"]):
            raise MeshopsError(f"{source.name} has the checksum sha256:{digest}, not {params['checksum']}.")
    else:
        got = download(params, wish, source)
        digest = got.pop("checksum")
    staged = staging / home.name
    unpacked = files.unpack(source, wish, staged)
    files.check_binary(staged, wish.version, source.name)
    files.place(staged, home, files.Record(source.name, digest, wish.client_only, unpacked))
    return got


def download(params: Mapping[str, Any], wish: names.Wish, dest: Path) -> dict[str, Any]:
    """Download the archive from the first mirror that has the right one."""
    urls = names.addresses(params["mirrors"], wish.version, wish.archive)
    sums = None if params["checksum"] else [f"{url}.sha256" for url in urls]
    options = {"urls": urls, "checksum": params["checksum"], "checksum_urls": sums, "dest": str(dest)}
    done = mirrors.download({**options, "mode": "0600", "timeout": params["timeout"], "total_timeout": TOTAL}, False)
    return {
        "url": done["url"],
        "failures": done["failures"],
        "checksum": mirrors.parse_checksum(done["checksum"]),
    }


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Remove one version or all that this collection unpacked, and the link when it names one of them."""
    folder, version = Path(params["dir"]), params["version"]
    if version != names.ALL and names.version_problem(version):
        raise MeshopsError(f"version {version} cannot be removed. Write a version in full, or all.")
    every = files.versions(folder)
    homes = [folder / names.release(one) for one in every if version in (names.ALL, one)]
    ours = [home for home in homes if files.is_ours(home) or (version != names.ALL and files.has_binary(home))]
    warnings = [
        f"{home} was not unpacked by this collection and stays. Name its version to remove it."
        for home in homes
        if version == names.ALL and home not in ours and files.has_binary(home)
    ]
    gone = {home.name for home in ours}
    unlink = files.current(folder) in gone or (version == names.ALL and dangling(folder))
    kept = {str(home): files.strangers(home) for home in ours}
    before = overview(folder)
    after = {name: what for name, what in tidy(before).items() if name not in gone}
    if unlink:
        after.pop(files.CURRENT, None)
    changed = bool(ours) or after != before
    if changed:
        writable(folder)
    if changed and not check_mode:
        take_away(folder, ours, unlink)
    warnings += [
        f"{home} stays, for the sake of what others put there: {', '.join(k)}." for home, k in kept.items() if k
    ]
    return {**answer(folder, changed, before, after), "warnings": warnings}


def take_away(folder: Path, homes: list[Path], unlink: bool) -> None:
    """Remove the link first, so that it never names what is half gone; then the versions, and an empty folder."""
    with files.workshop(folder):
        if unlink:
            (folder / files.CURRENT).unlink(missing_ok=True)
        for home in homes:
            files.remove(home)
    if not any(folder.iterdir()):
        folder.rmdir()


def writable(folder: Path) -> None:
    """Raise PermissionError, in check mode as well, when this user cannot write where he would have to."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def dangling(folder: Path) -> bool:
    """Tell whether the link names a version that is not there."""
    target = files.current(folder)
    return target.startswith("istio-") and not os.path.lexists(folder / target)


def kind(client_only: bool) -> str:
    """What a version is, in words."""
    return "client alone" if client_only else "whole release"


def overview(folder: Path) -> State:
    """What can be used in the folder, for the diff."""
    found = {names.release(one): files.look(folder / names.release(one)) for one in files.versions(folder)}
    state = {name: kind(one.client_only) for name, one in found.items() if one}
    state.update({path.name: "left by a run that was killed" for path in files.leftovers(folder)})
    target = files.current(folder)
    return {**state, files.CURRENT: target} if target else state


def tidy(state: State) -> State:
    """The same without what killed runs left."""
    return {name: what for name, what in state.items() if not name.startswith(files.STAGING)}


def answer(folder: Path, changed: bool, before: State, after: State) -> dict[str, Any]:
    """The part of the result that both states have."""
    sides = {
        side: "".join(f"{name}: {what}\n" for name, what in sorted(state.items()))
        for side, state in (("before", before), ("after", after))
    }
    return {
        "changed": changed,
        "current": after.get(files.CURRENT, ""),
        "installed": sorted((n[len("istio-") :] for n in after if n != files.CURRENT), key=names.version_key),
        "diff": {**sides, "before_header": str(folder), "after_header": str(folder)},
    }
