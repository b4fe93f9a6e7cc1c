# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of Debian by debootstrap, as images of the container engine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from lab.data import LAB, Cache, digest, text_digest
from lab.progress import Progress
from lab.run import run, succeeds

OPERATOR = "ops"  # as in images/node/Dockerfile
MACHINE = LAB / "images" / "node"
TRIMMED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


def build_all(cache: Cache, roots: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Makes what is missing. Returns root name -> image name. The archives stay in the cache, the engine may forget."""
    progress = Progress("root", len(roots))
    images = {}
    for name, root in roots.items():
        key = text_digest(root)[:12]
        plain, archive = f"meshops-lab/{name}:{key}", cache.roots / f"{name}-{key}.tar"
        machine = "systemd" in root["packages"]
        image = f"meshops-lab/{name}:{text_digest(key, digest(MACHINE))[:12]}" if machine else plain
        images[name] = image
        present = succeeds(["docker", "image", "inspect", image])
        with progress.step(f"{name} ({root['suite']})", cached=present):
            if not present and not archive.exists():
                bootstrap(root, archive)
            if not present:
                run(["docker", "import", str(archive), plain])
            if not present and machine:
                argv = ["docker", "build", "-q", "-t", image, "--build-arg", f"ROOT={plain}", str(MACHINE)]
                run(argv, env={"DOCKER_BUILDKIT": "0"})
    progress.close()
    return images


def bootstrap(root: dict[str, Any], archive: Path) -> None:
    """debootstrap and trim, into an archive that appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        tree = Path(folder) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(root['packages'])}", root["suite"], str(tree)])
        trim(tree)
        partial = archive.with_suffix(".partial")
        run(["tar", "-C", str(tree), "--numeric-owner", "-cf", str(partial), "."])
        partial.replace(archive)


def trim(tree: Path) -> None:
    """Drops what neither a node nor an image needs."""
    for folder in TRIMMED:
        for entry in (tree / folder).glob("*"):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    (tree / "var/cache/apt/archives/partial").mkdir(parents=True, exist_ok=True)
