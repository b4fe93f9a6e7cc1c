# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: everything that Kubernetes left on a node, listed and then removed in a safe order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import kubeadm
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_files import parse_kubeconfig
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_rules import nft_tables, removal
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_system import System

_CNI_CONFIG = "/etc/cni/net.d"
_KUBELET = "/var/lib/kubelet"
_TREES = (
    "/etc/kubernetes",
    _CNI_CONFIG,
    _KUBELET,
    "/var/lib/etcd",
    "/var/lib/cni",
    "/run/flannel",
    "/var/log/pods",
    "/var/log/containers",
)
_INTERFACE = re.compile(r"^(cni0|flannel(-v6)?\.\d+)$")
_BACKENDS = ("-nft", "-legacy")


class Item(NamedTuple):
    """One thing to remove. kind: how; target: path, name or command; text: for people; data: input of a command."""

    kind: str
    target: str
    text: str
    data: str = ""


def _kubelet(system: System) -> list[Item]:
    state = system.run(["systemctl", "is-active", "kubelet"]).out.strip()
    running = state in ("active", "activating", "reloading", "deactivating")
    return [Item("service", "kubelet", "service kubelet (stopped)")] if running else []


def _kubeconfigs(system: System, paths: Iterable[str], ca_hash: str) -> list[Item]:
    """Copies of admin.conf: only those of this cluster, a user's other ones are not ours."""
    confs = ((path, parse_kubeconfig(system.read(path))) for path in paths)
    return [Item("file", path, path) for path, conf in confs if conf and ca_hash and conf.ca_hash == ca_hash]


def _mounts(system: System) -> list[Item]:
    """Mounts below the kubelet's directory, the deepest first."""
    lines = (system.read("/proc/self/mounts") or "").splitlines()
    found = [
        re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), line.split()[1]) for line in lines if line
    ]
    return [Item("mount", at, f"mount {at}") for at in sorted(found, reverse=True) if at.startswith(f"{_KUBELET}/")]


def _trees(system: System, more: Iterable[str]) -> list[Item]:
    items = []
    for path in (*_TREES, *more):
        # The container runtime watches its CNI directory and would stop watching if that went away.
        if path == _CNI_CONFIG or system.is_mount(path):
            items += [Item("content", path, f"the content of {path}")] if system.names(path) else []
        elif system.path(path).exists():
            items.append(Item("file", path, path))
    return items


def _network(system: System) -> list[Item]:
    found = [name for name in system.names("/sys/class/net") if _INTERFACE.match(name)]
    ports = [name for name in system.names("/sys/class/net/cni0/brif") if name.startswith("veth")]
    items = [Item("link", name, f"network interface {name}") for name in (*ports, *found)]
    spaces = [name for name in system.names("/run/netns") if name.startswith("cni-")]
    return items + [Item("netns", name, f"network namespace {name}") for name in spaces]


def _rules(system: System) -> list[Item]:
    items = []
    for tool in ("iptables", "ip6tables"):
        # kube-proxy chooses the backend by itself, so both are looked at where both exist
        variants = [f"{tool}{end}" for end in _BACKENDS if system.have(f"{tool}{end}-save")] or [tool]
        for variant in (name for name in variants if system.have(f"{name}-save")):
            # a kernel without this backend makes the command fail, and then there are no rules either
            gone = removal(system.run([f"{variant}-save"]).out)
            if gone.text:
                text = f"{variant}: {gone.chains} chains and {gone.rules} rules of KUBE, FLANNEL and CNI"
                items.append(Item("rules", variant, text, gone.text))
    if system.have("nft"):
        for family, name in nft_tables(system.run(["nft", "-j", "list", "tables"]).out):
            items.append(Item("nft", f"{family} {name}", f"nft table {family} {name}"))
    return items


def leftovers(system: System, paths: Iterable[str], kubeconfigs: Iterable[str], ca_hash: str) -> list[Item]:
    """Everything that is there now, in the order of its removal. Reads only."""
    items = _kubelet(system) + _kubeconfigs(system, kubeconfigs, ca_hash) + _mounts(system)
    return items + _trees(system, paths) + _network(system) + _rules(system)


def kubeadm_reset(system: System, node: str, cri_socket: str, timeout: float) -> None:
    """`kubeadm reset`: it alone knows how to take the containers down and to leave an etcd cluster."""
    argv = ["kubeadm", "reset", "--force"]
    if cri_socket:
        argv.append(f"--cri-socket={cri_socket}")
    done = system.run(argv, timeout=timeout)
    if done.rc != 0:
        raise MeshopsError(kubeadm.failure(node, "reset", done.err or done.out, done.rc))


def _remove(system: System, item: Item) -> None:
    commands = {
        "service": ["systemctl", "stop", item.target],
        "mount": ["umount", item.target],
        "link": ["ip", "link", "delete", item.target],
        "netns": ["ip", "netns", "delete", item.target],
        "rules": [f"{item.target}-restore", "--noflush"],
        "nft": ["nft", "delete", "table", *item.target.split()],
    }
    if item.kind in ("file", "content"):
        within = [f"{item.target}/{name}" for name in system.names(item.target)]
        for path in within if item.kind == "content" else [item.target]:
            system.remove(path)
        return
    done = system.run(commands[item.kind], data=item.data or None, timeout=120)
    if done.rc != 0:
        raise MeshopsError(
            f"{item.text} could not be removed: {(done.err or done.out).strip()}. Correct that and run again: "
            "what is gone already stays gone."
        )


def remove_all(system: System, paths: list[str], kubeconfigs: list[str], ca_hash: str) -> None:
    """Removes what leftovers() lists, kind by kind, looking again before each: one removal takes others along."""
    for kind in ("service", "mount", "link", "netns", "rules", "nft", "file", "content"):
        for item in leftovers(system, paths, kubeconfigs, ca_hash):
            if item.kind == kind and _still_there(system, item):
                _remove(system, item)
    rest = leftovers(system, paths, kubeconfigs, ca_hash)
    if rest:
        raise MeshopsError(
            f"After the reset there is still {', '.join(item.text for item in rest)}: something makes it anew. "
            "Stop what runs there (pods of another runtime?) and run again."
        )


def _still_there(system: System, item: Item) -> bool:
    """A veth goes with its peer, so it may have gone since it was listed."""
    return item.kind != "link" or item.target in system.names("/sys/class/net")
