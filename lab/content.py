# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the mirror serves: manifests and the Istio release, at the host and path that they have upstream."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lab.binaries import module_folder
from lab.data import Cache, text_digest
from lab.progress import Progress
from lab.run import run

# what upstream's archive keeps of samples/
SAMPLE_SUFFIXES = {".yaml", ".md", ".sh", ".txt", ".pem", ".conf", ".tpl", ".json"}


def build_all(cache: Cache, data: dict[str, Any], binaries: dict[str, Path]) -> None:
    """Fills content/files/."""
    root = cache.content / "files"
    progress = Progress("file", len(data["files"]) + 1)
    for item in data["files"]:
        target = root / item["path"]
        with progress.step(Path(item["path"]).name, cached=target.exists()):
            if not target.exists():
                module = item["module"]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(module_folder(binaries, module["component"], module["path"]) / module["file"], target)
                target.chmod(0o644)
    release = data["istio_release"]
    version = next(item["version"] for item in data["components"] if item["name"] == release["component"])
    archive = root / release["path"] / version / f"istio-{version}-linux-{release['arch']}.tar.gz"
    stamp = archive.with_name(".stamp")
    key = text_digest(release, binaries[release["component"]].name)
    fresh = archive.exists() and stamp.exists() and stamp.read_text() == key
    with progress.step(archive.name, cached=fresh):
        if not fresh:
            build_release(release, version, binaries, archive)
            stamp.write_text(key)
    progress.close()


def build_release(release: dict[str, Any], version: str, binaries: dict[str, Path], archive: Path) -> None:
    """bin/istioctl, samples/ and manifests/ as upstream's archive has them, and the .sha256 file beside it."""
    source = module_folder(binaries, release["component"], release["module"])
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / f"istio-{version}"
        (tree / "bin").mkdir(parents=True)
        shutil.copy(binaries[release["component"]] / "istioctl", tree / "bin" / "istioctl")
        shutil.copy(source / "LICENSE", tree / "LICENSE")
        for part in ("charts", "profiles"):
            shutil.copytree(source / "manifests" / part, tree / "manifests" / part)
        for file in (source / "samples").rglob("*"):
            inside = file.relative_to(source)
            if file.is_file() and file.suffix in SAMPLE_SUFFIXES and "src" not in inside.parts:
                (tree / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, tree / inside)
        (tree / "tools").mkdir()
        for name, shell in (("istioctl.bash", "bash"), ("_istioctl", "zsh")):
            (tree / "tools" / name).write_text(run([str(tree / "bin/istioctl"), "completion", shell]))
        run(["chmod", "-R", "u+w,go+rX", str(tree)])
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        run(["tar", "-C", folder, "--owner=0", "--group=0", "-I", "gzip -1", "-cf", str(partial), tree.name])
        partial.replace(archive)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(archive.name + ".sha256").write_text(f"{checksum} {archive.name}\n")
