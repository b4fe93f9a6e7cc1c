# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection on the lab: labels, restarts in order (killed, held up by a budget), revision tags, kube-inject."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import PROJECT, audit_position, environment, kubectl, kubectl_apply, writes_since

from tests.integration.cores import run  # isort: skip - the path of the collection comes with it

from ansible_collections.meshops.istio.plugins.module_utils import injectors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

SPACE = "injection-test"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshops-istio" / "lab"
ISTIOCTL = str(Path(os.environ.get("MESHOPS_LAB_CACHE") or CACHE) / "istio" / "current" / "bin" / "istioctl")
APPS = [("Deployment", "first"), ("Deployment", "second"), ("StatefulSet", "third"), ("DaemonSet", "fourth")]


def injection(mode: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return run("injection", check, namespace=SPACE, mode=mode, timeout=60, **options)


def tag(check: bool = False, **options: Any) -> dict[str, Any]:
    return run("revision_tags", check, name="five", istioctl=ISTIOCTL, **options)


def ratings() -> dict[str, Any]:
    """The container of ratings, whose image every node of the lab has."""
    live = kubectl("-n", "bookinfo", "get", "deployment", "ratings-v1", "-o", "json")
    containers = live["spec"]["template"]["spec"]["containers"]
    image = next(item["image"] for item in containers if item["name"] == "ratings")
    return {"name": "ratings", "image": image, "ports": [{"containerPort": 9080}]}


def workload(kind: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [ratings()], "terminationGracePeriodSeconds": 1},
    }
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    if kind != "DaemonSet":
        spec["replicas"] = 1
    metadata = {"name": name, "namespace": SPACE}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def space():
    kubectl_apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": {"team": "a"}}})
    bare = {"metadata": {"name": "bare", "namespace": SPACE}, "spec": {"containers": [ratings()]}}
    kubectl_apply(*(workload(*app) for app in APPS), {"apiVersion": "v1", "kind": "Pod", **bare})
    for kind, name in APPS:
        kubectl("-n", SPACE, "rollout", "status", f"{kind}/{name}", "--timeout=60s")
    yield
    kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--wait=false")
    tag(state="absent", force=True)


def injected() -> dict[str, bool]:
    """Which apps' pods all have a sidecar."""
    pods = kubectl("-n", SPACE, "get", "pods", "-o", "json")["items"]
    found: dict[str, bool] = {}
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp"):
            name = pod["metadata"].get("labels", {}).get("app", "bare")
            found[name] = found.get(name, True) and injectors.sidecar(pod) is not None
    return found


def restarts_since(position: int) -> list[str]:
    return [line.split("?")[0].rsplit("/", 1)[-1] for line in writes_since(position) if "/apps/v1/" in line]


def killed(mode: str, number: int) -> int:
    """Runs the task in a process of its own, that kills itself right after it began the restart of that number."""
    options = json.dumps({"namespace": SPACE, "mode": mode, "restart": True, "timeout": 60})
    argv = [sys.executable, "-m", "tests.integration.killed_restart", options, str(number)]
    return subprocess.run(argv, cwd=PROJECT, env=environment(), check=False).returncode


def test_on_with_restart_is_what_check_mode_said_and_the_second_run_writes_nothing():
    check = injection("on", check=True, restart=True)
    position = audit_position()
    real = injection("on", restart=True)
    assert check == real
    assert [(row["kind"], row["name"], row["result"]) for row in real["workloads"]] == [
        (kind, name, "restarted") for kind, name in APPS
    ]
    assert restarts_since(position) == [name for _kind, name in APPS]
    assert [item["name"] for item in real["pods"]] == ["bare"]
    assert injected() == {"first": True, "second": True, "third": True, "fourth": True, "bare": False}
    labels = kubectl("get", "namespace", SPACE, "-o", "json")["metadata"]["labels"]
    assert (labels["istio-injection"], labels["team"]) == ("enabled", "a")
    position = audit_position()
    again = injection("on", restart=True)
    assert (again["changed"], again["workloads"], again["diff"]) == (False, [], [])
    assert writes_since(position) == []


def test_killed_after_the_second_restart_it_goes_on_with_the_rest():
    position = audit_position()
    assert killed("off", 2) == -9
    assert restarts_since(position) == ["first", "second"]
    result = injection("off", restart=True)
    assert restarts_since(position) == [name for _kind, name in APPS]
    assert result["changed"] is True
    assert set(injected().values()) == {False}
    assert injection("off", restart=True)["changed"] is False


def test_a_budget_without_room_stops_it_before_the_workload():
    kubectl_apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "guard", "namespace": SPACE},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "second"}}},
        }
    )
    try:
        with pytest.raises(MeshopsError, match="PodDisruptionBudget injection-test/guard allows no disruption") as told:
            run("injection", namespace=SPACE, mode="on", restart=True, timeout=5)
        assert told.value.result["changed"] is True
        assert injected() == {"first": True, "second": False, "third": False, "fourth": False, "bare": False}
        kubectl("-n", SPACE, "scale", "deployment/second", "--replicas=2")
        assert injection("on", restart=True)["changed"] is True
        assert set(injected().values()) == {True, False}
    finally:
        kubectl("-n", SPACE, "delete", "poddisruptionbudget", "guard")
        kubectl("-n", SPACE, "scale", "deployment/second", "--replicas=1")


def test_tag_is_set_used_and_removed():
    check = tag(check=True, revision="default")
    real = tag(revision="default")
    assert check == real
    assert (real["changed"], real["previous"]) == (True, "")
    position = audit_position()
    assert tag(revision="default")["changed"] is False
    assert writes_since(position) == []
    with pytest.raises(MeshopsError, match=r"no such control plane. The revisions that are there: .*default"):
        tag(revision="nothing")
    result = injection("revision", revision="five", restart=True)
    assert (result["labels"], result["revision"]) == ({"istio.io/rev": "five"}, "default")
    assert result["workloads"] == []  # the same revision as before, by another name
    assert tag(revision="default")["namespaces"] == [SPACE]
    with pytest.raises(MeshopsError, match=f"Tag five is used by namespace {SPACE}"):
        tag(state="absent")
    injection("on")
    check = tag(check=True, state="absent")
    assert check == tag(state="absent")
    assert tag(state="absent")["changed"] is False
    with pytest.raises(MeshopsError, match="There is no revision or tag five"):
        injection("revision", revision="five")


def test_ambient_is_refused_without_a_ztunnel():
    with pytest.raises(MeshopsError, match="the cluster has no ztunnel"):
        injection("ambient")


def test_kube_inject_is_the_same_twice(tmp_path):
    injection("off", restart=True)
    source = tmp_path / "manual.yaml"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "manual"}}
    service["spec"] = {"ports": [{"name": "http", "port": 9080}], "selector": {"app": "manual"}}
    deployment = workload("Deployment", "manual")
    del deployment["metadata"]["namespace"]
    source.write_text(yaml.safe_dump_all([service, deployment]), encoding="utf-8")
    options = {"src": str(source), "namespace": SPACE, "istioctl": ISTIOCTL, "wait": True, "timeout": 60}
    first = run("manual_injection", **options)
    assert first["injected"] == [f"Deployment {SPACE}/manual"]
    assert injected()["manual"] is True
    position = audit_position()
    for check in (True, False):
        again = run("manual_injection", check, **options)
        assert (again["changed"], again["diff"]) == (False, [])
    assert writes_since(position) == []
    assert injection("off", restart=True)["workloads"] == []
    with pytest.raises(MeshopsError, match="no control plane of revision five"):
        run("manual_injection", revision="five", **options)
