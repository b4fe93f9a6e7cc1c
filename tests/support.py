# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on the lab share: playbooks run as a user runs them, machines, and the API server's audit log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
INVENTORY = PROJECT / "inventories" / "lab"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
KUBECONFIG = Path.home() / ".kube" / "meshops" / "lab.conf"
AUDIT_LOG = "/var/log/kubernetes/audit.log"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True)
class Run:
    """One finished run of a playbook."""

    code: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Host -> number of changed tasks."""
        return {host: int(changed) for host, _, changed, _, _ in RECAP.findall(self.output)}

    @property
    def total_changed(self) -> int:
        """Changed tasks on all hosts; a run without a recap is an error of the test."""
        assert self.changed, self.output[-3000:]
        return sum(self.changed.values())


def command(playbook: str, *arguments: str, inventory: Path = INVENTORY) -> list[str]:
    """The argv that a user would type."""
    return [str(Path(sys.executable).with_name("ansible-playbook")), playbook, "-i", str(inventory), *arguments]


def environment() -> dict[str, str]:
    """The user's environment, without what makes Python slow or output coloured."""
    scrubbed = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MOLECULE_", "ANSIBLE_"))
    }
    return {**scrubbed, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}


def play(playbook: str, *arguments: str, code: int = 0, inventory: Path = INVENTORY) -> Run:
    """Runs a playbook and checks its exit code; the end of the output is shown when it is another."""
    argv = command(playbook, *arguments, inventory=inventory)
    result = subprocess.run(
        argv, cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert result.returncode == code, f"{argv} ended with {result.returncode}:\n{result.stdout[-6000:]}"
    return Run(result.returncode, result.stdout)


def play_killed(playbook: str, *arguments: str, when: Callable[[], bool], timeout: float = 300) -> None:
    """Starts a playbook and kills its process group with SIGKILL as soon as `when()` holds."""
    process = subprocess.Popen(
        command(playbook, *arguments),
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    try:
        while not when():
            assert process.poll() is None, f"{playbook} ended before it could be killed"
            assert time.monotonic() < deadline, f"the moment to kill {playbook} did not come within {timeout} s"
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def on(node: str, *argv: str, check: bool = True) -> str:
    """Runs a command on a machine of the lab, as root, past Ansible."""
    result = subprocess.run(["docker", "exec", f"meshops-{node}", *argv], capture_output=True, text=True, check=False)
    assert not check or result.returncode == 0, f"{node}: {argv}: {result.stderr}"
    return result.stdout


def runs_on(node: str, *pattern: str) -> bool:
    """Whether a process whose command line matches runs on a machine of the lab."""
    return bool(on(node, "pgrep", "-f", *pattern, check=False).strip())


def kubectl(*argv: str) -> Any:
    """kubectl on the control plane; JSON comes back as data."""
    output = on("n1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *argv)
    return json.loads(output) if "json" in argv else output


def lab(*arguments: str) -> None:
    """python3 -m lab ..."""
    subprocess.run([sys.executable, "-m", "lab", *arguments], cwd=PROJECT, env=environment(), check=True)


def audit_position() -> int:
    """How many lines the API server's audit log has now."""
    return int(on("n1", "sh", "-c", f"cat {AUDIT_LOG} | wc -l"))


def writes_since(position: int) -> list[str]:
    """The write requests of the administrator (that is: of the playbooks) that were not dry runs."""
    lines = on("n1", "tail", "-n", f"+{position + 1}", AUDIT_LOG).splitlines()
    events = [json.loads(line) for line in lines]
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if event["user"]["username"] == "kubernetes-admin"
        and event["verb"] in WRITES
        and "dryRun=All" not in event["requestURI"]
        # asking who may do what, and running a command in a container, store nothing
        and event["objectRef"].get("resource") != "selfsubjectaccessreviews"
        and event["objectRef"].get("subresource") != "exec"
    ]


def kubectl_apply(*objects: dict) -> None:
    """Applies objects by kubectl on the control plane."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    argv = ["docker", "exec", "-i", "meshops-n1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
    result = subprocess.run([*argv, "apply", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
