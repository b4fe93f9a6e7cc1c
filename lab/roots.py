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

MASKED = (
    "systemd-udevd", "systemd-modules-load", "systemd-logind", "getty.target", "console-getty", "systemd-binfmt",
    "systemd-remount-fs", "sys-kernel-debug.mount", "dev-hugepages.mount", "systemd-networkd", "systemd-resolved",
)  # fmt: skip
OPERATOR = "ops"
TRIMMED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


def image_name(name: str, root: dict[str, Any]) -> str:
    """meshops-lab/<name>:<digest of what it is made from>."""
    return f"meshops-lab/{name}:{text_digest(root, digest(LAB / 'images' / 'node', LAB / 'roots.py'))[:12]}"


def build_all(cache: Cache, roots: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Makes what is missing. Returns root name -> image name. The archives stay in the cache, the engine may forget."""
    progress = Progress("root", len(roots))
    images = {}
    for name, root in roots.items():
        image = images[name] = image_name(name, root)
        archive = cache.roots / f"{image.split('/')[1].replace(':', '-')}.tar"
        present = succeeds(["docker", "image", "inspect", image])
        with progress.step(f"{name} ({root['suite']})", cached=present):
            if not archive.exists():
                make(name, root, archive)
            if not present:
                import_image(archive, image)
    progress.close()
    return images


def import_image(archive: Path, image: str) -> None:
    """The archive as a one-layer image."""
    run(
        [
            "docker",
            "import",
            "-c",
            'CMD ["/usr/local/bin/node-init"]',
            "-c",
            "ENV container=docker",
            str(archive),
            image,
        ]
    )


def make(name: str, root: dict[str, Any], archive: Path) -> None:
    """debootstrap, trimmed and, for machines, made ready for systemd and ssh."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        tree = Path(folder) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(root['packages'])}", root["suite"], str(tree)])
        if "systemd" in root["packages"]:
            make_machine(tree)
        trim(tree)
        partial = archive.with_suffix(".partial")
        run(["tar", "-C", str(tree), "--numeric-owner", "-cf", str(partial), "."])
        partial.replace(archive)


def make_machine(tree: Path) -> None:
    """What a container lacks to be a machine: masked hardware units, an operator with sudo, no keys and no identity."""
    for unit in MASKED:
        run(["systemctl", f"--root={tree}", "mask", "-q", unit]) if shutil.which("systemctl") else mask(tree, unit)
    journald = tree / "etc/systemd/journald.conf.d/lab.conf"
    journald.parent.mkdir(parents=True, exist_ok=True)
    journald.write_text("[Journal]\nReadKMsg=no\nStorage=volatile\n")
    (tree / "etc/machine-id").write_text("")
    shutil.copy(LAB / "images/node/node-init", tree / "usr/local/bin/node-init")
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    run(["chroot", str(tree), "useradd", "--create-home", "--shell", "/bin/bash", OPERATOR])
    sudoers = tree / "etc/sudoers.d/operator"
    sudoers.write_text(f"{OPERATOR} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    # the lab's machines know no package source but the ones that the roles configure
    shutil.rmtree(tree / "etc/apt/sources.list.d", ignore_errors=True)
    (tree / "etc/apt/sources.list.d").mkdir()
    (tree / "etc/apt/sources.list").unlink(missing_ok=True)


def mask(tree: Path, unit: str) -> None:
    """`systemctl mask` for a host without systemctl."""
    link = tree / "etc/systemd/system" / (unit if "." in unit else f"{unit}.service")
    link.unlink(missing_ok=True)
    link.symlink_to("/dev/null")


def trim(tree: Path) -> None:
    """Drops what neither a node nor an image needs."""
    for folder in TRIMMED:
        for entry in (tree / folder).glob("*"):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    (tree / "var/cache/apt/archives/partial").mkdir(parents=True, exist_ok=True)
