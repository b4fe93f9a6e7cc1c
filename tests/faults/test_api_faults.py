# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each traffic task against an API server that fails in each way: success, or one sentence and the truth of `changed`.

The faults are made by a proxy before the lab's API server; what is written is read past it.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.faults import api_proxy
from tests.faults.api_cases import (
    ANY,
    API,
    BLIND,
    DOWN,
    FAULTS,
    HOST,
    KINDS,
    LIMIT,
    NAME,
    NAMESPACE,
    NO_ANSWER,
    TASKS,
    Fault,
    Task,
    cases,
)
from tests.faults.api_proxy import ApiProxy, Rule
from tests.support import KUBECONFIG

from ansible_collections.meshops.istio.plugins.module_utils import (  # isort: skip - the path comes with tasks
    apply,
    kube as kube_module,
    kube_transport,
)
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError  # isort: skip
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube  # isort: skip
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import engine, gateway, nacks, poll  # isort: skip


Snapshot = Mapping[str, Any]


class Lab:
    """The objects of the Service `faulty`, read and written past the proxy; starts: by name how they may be."""

    def __init__(self, proxy: ApiProxy) -> None:
        self.proxy = proxy
        self.kube = Kube({"kubeconfig": str(KUBECONFIG)})
        nothing = dict.fromkeys(KINDS)
        self.starts: dict[str, Snapshot] = {"nothing": nothing}

    def live(self) -> Snapshot:
        """The objects by kind, None for those that are not there."""
        return {kind: self.kube.get(API, kind, NAME, NAMESPACE) for kind in KINDS}

    def bring(self, start: str) -> dict[str, Any]:
        """Brings the objects to one of the starts and returns their versions."""
        found = dict(self.live())
        for kind, live in found.items():
            wanted = self.starts[start][kind]
            if wanted is None:
                if live is not None:
                    self.kube.delete(API, kind, NAME, NAMESPACE)
                found[kind] = None
            elif live is None:
                found[kind] = self.kube.create(cleaned(wanted))
            elif cleaned(live) != cleaned(wanted):
                obj = cleaned(wanted)
                obj["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
                found[kind] = self.kube.replace(obj)
        return versions(found)


def cleaned(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what the API server keeps of it."""
    kept = {key: obj["metadata"].get(key) for key in ("name", "namespace", "labels", "annotations")}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {key: value for key, value in kept.items() if value},
        "spec": copy.deepcopy(obj["spec"]),
    }


def versions(objects: Snapshot) -> dict[str, Any]:
    """What becomes another one by every write."""
    found = {kind: obj["metadata"] for kind, obj in objects.items() if obj}
    return {kind: (meta["uid"], meta["resourceVersion"]) for kind, meta in found.items()}


def contents(objects: Snapshot) -> dict[str, Any]:
    """What the objects say, with all of their journals but the time."""
    found = {kind: cleaned(obj) for kind, obj in objects.items() if obj}
    for obj in found.values():
        notes = obj["metadata"].get("annotations", {})
        for key, text in notes.items():
            if "journal" in key:
                notes[key] = [{**entry, "when": ""} for entry in json.loads(text)]
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    proxy = ApiProxy(KUBECONFIG, tmp_path_factory.mktemp("proxy"))
    made = Lab(proxy)
    spec = {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec}
    try:
        made.kube.apply(service)
        made.bring("nothing")
        TASKS["split_created"].run(KUBECONFIG, wait=30)
        Task("split", {**HOST, "weights": {"v1": 80, "v2": 20}, "point": "good"}).run(KUBECONFIG, wait=30)
        made.starts["split"] = made.live()
        TASKS["gateway"].run(KUBECONFIG)
        made.starts["gate"] = {**made.starts["nothing"], "Gateway": made.live()["Gateway"]}
        yield made
    finally:
        made.bring("nothing")
        made.kube.delete("v1", "Service", NAME, NAMESPACE)
        proxy.close()


@functools.cache
def _reference(lab: Lab, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    before = lab.bring(TASKS[name].start)
    result = TASKS[name].run(KUBECONFIG)
    after = lab.live()
    assert result["changed"] == (versions(after) != before) == (name != "info")
    return contents(after), result


@pytest.fixture
def reference(lab) -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """What a task that meets no fault leaves behind, and its result."""
    return functools.partial(_reference, lab)


# --- the tests ---


def impatient(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Lets the task give up sooner, so that the tests end."""
    transport = functools.partial(kube_transport.Transport, retry_timeout=FAULTS[fault].patience)
    monkeypatch.setattr(kube_module, "Transport", transport)
    monkeypatch.setattr(engine, "CONFLICT_DEADLINE", 0.5)
    monkeypatch.setattr(gateway, "CONFLICT_DEADLINE", 0.5)
    if "stalled" in fault or "stuck" in fault:
        monkeypatch.setattr(kube_transport, "READ_SECONDS", 0.7)
        monkeypatch.setattr(poll, "EXEC_SECONDS", 1.0)
        monkeypatch.setattr(nacks, "_SECONDS", 1.0)


@pytest.mark.parametrize(("name", "fault", "number"), list(cases()))
def test_success_or_the_truth(lab, reference, monkeypatch, name, fault, number):  # noqa: PLR0917
    wanted, faultless = reference(name)
    asked, expected = TASKS[name], FAULTS[fault]
    before = lab.bring(asked.start)
    kubeconfig = lab.proxy.write_kubeconfig("valid")
    impatient(monkeypatch, fault)
    rules, started = expected.rules(lab.proxy, number), time.monotonic()
    result, error = {}, None
    with lab.proxy.ruled(*rules):
        try:
            result = asked.run(kubeconfig, expected.wait)
        except MeshopsError as raised:
            error = raised
    assert time.monotonic() - started < LIMIT
    assert rules[0].hits, "no request met the fault"
    written = versions(lab.live()) != before
    if error is None:
        assert not expected.cause or (name == "info" and expected.told)
        assert result["changed"] == written == faultless["changed"]
        told(name, expected, result, faultless)
    else:
        assert expected.cause, str(error)
        true_sentence(fault, expected, error, written)
    # and then nothing stands in the way
    again = asked.run(kubeconfig)
    assert contents(lab.live()) == wanted
    if error is None:
        assert again["changed"] is False


def told(name: str, fault: Fault, result: Mapping[str, Any], faultless: Mapping[str, Any]) -> None:
    """A task that came to its end says the same as without a fault, and what it could not find out."""
    if fault.told:
        assert fault.told in json.dumps([result["warnings"], result.get("objects")])
    elif name == "info":
        assert [{**obj, "proxies": None} for obj in result["objects"]] == [
            {**obj, "proxies": None} for obj in faultless["objects"]
        ]
        assert result["subsets"] == faultless["subsets"]
    else:
        assert result["warnings"] == faultless["warnings"]


def true_sentence(fault: str, expected: Fault, error: MeshopsError, written: bool) -> None:
    """An error is one sentence about an object or a request, with the cause and whether something was written."""
    text = str(error)
    assert "\n" not in text and "Traceback" not in text and len(text) < 1500
    if expected.cause == BLIND:
        assert re.search(NO_ANSWER, text)
        assert "whether it was written is not known" in text.lower()
        return
    assert re.search(expected.cause, text), text
    if fault.startswith("read"):
        assert re.search(r"Cannot (list|read|look up) ", text), text
    else:
        assert re.search(rf"({'|'.join(KINDS)}) {NAMESPACE}/{NAME}", text), text
    assert error.result.get("changed", False) is written, text
    assert bool(error.result.get("steps")) is written
    for step in error.result.get("steps", ()):
        assert re.fullmatch(rf"(create|replace|delete) ({'|'.join(KINDS)}) {NAMESPACE}/{NAME}", step)


@pytest.mark.parametrize("name", [name for name in TASKS if name != "info"])
def test_check_mode_foretells_the_same_after_one_lost_request(lab, reference, monkeypatch, name):
    _wanted, faultless = reference(name)
    before = lab.bring(TASKS[name].start)
    impatient(monkeypatch, "read_503_once")
    rule = Rule(ANY, api_proxy.reset, 1, 1)
    with lab.proxy.ruled(rule):
        result = TASKS[name].run(lab.proxy.write_kubeconfig("valid"), check_mode=True)
    assert rule.hits == 1
    assert versions(lab.live()) == before
    assert {key: result[key] for key in ("changed", "steps") if key in result} == {
        key: faultless[key] for key in ("changed", "steps") if key in faultless
    }


def test_watches_that_end_do_not_end_the_wait(lab):
    (pod, *_rest) = lab.kube.list("v1", "Pod", NAMESPACE, "app=reviews")
    labels = {"app": f"{NAME}-watched", "sidecar.istio.io/inject": "false"}
    container = {
        "name": "sleep",
        "image": next(item["image"] for item in pod["spec"]["containers"] if item["name"] == "reviews"),
        "command": ["sleep", "600"],
        # ready after the watches of the rules below
        "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 2, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{NAME}-watched", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": labels["app"]}}, "template": template},
    }
    options = {
        "kubeconfig": str(lab.proxy.write_kubeconfig("valid")),
        "context": None,
        "src": None,
        "definition": [deployment],
        "namespace": None,
        "overlays": None,
        "image_prefixes": None,
        "state": "present",
        "wait": True,
        "timeout": 60,
    }
    watch = r"^GET .*/deployments\?.*watch=true"
    rules = [Rule(watch, act, 1, 1) for act in (api_proxy.ended, api_proxy.reset, api_proxy.too_old, DOWN)]
    try:
        with lab.proxy.ruled(*rules):
            assert apply.core(dict(options), False)["changed"] is True
        live = lab.kube.get("apps/v1", "Deployment", f"{NAME}-watched", NAMESPACE)
        assert live["status"]["availableReplicas"] == 1
        assert [rule.hits for rule in rules] == [1, 1, 1, 1]
        assert apply.core(dict(options), False)["changed"] is False
    finally:
        lab.kube.delete("apps/v1", "Deployment", f"{NAME}-watched", NAMESPACE)
