# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's machines: containers that run systemd and sshd, on a network of their own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lab.data import Cache, LabError
from lab.progress import say
from lab.roots import OPERATOR
from lab.run import run, succeeds

PREFIX = "meshops-"
MIRROR = "depot"  # the machine that serves packages, files, images and names
BOOT_TIMEOUT = 90  # seconds
# `--privileged` is refused where CAP_SYS_RESOURCE is missing; this set is what a kubelet needs.
OPTIONS = (
    "--stop-signal=SIGRTMIN+3", "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined", "--security-opt=systempaths=unconfined", "--cgroupns=private",
    "--tmpfs=/run:exec", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec", "--device-cgroup-rule=a *:* rwm",
    "-v=/var/lib/containerd", "-v=/var/lib/kubelet", "-v=/var/lib/etcd",
)  # fmt: skip


def container(node: dict[str, Any]) -> str:
    """The container's name."""
    return PREFIX + node["name"]


def up(cache: Cache, data: dict[str, Any], images: dict[str, str], only: list[str], fresh: bool) -> list[str]:
    """Starts what exists and makes anew what is missing, broken or of an older image. Returns the names made anew."""
    network = data["network"]
    if not succeeds(["docker", "network", "inspect", network["name"]]):
        run(["docker", "network", "create", "--subnet", network["subnet"], network["name"]])
    nodes = [node for node in data["nodes"] if not only or node["name"] in only]
    resolver = write_resolver(cache, data["nodes"])
    write_keys(cache)
    made = []
    for node in nodes:
        if fresh or not restart(container(node), images[node["root"]]):
            create(cache, node, images[node["root"]], network["name"], resolver)
            made.append(node["name"])
    for node in nodes:
        wait_until_booted(container(node))
        admit(cache, node)
    if made:
        write_known_hosts(cache, data["nodes"])
    say(f" lab   machines {len(nodes)}/{len(nodes)}" + (f"  made: {', '.join(made)}" if made else "  (running)"))
    return made


def restart(name: str, image: str) -> bool:
    """Whether the container runs, or could be started, and is of the wanted image."""
    found = run(["docker", "ps", "-a", "--filter", f"name=^{name}$", "--format", "{{.Image}} {{.State}}"]).split()
    if not found or found[0] != image:
        return False
    return found[1] == "running" or succeeds(["docker", "start", name])


def create(cache: Cache, node: dict[str, Any], image: str, network: str, resolver: Path) -> None:
    """A new machine under the name; the old one goes, with its volumes."""
    name = container(node)
    run(["docker", "rm", "-fv", name]) if exists(name) else None
    volumes = [f"-v={resolver}:/etc/resolv.conf:ro"]
    if node["name"] == MIRROR:
        # the machine that answers names asks the engine's resolver itself
        volumes = [f"-v={cache.content}:/srv/content:ro"]
    run(
        [
            "docker",
            "run",
            "-d",
            "--name",
            name,
            "--hostname",
            node["name"],
            "--network",
            network,
            "--ip",
            node["address"],
        ]
        + [*OPTIONS, *volumes, image]
    )


def write_resolver(cache: Cache, nodes: list[dict[str, Any]]) -> Path:
    """The nodes' resolv.conf: the mirror where there is one, else this host's; the engine's own is a loopback."""
    mirrors = [node["address"] for node in nodes if node["name"] == MIRROR]
    resolver = cache.state / "resolv.conf"
    resolver.write_text(f"nameserver {mirrors[0]}\n" if mirrors else Path("/etc/resolv.conf").read_text())
    return resolver


def exists(name: str) -> bool:
    """Whether a container of that name exists, running or not."""
    return succeeds(["docker", "container", "inspect", name])


def wait_until_booted(name: str) -> None:
    """Returns when systemd has finished booting; a failed unit is not the lab's business here."""
    deadline = time.monotonic() + BOOT_TIMEOUT
    argv = ["docker", "exec", name, "systemctl", "is-active", "multi-user.target", "ssh"]
    while not succeeds(argv):
        if time.monotonic() > deadline:
            raise LabError(f"The lab's machine {name} does not boot within {BOOT_TIMEOUT} s: see `docker logs {name}`.")
        time.sleep(0.2)


def write_keys(cache: Cache) -> None:
    """The key pair that Ansible logs in with, made at the first start."""
    key = cache.state / "ssh_key"
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "meshops-lab", "-f", str(key)])


def admit(cache: Cache, node: dict[str, Any]) -> None:
    """Lets our key in as the operator."""
    public = (cache.state / "ssh_key.pub").read_text()
    folder = f"/home/{OPERATOR}/.ssh"
    script = (
        f"install -d -m 700 -o {OPERATOR} -g {OPERATOR} {folder} && cat > {folder}/authorized_keys"
        f" && chown {OPERATOR} {folder}/authorized_keys && rm -f /run/nologin"
    )
    run(["docker", "exec", "-i", container(node), "sh", "-c", script], stdin=public)


def write_known_hosts(cache: Cache, nodes: list[dict[str, Any]]) -> None:
    """The machines' host keys, read from the machines themselves."""
    lines = []
    for node in nodes:
        if exists(container(node)):
            key = run(["docker", "exec", container(node), "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).split()
            lines.append(f"{node['address']} {key[0]} {key[1]}\n")
    target = cache.state / "known_hosts"
    partial = target.with_suffix(".partial")
    partial.write_text("".join(lines))
    partial.replace(target)


def down(data: dict[str, Any]) -> None:
    """Removes the lab's containers and network, and nothing else."""
    for node in data["nodes"]:
        if exists(container(node)):
            run(["docker", "rm", "-fv", container(node)])
    if succeeds(["docker", "network", "inspect", data["network"]["name"]]):
        run(["docker", "network", "rm", data["network"]["name"]])
    say(" lab   machines and network removed; the build cache stays")
