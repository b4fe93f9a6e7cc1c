# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks run by ansible-playbook on the lab with their results as data, and the lab's traffic left as it was."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support import AUDIT_LOG, KUBECONFIG, PROJECT, command, environment, kubectl, on

KINDS = "virtualservices.networking.istio.io,destinationrules.networking.istio.io,gateways.networking.istio.io"
DATA = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
Result = dict[str, Any]


def results(
    tasks: Sequence[Mapping[str, Any]],
    *arguments: str,
    kubeconfig: Path = KUBECONFIG,
    fails: bool = False,
    **keywords: Any,
) -> list[Result]:
    """Runs tasks in one play on this machine, and returns the result of each that was reached, with its name.

    fails: whether the play is to end with a failure; keywords: further ones of the play.
    """
    play = {
        "name": "Test",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "module_defaults": {"group/meshops.istio.mesh": {"kubeconfig": str(kubeconfig)}},
        **keywords,
        "tasks": list(tasks),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "play.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
        ran = subprocess.run(
            command(str(path), *arguments),
            cwd=PROJECT,
            env={**environment(), **DATA},
            capture_output=True,
            text=True,
            check=False,
        )
    told = f"{path.read_text() if path.exists() else ''}{ran.stdout[-6000:]}\n{ran.stderr[-3000:]}"
    assert "{\n" in ran.stdout, told
    # a long traffic_probe prints lines before that
    data = json.loads(ran.stdout[ran.stdout.index("{\n") :])
    assert ran.returncode == (2 if fails else 0), told
    return [{"name": task["task"]["name"], **task["hosts"]["localhost"]} for task in data["plays"][0]["tasks"]]


def warnings_of(result: Result) -> list[str]:
    """The warnings of a task as texts."""
    return [warning if isinstance(warning, str) else json.dumps(warning) for warning in result.get("warnings") or []]


# --- the API server's audit log ---


def requests_since(position: int) -> list[str]:
    """All requests of the administrator that are not kubectl's, as verb and address."""
    lines = on("n1", "tail", "-n", f"+{position + 1}", AUDIT_LOG).splitlines()
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in map(json.loads, lines)
        if event["user"]["username"] == "kubernetes-admin"
        and event["stage"] == "ResponseComplete"
        and not event.get("userAgent", "").startswith("kubectl")
    ]


def writes_of_ours(position: int) -> list[str]:
    """The requests that store something: neither reads, nor trials, nor commands in a proxy to ask it something."""
    return [
        line
        for line in requests_since(position)
        if line.split()[0] not in ("get", "list") and "dryRun=All" not in line and "/exec?" not in line
    ]


# --- the traffic of the lab ---


def traffic() -> dict[tuple[str, str, str], dict[str, Any]]:
    """All objects of Istio's traffic management, by kind, namespace and name."""
    found = kubectl("get", KINDS, "-A", "-o", "json")["items"]
    return {(obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in found}


def content(obj: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wrote of an object."""
    metadata = {key: value for key, value in obj["metadata"].items() if key in ("name", "labels", "annotations")}
    return {"metadata": metadata, "spec": obj["spec"]}


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Puts the traffic of the lab back as it was when the block began."""
    before = traffic()
    try:
        yield
    finally:
        now = traffic()
        for (kind, namespace, name), obj in now.items():
            if (kind, namespace, name) not in before:
                kubectl("-n", namespace, "delete", f"{kind}.networking.istio.io", name)
            elif content(obj) != content(before[kind, namespace, name]):
                send("replace", before[kind, namespace, name])
        for key, obj in before.items():
            if key not in now:
                send("create", obj)
        assert {key: content(obj) for key, obj in traffic().items()} == {k: content(o) for k, o in before.items()}


def send(verb: str, *objects: Mapping[str, Any]) -> None:
    """Gives objects to kubectl create, replace or apply as they are."""
    items = []
    for obj in objects:
        metadata = {
            key: value
            for key, value in obj["metadata"].items()
            if key not in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields")
        }
        items.append({**obj, "metadata": metadata})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    argv = ["docker", "exec", "-i", "meshops-n1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
    ran = subprocess.run([*argv, verb, "-f", "-"], input=text, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
