# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the folder of Istio releases on a host: look, unpack, place, link, remove."""

from __future__ import annotations

import contextlib
import fcntl
import json
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import istio_release as names
from ansible_collections.meshops.istio.plugins.module_utils import istioctl_output
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

BINARY = "bin/istioctl"
CURRENT = "current"
RECORD = ".meshops.json"
STAGING = ".unpacking-"
PATIENCE = 900  # seconds for another run in the same folder, which may be downloading
# What a release without a record has; earlier versions of this collection kept none. The binary goes last: it tells.
_UNRECORDED = ("LICENSE", "README.md", "manifest.yaml", "manifests", "samples", "tools", BINARY)
_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)


@dataclass(frozen=True)
class Record:
    """What was unpacked into the folder of a version; kept there, so that nothing else is ever removed."""

    archive: str
    sha256: str
    client_only: bool
    files: tuple[str, ...]
    complete: bool = True


@dataclass(frozen=True)
class Installed:
    """A version that can be used. `sha256` of what it came from is empty when it is not known."""

    client_only: bool
    sha256: str = ""


def read_record(home: Path) -> Optional[Record]:
    """Return the record in the folder of a version, None when there is none that can be read."""
    try:
        data = json.loads((home / RECORD).read_text(encoding="utf-8"))
        return Record(**{**data, "files": tuple(data["files"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(home: Path, record: Record) -> None:
    """Replace the record in one step."""
    temporary = home / f"{RECORD}.new"
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(home / RECORD)


def has_binary(home: Path) -> bool:
    """Tell whether there is an istioctl that can be run."""
    return (home / BINARY).is_file() and os.access(home / BINARY, os.X_OK)


def look(home: Path) -> Optional[Installed]:
    """Return what is in the folder of a version; None when nothing is, or only a part of what was unpacked."""
    if not has_binary(home):
        return None
    record = read_record(home)
    if record is None:
        return Installed(client_only=not (home / "samples").is_dir())
    if not record.complete or not all(os.path.lexists(home / name) for name in record.files):
        return None
    return Installed(record.client_only, record.sha256)


def versions(folder: Path) -> list[str]:
    """Return the versions that have a folder of their own, oldest first, whatever is in it."""
    found = [path.name[len("istio-") :] for path in folder.glob("istio-*") if path.is_dir() and not path.is_symlink()]
    return sorted(filter(names.VERSION.fullmatch, found), key=names.version_key)


def leftovers(folder: Path) -> list[Path]:
    """Return what killed runs left, or what a running one uses: only a holder of the lock can tell."""
    return sorted(folder.glob(f"{STAGING}*"))


def current(folder: Path) -> str:
    """Return the folder that the link names, '' when there is no link."""
    try:
        target = (folder / CURRENT).readlink()
    except OSError:
        return ""
    return target.name if target.parent == folder else str(target)


def link_problem(folder: Path) -> Optional[str]:
    """Return the sentence for something that is in the link's place, if anything."""
    if os.path.lexists(folder / CURRENT) and not (folder / CURRENT).is_symlink():
        return (
            f"{folder / CURRENT} is no link, so it is not of this collection."
            " Move it away, or do without the link (current: false)."
        )
    return None


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Give a folder for unpacking, beside the releases, to one run at a time; nothing of it is left.

    Folders that had to be made and are still empty at the end go as well.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(made):
        path.mkdir()
        path.chmod(0o755)
    handle = os.open(folder, os.O_RDONLY)
    staging = None
    try:
        _lock(handle, folder)
        for old in leftovers(folder):
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        staging = tempfile.mkdtemp(prefix=STAGING, dir=folder)
        yield Path(staging)
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)
        os.close(handle)
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()


def _lock(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise MeshopsError(
                    f"Another run has been at work in {folder} for {PATIENCE} seconds. Start again when it has ended."
                ) from error
            time.sleep(0.2)
        except OSError:
            return None  # a file system without locks


def unpack(source: Path, wish: names.Wish, home: Optional[Path]) -> tuple[str, ...]:
    """Unpack an archive, or copy a bare binary, to the folder of a version and return the files; None only looks.

    Raises MeshopsError when it is not what is wished.
    """
    try:
        if not tarfile.is_tarfile(source):
            return _one_binary(source, wish, home)
        with tarfile.open(source) as archive:
            files = _unpack_members(archive, source.name, wish, home)
    except _BROKEN as error:
        raise MeshopsError(
            f"{source.name} cannot be unpacked: {getattr(error, 'strerror', None) or error}."
            " Give an undamaged archive, and room for it on the disk."
        ) from error
    return tuple(sorted(files))


def _one_binary(source: Path, wish: names.Wish, home: Optional[Path]) -> tuple[str, ...]:
    if not wish.client_only:
        raise MeshopsError(names.client_sentence(source.name))
    if home:
        with source.open("rb") as content:
            _write(home / BINARY, content, 0o755)
    return (BINARY,)


def _unpack_members(archive: tarfile.TarFile, file: str, wish: names.Wish, home: Optional[Path]) -> set[str]:
    files: set[str] = set()
    others: set[str] = set()
    alone = False
    for member in archive:
        parts = names.member_path(member.name)
        if member.isdir() or not parts:
            continue
        if not member.isreg():
            raise MeshopsError(f"{file} has a link or a device, {member.name}; a release has none, so it is not used.")
        alone = alone or parts == ("istioctl",)
        place = BINARY if parts == ("istioctl",) else "/".join(parts[1:])
        if parts[0] not in ("istioctl", names.release(wish.version)) or not place:
            others.add(parts[0])
        elif place == BINARY or not wish.client_only:
            files.add(place)
            if home:
                _write(home / place, archive.extractfile(member), 0o755 if member.mode & stat.S_IXUSR else 0o644)
    if BINARY not in files:
        inside = ", ".join(sorted(others)) or "nothing"
        raise MeshopsError(
            f"{file} has neither {names.release(wish.version)}/{BINARY} nor istioctl, but {inside}."
            f" Give the archive of version {wish.version}."
        )
    if alone and not wish.client_only:
        raise MeshopsError(names.client_sentence(file))
    return files


def _write(path: Path, content: Any, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        shutil.copyfileobj(content, target, 1 << 20)
    path.chmod(mode)


def check_binary(home: Path, version: str, file: str) -> None:
    """Ask an unpacked istioctl for its version; MeshopsError when it cannot be run here or is another one.

    Not by istioctl.py: that needs Python packages that a host may not have.
    """
    config = home.parent / "istioctl.yaml"  # instead of the user's own
    config.write_text("{}\n", encoding="utf-8")
    env = {key: value for key, value in os.environ.items() if not key.startswith("ISTIOCTL_")}
    argv = [str(home / BINARY), "version", "--remote=false", "-o", "json"]
    try:
        done = subprocess.run(
            argv, env={**env, "ISTIOCONFIG": str(config)}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "it did not answer"
        raise MeshopsError(
            f"The istioctl of {file} cannot be run on this {os.uname().sysname} {os.uname().machine}: {reason}."
            " Give one for this machine."
        ) from error
    if done.returncode:
        reason = istioctl_output.parse_error(done.stderr.decode("utf-8", "replace"))
        raise MeshopsError(f"The istioctl of {file} does not tell its version: {reason}. Give another file.")
    found = istioctl_output.parse_version(done.stdout.decode("utf-8", "replace"))
    if found != version:
        raise MeshopsError(f"The istioctl of {file} calls itself {found}, not {version}. Give version and file alike.")


def place(staged: Path, home: Path, record: Record) -> None:
    """Put an unpacked version in its place: in one step when it is new, else file by file, istioctl last.

    In the second way the record says for the time being that the version is not complete. Other files stay.
    """
    _open_up(staged)
    if not os.path.lexists(home):
        write_record(staged, record)
        staged.rename(home)
        return
    old = read_record(home)
    stale = set(old.files if old else ()) - set(record.files)
    write_record(home, replace(record, files=tuple(sorted(stale.union(record.files))), complete=False))
    for name in sorted(record.files, key=lambda name: (name == BINARY, name)):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).replace(home / name)
    _unlink(home, stale)
    _open_up(home, record.files)
    write_record(home, record)


def _open_up(home: Path, files: Optional[Iterable[str]] = None) -> None:
    """Let everybody read the folders, whatever the umask is."""
    inner = {home / parent for name in files or () for parent in Path(name).parents}
    for path in {home, *inner} if files else {home, *(path for path in home.rglob("*") if path.is_dir())}:
        path.chmod(0o755)


def link(folder: Path, staging: Path, target: str) -> None:
    """Let the link `current` name a version, in one step."""
    (staging / CURRENT).symlink_to(target)
    (staging / CURRENT).replace(folder / CURRENT)


def is_ours(home: Path) -> bool:
    """Tell whether a folder was unpacked by this collection, or is an empty rest of it."""
    return home.is_dir() and (read_record(home) is not None or not any(home.iterdir()))


def remove(home: Path) -> list[str]:
    """Remove what was unpacked and return what else is there. What tells that it is ours goes last."""
    record = read_record(home)
    if record:
        _unlink(home, record.files)
        (home / RECORD).unlink()
    else:
        for name in _UNRECORDED:
            path = home / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (home / "bin").rmdir()
    (home / f"{RECORD}.new").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        home.rmdir()
    return strangers(home)


def strangers(home: Path) -> list[str]:
    """Return the files in the folder of a version that were not unpacked into it."""
    record = read_record(home)
    every = (path for path in home.rglob("*") if path.is_symlink() or not path.is_dir())
    found = {str(path.relative_to(home)) for path in every} - {RECORD, f"{RECORD}.new"}
    if record:
        return sorted(found - set(record.files))
    return sorted(name for name in found if name != BINARY and name.partition("/")[0] not in _UNRECORDED)


def _unlink(home: Path, files: Iterable[str]) -> None:
    folders = {parent for name in files for parent in Path(name).parents if parent != Path()}
    for name in files:
        (home / name).unlink(missing_ok=True)
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            (home / folder).rmdir()
