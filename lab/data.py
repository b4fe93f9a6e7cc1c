# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be built (components.yml) and where builds are kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LAB = Path(__file__).resolve().parent


class LabError(Exception):
    """One sentence: what is missing or broken, and what to do."""


def load() -> dict[str, Any]:
    """The data file as it is; component versions are strings."""
    return yaml.safe_load((LAB / "components.yml").read_text())


def digest(*paths: Path) -> str:
    """sha256 over the names and contents of files; folders count with all they hold."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def text_digest(*parts: Any) -> str:
    """sha256 over a plain description, for cache keys."""
    return hashlib.sha256(yaml.safe_dump(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """The folder outside the repository that outlives checkouts; MESHOPS_LAB_CACHE moves it."""

    root: Path

    @classmethod
    def open(cls) -> Cache:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        cache = cls(Path(os.environ.get("MESHOPS_LAB_CACHE") or Path(base) / "meshops-istio" / "lab"))
        for folder in (cache.bin, cache.roots, cache.content, cache.state):
            folder.mkdir(parents=True, exist_ok=True)
        cache.state.chmod(0o700)
        return cache

    @property
    def bin(self) -> Path:
        """Built binaries, a folder per component and version."""
        return self.root / "bin"

    @property
    def roots(self) -> Path:
        """Root file systems as tar archives."""
        return self.root / "roots"

    @property
    def content(self) -> Path:
        """What the mirror serves: packages/, files/ and registry/."""
        return self.root / "content"

    @property
    def state(self) -> Path:
        """Keys of the running lab; never world-readable."""
        return self.root / "state"
