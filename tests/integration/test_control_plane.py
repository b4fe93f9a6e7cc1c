# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_control_plane on the lab's mesh: check mode is the run, drift is healed, a revision comes, fails and goes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml

from tests.integration.control_plane import LAB, RELEASE, SITE, MeshopsError, control_plane, istio_profiles
from tests.support import PROJECT, audit_position, environment, kubectl, writes_since

EXTRA = {
    "name": "meshops-extra",
    "enabled": True,
    "label": {"istio": "meshops-extra"},
    "k8s": {"service": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
}
NO_GATEWAYS = {
    kind: [{"name": name, "enabled": False}]
    for kind, name in (("ingressGateways", "istio-ingressgateway"), ("egressGateways", "istio-egressgateway"))
}
SMALL = {**SITE, "spec": {**LAB["istio_spec"], "components": NO_GATEWAYS}, "timeout": 15}


@pytest.fixture(scope="module", autouse=True)
def mesh_as_it_was():
    yield
    control_plane(state="absent", revision="test", timeout=60)
    control_plane(**SITE)
    assert control_plane(check_mode=True, **SITE)["changed"] is False


def objects(*kinds: str) -> dict[str, tuple[Any, Any]]:
    """Generation and resourceVersion of each object of these kinds, and of what Istio's installer manages."""
    listed = kubectl("get", ",".join(kinds), "-A", "-o", "json")["items"]
    return {
        f"{item['kind']} {item['metadata'].get('namespace')}/{item['metadata']['name']}": (
            item["metadata"].get("generation"),
            item["metadata"]["resourceVersion"] if item["kind"] != "Deployment" else "",
        )
        for item in listed
    }


INSTALLED = (
    "deployments",
    "services",
    "configmaps",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
)
TRAFFIC = ("virtualservices", "destinationrules", "gateways.networking.istio.io", "customresourcedefinitions")


def namespaced(found: dict[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Without what changes by itself: the bookkeeping of other controllers."""
    return {name: version for name, version in found.items() if "istio-system" in name or "None/istio" in name}


def both(**options: Any) -> dict[str, Any]:
    """A run, and before it check mode that says the same."""
    position = audit_position()
    check = control_plane(check_mode=True, **options)
    assert writes_since(position) == []
    real = control_plane(**options)
    for key in ("changed", "objects", "diff", "reason"):
        assert check[key] == real[key], key
    return real


def rows(result: dict[str, Any]) -> list[str]:
    return [f"{item['result']} {item['kind']} {item['name']}" for item in result["objects"]]


def unchanged(**options: Any) -> None:
    position = audit_position()
    result = control_plane(**options)
    assert (result["changed"], result["objects"], result["diff"]) == (False, [], [])
    assert writes_since(position) == []


def test_second_run_writes_nothing_and_moves_nothing():
    before = namespaced(objects(*INSTALLED))
    started = time.monotonic()
    unchanged(**SITE)
    print(f"a run that changes nothing: {time.monotonic() - started:.2f} s")
    assert namespaced(objects(*INSTALLED)) == before


def test_mesh_setting_comes_and_goes():
    assert both(**SITE, set=["meshConfig.accessLogEncoding=JSON"])["changed"] is True
    assert "accessLogEncoding: JSON" in kubectl("-n", "istio-system", "get", "configmap", "istio", "-o", "yaml")
    unchanged(**SITE, set=["meshConfig.accessLogEncoding=JSON"])
    result = both(**SITE)
    assert result["reason"] == "the settings differ from those of the last installation"
    unchanged(**SITE)


def test_gateway_comes_and_is_pruned():
    demo = istio_profiles.dump(RELEASE / "manifests", "demo")["spec"]["components"]["ingressGateways"]
    wanted = {**SITE, "spec": {**LAB["istio_spec"], "components": {"ingressGateways": [*demo, EXTRA]}}}
    result = both(**wanted)
    assert {row.split()[0] for row in rows(result)} == {"created", "changed"}
    assert "created Deployment meshops-extra" in rows(result)
    unchanged(**wanted)
    result = both(**SITE)
    assert "deleted Deployment meshops-extra" in rows(result)
    assert "deleted Service meshops-extra" in rows(result)
    entry = next(item for item in result["diff"] if item["before_header"] == "Service istio-system/meshops-extra")
    assert (entry["after"], "port: 80" in entry["before"]) == ("", True)
    assert not [name for name in objects("deployments", "services") if "meshops-extra" in name]
    unchanged(**SITE)


def patch(kind: str, name: str, by: dict) -> None:
    kubectl("-n", "istio-system", "patch", kind, name, "-p", json.dumps(by))


def test_hand_edit_is_shown_and_healed():
    patch = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "discovery", "resources": {"requests": {"cpu": "11m"}}}]}}
        }
    }
    kubectl("-n", "istio-system", "patch", "deployment", "istiod", "-p", json.dumps(patch))
    kubectl(
        "-n", "istio-system", "patch", "configmap", "istio", "-p", json.dumps({"data": {"meshNetworks": "# by hand"}})
    )
    result = both(**SITE)
    assert rows(result) == ["changed ConfigMap istio", "changed Deployment istiod"]
    shown = str(result["diff"])
    assert (shown.count("cpu: 11m"), shown.count("# by hand")) == (1, 1)
    unchanged(**SITE)


def test_another_installation_of_the_revision_is_not_pruned(tmp_path):
    path = tmp_path / "extra.yaml"
    document = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": {"name": "extra"}}
    path.write_text(yaml.safe_dump({**document, "spec": {"profile": "empty"}}), encoding="utf-8")
    named = {"files": [str(path)], "profile": "empty", "tag": SITE["tag"], "timeout": 60}
    try:
        result = both(**named, spec={"components": {"ingressGateways": [EXTRA]}})
        assert "created ConfigMap meshops-istio.extra" in rows(result)
        unchanged(**SITE)
        with pytest.raises(MeshopsError, match="which the installation extra of the same revision has made"):
            control_plane(**SITE, set=["meshConfig.accessLogEncoding=JSON"])
    finally:
        result = both(**named)
        kubectl("-n", "istio-system", "delete", "configmap", "meshops-istio.extra")
    assert "deleted Deployment meshops-extra" in rows(result)
    unchanged(**SITE)


def test_killed_in_the_middle_and_started_again():
    setting = ["meshConfig.accessLogEncoding=JSON"]
    options = json.dumps({**SITE, "set": setting})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.control_plane", options],
        cwd=PROJECT,
        env=environment(),
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while record()["state"] != "installing":
            assert process.poll() is None and time.monotonic() < deadline
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert both(**SITE, set=setting)["reason"] == "an earlier installation did not finish"
    unchanged(**SITE, set=setting)
    control_plane(**SITE)


def record(name: str = "meshops-istio") -> dict[str, str]:
    return kubectl("-n", "istio-system", "get", "configmap", name, "-o", "json")["data"]


def test_revision_comes_and_goes_and_touches_nothing_else():
    before = objects(*TRAFFIC), namespaced(objects("deployments", "services"))
    result = both(**{**SMALL, "timeout": 120}, revision="test")
    assert "created Deployment istiod-test" in rows(result)
    unchanged(**SMALL, revision="test")
    result = both(state="absent", revision="test", timeout=60)
    assert rows(result)[-1] == "deleted ConfigMap meshops-istio-test"
    after = objects(*TRAFFIC), namespaced(objects("deployments", "services"))
    assert {name for name in after[0] if after[0][name][0] != before[0].get(name, (None,))[0]} == set()
    assert after[1] == before[1]
    unchanged(state="absent", revision="test")
    unchanged(**SITE)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("hub=nowhere.invalid/nothing", r"container discovery (ErrImagePull|ImagePullBackOff): .*nowhere\.invalid"),
        ("values.pilot.resources.requests.memory=900Gi", "cannot be scheduled: .*[Ii]nsufficient memory"),
    ],
)
def test_failed_installation_says_why_and_is_removed(setting, words):
    try:
        with pytest.raises(MeshopsError, match=f"Deployment istio-system/istiod-test: .*{words}"):
            control_plane(**SMALL, revision="test", set=[setting])
        assert record("meshops-istio-test")["state"] == "installing"
    finally:
        control_plane(state="absent", revision="test", timeout=60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "dmo"}, "There is no profile dmo: choose one of ambient, default, demo"),
        ({"spec": {"meshConfg": {}}}, r"unknown field: spec\.meshConfg\."),
        ({"values": {"pilot": {"envv": {}}}}, r"unknown field: spec\.values\.pilot\.envv \(PilotConfig"),
        ({"revision": "1.32"}, "The revision 1.32 is not a DNS label"),
        ({"namespace": "mesh"}, "Namespace istio-system has a control plane without a revision already"),
        ({"state": "absent", "purge": True}, r"and with them .*VirtualService \(bookinfo/.*confirm_purge: true"),
    ],
)
def test_wrong_input_changes_nothing(options, words):
    position = audit_position()
    for check_mode in (True, False):
        with pytest.raises(MeshopsError, match=words):
            control_plane(check_mode, **{**SITE, **options})
    assert writes_since(position) == []
