# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_injection: which webhook takes a pod, which labels are set or refused; restarts have a file of their own."""

from __future__ import annotations

import pytest
from injection_world import FREE, World, namespace, pod, proxied, run, usual, webhook, workload

from ansible_collections.meshops.istio.plugins.module_utils import injection, injection_probe, injectors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Sidecar
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    AbsentKube,
    Forbidden,
    WebhookUnavailable,
)

TWO = [*usual(), webhook("1-32"), webhook("1-32", tag="prod")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(injection_probe, "_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(injection, "_PROOF_SECONDS", 0.05)


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        (None, {"a": "b"}, True),
        ({}, {}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, {"a": "c"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {"a": "b"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, {"a": "b"}, False),
    ],
)
def test_matches(selector, labels, expected):
    assert injectors.matches(selector, labels) is expected


@pytest.mark.parametrize(
    ("labels", "on_pod", "name"),
    [
        ({"istio-injection": "enabled"}, {}, "istio-revision-tag-default"),
        ({"istio-injection": "enabled", "istio.io/rev": "1-32"}, {}, "istio-revision-tag-default"),
        ({"istio-injection": "disabled", "istio.io/rev": "1-32"}, {}, None),
        ({"istio.io/rev": "1-32"}, {}, "istio-sidecar-injector-1-32"),
        ({"istio.io/rev": "prod"}, {}, "istio-revision-tag-prod"),
        ({"istio.io/rev": "default"}, {}, "istio-revision-tag-default"),
        ({"istio.io/rev": "prod"}, {"sidecar.istio.io/inject": "false"}, None),
        ({"istio.io/rev": "other"}, {}, None),
        ({}, {}, None),
        ({}, {"sidecar.istio.io/inject": "true"}, "istio-revision-tag-default"),
        ({}, {"istio.io/rev": "prod"}, "istio-revision-tag-prod"),
        ({"istio-injection": "enabled"}, {"istio.io/rev": "prod"}, "istio-revision-tag-default"),
    ],
)
def test_serving(labels, on_pod, name):
    found = injectors.serving(injectors.injectors(TWO), labels, on_pod)
    assert (found.name if found else None) == name


def test_injectors_are_told_from_other_webhooks():
    other = {"metadata": {"name": "policy", "labels": {"istio.io/rev": "x"}}, "webhooks": [{"name": "a.example.com"}]}
    found = injectors.injectors([other, *TWO])
    assert injectors.revisions(found) == ["1-32", "default"]
    assert injectors.tags(found) == {"default": "default", "prod": "1-32"}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/istio/proxyv2:1.31.1", "1.31.1"),
        ("reg:5000/istio/proxyv2:1.31.1-distroless", "1.31.1"),
        ("reg:5000/istio/proxyv2:1.31.1-debug@sha256:ab", "1.31.1"),
        ("reg:5000/istio/proxyv2@sha256:ab", "sha256:ab"),
        ("auto", "auto"),
    ],
)
def test_image_version(image, version):
    assert injectors.image_version(image) == version


def test_sidecar_of_a_pod():
    plain = pod("p")
    assert injectors.sidecar(plain) is None
    assert injectors.sidecar(proxied(plain, "1-32", "1.32.0")) == Sidecar("1-32", "1.32.0")
    assert injectors.sidecar(proxied(plain, "1-32", "1.32.0", native=True)) == Sidecar("1-32", "1.32.0")
    broken = proxied(plain, "1-32", "1.32.0")
    broken["metadata"]["annotations"] = {"sidecar.istio.io/status": "{", "istio.io/rev": "canary"}
    assert injectors.sidecar(broken) == Sidecar("canary", "1.32.0")


@pytest.mark.parametrize(
    ("has", "would", "words"),
    [
        (None, None, ""),
        (Sidecar("a", "1"), Sidecar("a", "1"), ""),
        (Sidecar("a", "1"), Sidecar("a", ""), ""),
        (Sidecar("", "1"), Sidecar("a", "1"), ""),
        (Sidecar("a", "1"), Sidecar("b", ""), "sidecar 1 of revision a, a new pod would get a sidecar of revision b"),
        (Sidecar("a", "1"), Sidecar("a", "2"), "sidecar 1 of revision a, a new pod would get sidecar 2 of revision a"),
        (None, Sidecar("a", "1"), "no sidecar, a new pod would get sidecar 1 of revision a"),
        (Sidecar("a", "1"), None, "sidecar 1 of revision a, a new pod would get none"),
    ],
)
def test_difference(has, would, words):
    assert injectors.difference(has, would) == words


