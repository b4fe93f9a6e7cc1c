# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the node as kubeadm_node touches it (files below a root, commands, one lock)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCK = "/run/meshops-kubeadm.lock"


class Result(NamedTuple):
    """What a command gave: its return code and its output as text."""

    rc: int
    out: str
    err: str


class System:
    """Files, commands and time of one node. Tests give another root and override run()."""

    def __init__(self, root: str = "/") -> None:
        self.root = Path(root)
        self._inherited: tuple[int, ...] = ()

    def path(self, name: str) -> Path:
        """The real path of an absolute one."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> Optional[str]:
        """The text of a file, None when there is none."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, name: str) -> list[str]:
        """What is in a directory, sorted; nothing when it is absent."""
        try:
            return sorted(entry.name for entry in self.path(name).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def is_mount(self, name: str) -> bool:
        """Whether the directory is a mount point, which cannot be removed itself."""
        return self.path(name).is_mount()

    def have(self, program: str) -> bool:
        """Whether a command is installed."""
        return shutil.which(program, path=_PATH) is not None

    def run(self, argv: Sequence[str], timeout: float = 60, data: Optional[str] = None) -> Result:
        """Runs a command without a shell; rc 124 when it did not end within timeout seconds, 127 when it is absent.

        Children inherit the lock, so it lasts as long as a kubeadm whose Ansible was killed.
        """
        environment = {**os.environ, "PATH": _PATH, "LC_ALL": "C"}
        try:
            done = subprocess.run(
                list(argv),
                capture_output=True,
                check=False,
                env=environment,
                errors="replace",
                input=data,
                stdin=subprocess.DEVNULL if data is None else None,
                pass_fds=self._inherited,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return Result(124, "", f"no end within {timeout:.0f} s")
        except FileNotFoundError as error:
            return Result(127, "", str(error))
        return Result(done.returncode, done.stdout, done.stderr)

    def remove(self, name: str) -> None:
        """Removes a file, a link or a tree; nothing when it is absent."""
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    @contextlib.contextmanager
    def config_file(self, text: str) -> Iterator[str]:
        """A file of mode 0600 with that text, in memory where /run is, for as long as the block lasts."""
        run = self.path("/run")
        descriptor, name = tempfile.mkstemp(prefix="meshops-", suffix=".yaml", dir=run if run.is_dir() else None)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            yield name
        finally:
            Path(name).unlink()

    @contextlib.contextmanager
    def lock(self, timeout: float, write: bool) -> Iterator[None]:
        """Waits for a kubeadm that an earlier, killed run left behind. Without write no lock file is made."""
        path = self.path(_LOCK)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC if write else os.O_RDONLY | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            yield
            return
        try:
            self._wait(descriptor, timeout, write)
            self._inherited = (descriptor,) if write else ()
            yield
        finally:
            self._inherited = ()
            os.close(descriptor)

    def _wait(self, descriptor: int, timeout: float, write: bool) -> None:
        deadline = self.clock() + timeout
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self.clock() >= deadline:
                    raise MeshopsError(
                        f"Another kubeadm of an earlier run still works on this node after {timeout:.0f} s (it holds "
                        f"{_LOCK}). Wait for it to end (`pgrep -a kubeadm`) and run again."
                    ) from None
            self.sleep(0.5)

    def clock(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Between two looks at something that is about to change."""
        time.sleep(seconds)
