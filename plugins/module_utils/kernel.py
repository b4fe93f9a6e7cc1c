# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: kernel modules, sysctl keys and swap of one host, now and after the next boot."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

HEADER = "# Managed by Ansible (meshops.istio)\n"
# What shows that the kernel has a module, whether it was loaded or built in
FEATURES = {
    "br_netfilter": "proc/sys/net/bridge",
    "ip_vs": "proc/net/ip_vs",
    "nf_conntrack": "proc/sys/net/netfilter/nf_conntrack_max",
}
SWAP_LINE = re.compile(r"^(?!\s*#)(\s*\S+\s+\S+\s+swap\b.*)$", re.MULTILINE)
Run = Callable[[list[str]], "tuple[int, str]"]


def execute(argv: list[str]) -> tuple[int, str]:
    """Return code and all output of a command; 127 when there is no such command."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 127, f"{argv[0]} is not installed"
    return done.returncode, (done.stdout + done.stderr).strip()


@dataclass
class Host:
    """The host's file system (`root` is / but in tests), its commands, and what was found to differ."""

    root: Path = Path("/")
    run: Run = execute
    release: str = field(default_factory=platform.release)
    check_mode: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str | None:
        """Text of a file below the root; None when it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def differs(self, before: str, after: str) -> None:
        """Remember a difference, one line each side."""
        self.before.append(before)
        self.after.append(after)

    def file(self, path: str, wanted: str | None) -> None:
        """Give a file its content, or remove it (None)."""
        old = self.read(path)
        if old == wanted:
            return
        self.differs(f"{path}:\n{old or ''}", f"{path}:\n{wanted or ''}")
        target = self.root / path.lstrip("/")
        if self.check_mode:
            return
        if wanted is None:
            target.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        mirrors.write_atomic(str(target), wanted.encode(), 0o644)


def has_module(host: Host, name: str) -> bool:
    """Is the kernel module loaded, or built in?"""
    plain = name.replace("-", "_")
    if plain in FEATURES and (host.root / FEATURES[plain]).exists():
        return True
    if (host.root / "sys/module" / plain).is_dir():
        return True
    if plain in (host.read("proc/filesystems") or "").split():
        return True
    builtin = host.read(f"lib/modules/{host.release}/modules.builtin") or ""
    return any(Path(line).stem.replace("-", "_") == plain for line in builtin.splitlines())


def load_modules(host: Host, names: list[str]) -> bool:
    """Load what is missing now. True when something was (or would be) loaded. Raises MeshopsError."""
    missing = [name for name in names if not has_module(host, name)]
    loadable = (host.root / "proc/modules").exists()
    changed = False
    for name in missing:
        if not loadable and name.replace("-", "_") not in FEATURES:
            host.skipped[name] = "this kernel has no loadable modules, and nothing shows whether it is built in"
            continue
        if not host.check_mode:
            code, output = host.run(["modprobe", "--", name])
            if code:
                raise MeshopsError(
                    f"The kernel module {name} is neither built into the kernel {host.release} nor loadable "
                    f"({output or f'modprobe ended with {code}'}). Install the modules of this kernel, "
                    "or boot one that has them."
                )
        host.differs(f"module {name}: absent", f"module {name}: loaded")
        changed = True
    return changed


def key_path(host: Host, key: str) -> Path:
    """Where the kernel shows a sysctl key: net.ipv4.ip_forward, or net/ipv4/conf/eth0.1/forwarding with slashes."""
    return host.root / "proc/sys" / (key if "/" in key else key.replace(".", "/"))


def normal(value: object) -> str:
    """A sysctl value as the kernel prints it, with single blanks; booleans become 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else " ".join(str(value).split())


def set_keys(host: Host, wanted: dict[str, Any], modules_pending: bool) -> None:
    """Apply sysctl values now. Keys that this kernel does not know, or that nobody may write, are skipped and named."""
    for key, value in wanted.items():
        path, text = key_path(host, key), normal(value)
        try:
            live = normal(path.read_text(encoding="ascii", errors="replace"))
        except FileNotFoundError:
            if host.check_mode and modules_pending:
                host.differs(f"{key} absent", f"{key} = {text}")
            else:
                host.skipped[key] = "this kernel does not know it"
            continue
        except OSError as error:
            host.skipped[key] = f"it cannot be read ({error.strerror})"
            continue
        if live == text:
            continue
        if not path.stat().st_mode & 0o222:
            host.skipped[key] = f"it is read-only here (now {live})"
            continue
        try:
            if not host.check_mode:
                path.write_text(text + "\n", encoding="ascii")
        except OSError as error:
            if error.strerror == "Invalid argument":
                raise MeshopsError(f"The kernel refuses {key} = {text}. Correct the value (now {live}).") from error
            host.skipped[key] = f"it cannot be set here ({error.strerror}, now {live})"
            continue
        host.differs(f"{key} = {live}", f"{key} = {text}")


def swap_off(host: Host) -> None:
    """No swap now, and none from fstab after the next boot."""
    active = [line.split()[0] for line in (host.read("proc/swaps") or "").splitlines()[1:] if line.strip()]
    if active:
        if not host.check_mode:
            code, output = host.run(["swapoff", "--all"])
            if code:
                raise MeshopsError(
                    f"The swap on {', '.join(active)} cannot be switched off: {output}. Free memory first."
                )
        host.differs(f"swap: {', '.join(active)}", "swap: none")
    fstab = host.read("etc/fstab")
    if fstab and SWAP_LINE.search(fstab):
        host.file("/etc/fstab", SWAP_LINE.sub(r"# \1", fstab))


def sysctl_text(wanted: dict[str, Any]) -> str:
    """Content of the sysctl.d file; the dash lets a boot go on where a key is not known."""
    return HEADER + "".join(f"-{key} = {normal(value)}\n" for key, value in sorted(wanted.items()))


def settle(params: dict[str, Any], check_mode: bool, host: Host | None = None) -> dict[str, Any]:
    """Core of the module node_kernel: params as in its documentation."""
    host = host or Host()
    host.check_mode = check_mode
    if params["state"] == "absent":
        host.file(params["modules_file"], None)
        host.file(params["sysctl_file"], None)
    else:
        pending = load_modules(host, params["modules"])
        lines = "".join(f"{name}\n" for name in params["modules"])
        host.file(params["modules_file"], HEADER + lines if lines else None)
        set_keys(host, params["sysctl"], pending)
        host.file(params["sysctl_file"], sysctl_text(params["sysctl"]) if params["sysctl"] else None)
        if params["swap_off"]:
            swap_off(host)
    diff = {"before": "\n".join([*host.before, ""]), "after": "\n".join([*host.after, ""])}
    return {"changed": bool(host.after), "skipped_settings": host.skipped, "diff": diff if host.after else None}
