# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages in the layout of the upstream repositories."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lab.data import LAB, Cache, digest, text_digest
from lab.progress import Progress
from lab.run import run


def build_all(cache: Cache, packages: list[dict[str, Any]], binaries: dict[str, Path]) -> None:
    """Fills content/packages/<repository>/; a package is built again when one of its inputs has changed."""
    progress = Progress("package", len(packages))
    for package in packages:
        folder = cache.content / "packages" / package["repository"]
        target = folder / f"{package['name']}_{package['version']}_amd64.deb"
        stamp = folder / f".{package['name']}"
        sources = {path: source_file(source, binaries) for path, source in package["tree"].items()}
        # the folder of a component names its version and inputs; where the checkout is does not matter
        names = {path: f"{file.parent.name}/{file.name}" for path, file in sources.items()}
        key = text_digest(package, names, digest(LAB / "package_files"))
        fresh = target.exists() and stamp.exists() and stamp.read_text() == key
        with progress.step(f"{package['name']} {package['version']}", cached=fresh):
            if not fresh:
                folder.mkdir(parents=True, exist_ok=True)
                for old in folder.glob(f"{package['name']}_*.deb"):
                    old.unlink()
                build(package, sources, target)
                stamp.write_text(key)
    progress.close()


def source_file(source: str, binaries: dict[str, Path]) -> Path:
    """`component/binary` or `package_files/name`, as a path."""
    first, name = source.split("/", 1)
    return LAB / source if first == "package_files" else binaries[first] / name


def build(package: dict[str, Any], sources: dict[str, Path], target: Path) -> None:
    """Lays out one package's tree and packs it; light compression, since the lab's nodes unpack it often."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        tree.chmod(0o755)
        for path, source in sources.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, file)
            file.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        control = tree / "DEBIAN"
        control.mkdir()
        fields = {
            "Package": package["name"],
            "Version": package["version"],
            "Architecture": "amd64",
            "Maintainer": "meshops lab <lab@meshops.invalid>",
            "Depends": package.get("depends", ""),
            "Description": f"{package['name']} built by the lab from upstream source",
        }
        (control / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items() if value))
        if package.get("conffiles"):
            (control / "conffiles").write_text("".join(f"{path}\n" for path in package["conffiles"]))
        partial = target.with_suffix(".partial")
        run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(partial)])
        partial.replace(target)