@pytest.mark.parametrize(
    ("annotations", "image", "injected", "expected"),
    [
        ({}, None, Sidecar("r", "2"), Sidecar("r", "2")),
        ({}, None, None, None),
        ({}, "auto", Sidecar("r", "2"), Sidecar("r", "2")),
        ({}, "x/proxyv2:1", Sidecar("r", "2"), Sidecar("r", "1")),
        ({}, "x/proxyv2:1", None, Sidecar("", "1")),
        ({"sidecar.istio.io/status": '{"revision": "r"}'}, "x/proxyv2:1", Sidecar("r", "2"), Sidecar("r", "2")),
        ({"sidecar.istio.io/status": '{"revision": "r"}'}, "x/proxyv2:1", None, Sidecar("r", "1")),
        ({"sidecar.istio.io/proxyImage": "mine:3"}, None, Sidecar("r", "2"), Sidecar("r", "3")),
    ],
)
def test_expected(annotations, image, injected, expected):
    containers = [{"name": "app"}, *([{"name": "istio-proxy", "image": image}] if image else [])]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    assert injectors.expected(template, injected) == expected


@pytest.mark.parametrize(
    ("mode", "live", "unasked", "expected"),
    [
        ("on", {"istio.io/rev": "a", "istio.io/dataplane-mode": "ambient"}, False, ("enabled", None, None)),
        ("on", {"istio.io/dataplane-mode": "none"}, False, ("enabled", None, "none")),
        ("revision", {"istio-injection": "enabled"}, False, (None, "new", None)),
        ("revision", {"istio-injection": "disabled"}, False, (None, "new", None)),
        ("off", {"istio-injection": "enabled", "istio.io/rev": "a"}, False, (None, None, None)),
        ("off", {"istio-injection": "disabled", "istio.io/rev": "a"}, False, ("disabled", None, None)),
        ("off", {}, True, ("disabled", None, None)),
        ("ambient", {"istio-injection": "enabled", "istio.io/rev": "a"}, False, (None, None, "ambient")),
    ],
)
def test_labels_for(mode, live, unasked, expected):
    assert tuple(injectors.labels_for(mode, "new", live, unasked).values()) == expected


def test_four_steps(monkeypatch):
    world = World(FREE, namespace("demo", team="a", istio__rev="x"), *TWO, default="1.31.1")
    world.live("Namespace", "demo")["metadata"]["labels"]["istio.io/rev"] = "1-31"
    check = run(monkeypatch, world, check=True)
    assert world.writes == []
    real = run(monkeypatch, world)
    assert world.writes == ["patch Namespace demo"]
    assert check == real
    assert (real["changed"], real["revision"], real["version"]) == (True, "default", "1.31.1")
    assert real["labels"] == {"istio-injection": "enabled"}
    labels = world.live("Namespace", "demo")["metadata"]["labels"]
    assert labels["team"] == "a" and "istio.io/rev" not in labels
    assert "istio-injection: enabled" in real["diff"][0]["after"]
    for check_mode in (True, False):
        again = run(monkeypatch, world, check=check_mode)
        assert (again["changed"], again["diff"]) == (False, [])
    assert world.writes == ["patch Namespace demo"]


@pytest.mark.parametrize(
    ("mode", "revision", "injects", "labels"),
    [
        ("revision", "prod", "1-32", {"istio.io/rev": "prod"}),
        ("revision", "1-32", "1-32", {"istio.io/rev": "1-32"}),
        ("revision", "default", "default", {"istio.io/rev": "default"}),
        ("off", None, "", {}),
    ],
)
def test_modes(monkeypatch, mode, revision, injects, labels):
    world = World(FREE, namespace("demo", **{"istio-injection": "enabled"}), *TWO, default="1.31.1", **{"1_32": "1.32"})
    result = run(monkeypatch, world, mode, revision=revision)
    assert (result["changed"], result["revision"], result["labels"]) == (True, injects, labels)
    assert run(monkeypatch, world, mode, revision=revision)["changed"] is False


def test_off_is_said_where_unlabelled_namespaces_are_injected(monkeypatch):
    world = World(FREE, namespace("demo"), webhook(off=True), webhook(tag="default", everywhere=True))
    assert run(monkeypatch, world, "off")["labels"] == {"istio-injection": "disabled"}
    assert run(monkeypatch, world, "off")["changed"] is False


def ztunnel():
    meta = {"name": "ztunnel", "namespace": "istio-system", "labels": {"app": "ztunnel"}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": {"template": {"spec": {}}}}


def test_ambient_needs_a_ztunnel(monkeypatch):
    world = World(FREE, namespace("demo", **{"istio-injection": "enabled"}), *usual())
    with pytest.raises(MeshopsError, match="the cluster has no ztunnel"):
        run(monkeypatch, world, "ambient")
    assert world.writes == []
    world.put(ztunnel())
    result = run(monkeypatch, world, "ambient")
    assert (result["labels"], result["revision"]) == ({"istio.io/dataplane-mode": "ambient"}, "")
    assert run(monkeypatch, world, "ambient")["changed"] is False


@pytest.mark.parametrize(
    ("objects", "mode", "revision", "words"),
    [
        ([namespace("demo"), *TWO], "revision", "1-33", "There is no revision or tag 1-33; there are: revision 1-32,"),
        ([namespace("demo"), webhook("1-32")], "on", None, "No webhook serves the label istio-injection=enabled"),
        ([namespace("demo"), webhook(off=True)], "revision", "default", "No webhook serves the label istio.io/rev"),
        ([namespace("demo"), webhook("old", tag="prod")], "revision", "prod", "revision old, which has no control"),
        ([*TWO], "on", None, "There is no namespace demo"),
        ([namespace("demo"), *TWO], "on", "prod", "goes with mode revision, not with mode on"),
        ([namespace("demo")], "on", None, "none, no control plane is installed"),
    ],
)
def test_refused_before_anything_is_changed(monkeypatch, objects, mode, revision, words):
    world = World(FREE, *objects)
    with pytest.raises(MeshopsError, match=words):
        run(monkeypatch, world, mode, revision=revision)
    assert world.writes == []


def test_namespaces_that_istiod_ignores_are_refused(monkeypatch):
    world = World(FREE, namespace("kube-system"), *usual())
    with pytest.raises(MeshopsError, match="Istio never injects into namespace kube-system"):
        run(monkeypatch, world, namespace="kube-system")
    ending = namespace("demo")
    ending["metadata"]["deletionTimestamp"] = "now"
    with pytest.raises(MeshopsError, match="is being deleted"):
        run(monkeypatch, World(FREE, ending, *usual()))


def test_webhook_that_injects_nothing_or_is_down_is_refused_before_the_label(monkeypatch):
    world = World(FREE, namespace("demo"), *usual(), default="")
    with pytest.raises(MeshopsError, match="of revision default puts no sidecar into pods"):
        run(monkeypatch, world)
    world = World(FREE, namespace("demo"), *usual())
    world.errors["default"] = WebhookUnavailable("failed calling webhook", 500)
    with pytest.raises(MeshopsError, match="puts no sidecar into pods: failed calling webhook"):
        run(monkeypatch, world)
    assert world.writes == []


def test_version_that_cannot_be_told_is_a_warning(monkeypatch):
    world = World(FREE, namespace("demo", **{"istio-injection": "disabled"}), *usual())
    world.errors["default"] = Forbidden("exceeded quota", 403)
    result = run(monkeypatch, world)
    assert (result["version"], result["changed"]) == ("", True)
    assert "cannot be told (exceeded quota)" in result["warnings"][0]


def test_label_without_effect_is_an_error(monkeypatch):
    world = World(FREE, namespace("demo"), *usual())
    taken = world.injected
    world.injected = lambda item: item if item["metadata"]["namespace"] == "demo" else taken(item)
    with pytest.raises(MeshopsError, match="should get the sidecar of revision default, but: they get none"):
        run(monkeypatch, world)


def test_pods_that_quota_refuses_cannot_be_proved_and_a_refused_sidecar_is_one(monkeypatch):
    world = World(FREE, namespace("demo"), *usual())
    world.errors["demo"] = Forbidden("exceeded quota: pods", 403)
    assert "could not be proved: exceeded quota" in run(monkeypatch, world)["warnings"][0]
    world = World(FREE, namespace("demo"), *usual())
    world.errors["demo"] = Forbidden("violates PodSecurity: container istio-init must not add NET_ADMIN", 403)
    assert run(monkeypatch, world)["warnings"] == []


def test_check_mode_before_the_mesh_or_the_cluster(monkeypatch):
    result = run(monkeypatch, AbsentKube(), check=True)
    assert (result["changed"], result["workloads"]) == (True, [])
    result = run(monkeypatch, World(FREE), check=True)
    assert (result["changed"], result["labels"]) == (True, {"istio-injection": "enabled"})
    assert "no error" in result["warnings"][0]
    world = World(FREE, namespace("demo"), *usual(), *workload("Deployment", "web"))
    result = run(monkeypatch, world, "revision", revision="soon", check=True, restart=True)
    assert (result["labels"], result["workloads"]) == ({"istio.io/rev": "soon"}, [])
    assert "no revision or tag soon" in result["warnings"][0]
    assert run(monkeypatch, World(FREE, *usual()), "off", check=True)["changed"] is False


def test_a_gateway_must_not_lose_its_proxy(monkeypatch):
    template = {
        "metadata": {"labels": {"app": "gate"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    }
    gate = [*workload("Deployment", "gate", template=template)]
    world = World(FREE, namespace("demo", **{"istio-injection": "enabled"}), *usual(), *gate)
    with pytest.raises(MeshopsError, match="Deployment demo/gate in namespace demo gets its proxy by injection"):
        run(monkeypatch, world, "off")
    assert world.writes == []
    template["metadata"]["labels"]["sidecar.istio.io/inject"] = "true"
    gate = [*workload("Deployment", "gate", template=template)]
    world = World(FREE, namespace("demo", **{"istio-injection": "enabled"}), *usual(), *gate)
    assert run(monkeypatch, world, "off")["changed"] is True
