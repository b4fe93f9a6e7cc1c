"""The module's way: read, plan, check the pods, write, again on a conflict; the same in check mode without writing."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import traffic_split
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    AbsentKube,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import API_VERSION, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

REVIEWS = Service("reviews", "bookinfo")
V1_V3 = {"v1": 50, "v3": 50}


def service(name="reviews", selector=True):
    spec = {"selector": {"app": name}} if selector else {}
    return {"kind": "Service", "metadata": {"name": name, "namespace": "bookinfo"}, "spec": spec}


def pod(version, ready="True", **metadata):
    labels = {"app": "reviews", "version": version}
    metadata = {"name": version, "namespace": "bookinfo", "labels": labels, **metadata}
    return {"kind": "Pod", "metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


class FakeKube:
    """Objects by kind and name; resourceVersion counts writes; `script` runs before a write, to be in its way."""

    absent = False

    def __init__(self, *objects):
        self.objects = {(obj["kind"], obj["metadata"]["name"]): copy.deepcopy(obj) for obj in objects}
        self.writes, self.dry_runs, self.script = [], [], []

    def get(self, _api_version, kind, name, namespace=None):
        assert namespace == "bookinfo"
        return copy.deepcopy(self.objects.get((kind, name)))

    def list(self, _api_version, kind, namespace=None, label_selector=None):
        if kind == "Pod":
            assert label_selector == "app=reviews"
        return [copy.deepcopy(obj) for (this, *dummies), obj in sorted(self.objects.items()) if this == kind]

    def create(self, obj, dry_run=False):
        return self._write(obj, dry_run, creating=True)

    def replace(self, obj, dry_run=False):
        return self._write(obj, dry_run, creating=False)

    def _write(self, obj, dry_run, creating):
        if self.script and not dry_run:
            self.script.pop(0)(self)
        key = obj["kind"], obj["metadata"]["name"]
        live = self.objects.get(key)
        version = obj["metadata"].get("resourceVersion")
        if (live is not None) if creating else (live is None or live["metadata"]["resourceVersion"] != version):
            raise Conflict(f"Cannot write {key}")
        (self.dry_runs if dry_run else self.writes).append(key)
        result = copy.deepcopy(obj)
        result["metadata"].update(resourceVersion=str(len(self.writes) + 100), uid="u", managedFields=[{}])
        if not dry_run:
            self.objects[key] = result
        return copy.deepcopy(result)


@pytest.fixture
def kube():
    return FakeKube(service(), pod("v1"), pod("v2"), pod("v3"))


def split(kube, weights=None, check_mode=False, require_ready=True):
    return traffic_split.split(kube, Request(REVIEWS, weights or V1_V3), require_ready, check_mode)


def shown(result):
    """What the user sees, with the diff made."""
    return {**result, "diff": result["diff"]()}


def test_create_check_again_and_move(kube):
    promised = shown(split(kube, check_mode=True))
    assert kube.writes == []
    made = shown(split(kube))
    assert made == promised
    assert made["changed"]
    assert made["steps"] == ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]
    assert made["effective"] == V1_V3
    assert made["before"] == {}
    assert kube.writes == [("DestinationRule", "reviews"), ("VirtualService", "reviews")]

    again = shown(split(kube))
    assert not again["changed"]
    assert again["diff"] == []
    assert again["before"] == again["after"] == made["after"]
    assert len(kube.writes) == 2

    promised = shown(split(kube, {"v1": 90, "v3": 10}, check_mode=True))
    moved = shown(split(kube, {"v1": 90, "v3": 10}))
    assert moved == promised
    (diff,) = moved["diff"]
    lines = zip(diff["before"].splitlines(), diff["after"].splitlines())
    assert [(a.strip(), b.strip()) for a, b in lines if a != b] == [
        ("weight: 50", "weight: 90"),
        ("weight: 50", "weight: 10"),
    ]


def test_a_refused_second_object_is_found_before_the_first_is_written(kube):
    create = kube.create

    def webhook(obj, dry_run=False):
        if obj["kind"] == "VirtualService":
            raise Invalid("admission webhook denied the request", 400)
        return create(obj, dry_run)

    kube.create = webhook
    for check_mode in (True, False):
        with pytest.raises(Invalid):
            split(kube, check_mode=check_mode)
    assert kube.writes == []


def test_conflicts_end_at_the_deadline(kube, monkeypatch):
    def always(obj, dry_run=False):
        raise Conflict("somebody else changed it", 409)

    kube.create = always
    monkeypatch.setattr(traffic_split, "CONFLICT_DEADLINE", 0.3)
    with pytest.raises(Conflict):
        split(kube)


def test_a_write_in_between_is_read_and_kept(kube):
    split(kube)

    def somebody_else(cluster):
        live = cluster.objects["VirtualService", "reviews"]
        live["metadata"]["resourceVersion"] = "9999"
        live["spec"]["http"][0]["timeout"] = "3s"

    kube.script = [somebody_else]
    result = split(kube, {"v1": 1, "v3": 3})
    route = kube.objects["VirtualService", "reviews"]["spec"]["http"][0]
    assert route["timeout"] == "3s"
    assert [item["weight"] for item in route["route"]] == [1, 3]
    assert result["before"]["spec"]["http"][0]["timeout"] == "3s"


def test_what_was_written_before_a_conflict_is_still_told(kube):
    def somebody_else(cluster):
        metadata = {"name": "reviews", "namespace": "bookinfo", "resourceVersion": "5"}
        http = [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]
        spec = {"hosts": ["reviews"], "http": http}
        obj = {"apiVersion": API_VERSION, "kind": "VirtualService", "metadata": metadata, "spec": spec}
        cluster.objects["VirtualService", "reviews"] = obj

    kube.script = [lambda cluster: None, somebody_else]
    result = split(kube)
    assert result["steps"] == ["create DestinationRule bookinfo/reviews", "replace VirtualService bookinfo/reviews"]


@pytest.mark.parametrize(
    ("pods", "weights", "word"),
    [
        ([pod("v1")], V1_V3, "Subset v3 of reviews.bookinfo (version=v3) has no ready pod"),
        ([pod("v1"), pod("v3", "False")], V1_V3, "Subset v3"),
        ([pod("v1"), pod("v3", deletionTimestamp="now")], V1_V3, "Subset v3"),
        ([pod("v1")], {"v1": 1, "v3": 0}, None),
    ],
)
def test_requests_are_not_sent_where_nobody_is_ready(pods, weights, word):
    kube = FakeKube(service(), *pods)
    if word is None:
        assert split(kube, weights)["changed"]
        return
    for check_mode in (True, False):
        with pytest.raises(MeshopsError) as refusal:
            split(kube, weights, check_mode)
        assert word in str(refusal.value)
    assert kube.writes == []
    assert split(kube, weights, require_ready=False)["changed"]


def test_a_split_in_effect_stays_no_change_while_pods_restart(kube):
    split(kube)
    del kube.objects["Pod", "v3"]
    assert not split(kube)["changed"]


def test_a_service_without_selector_is_not_checked():
    assert split(FakeKube(service(selector=False)))["changed"]


def test_an_unknown_service_is_refused_with_the_near_names(kube):
    kube.objects["Service", "review"] = service("review")
    del kube.objects["Service", "reviews"]
    with pytest.raises(MeshopsError, match=r"no Service reviews in namespace bookinfo .did you mean: review"):
        split(kube)
    result = split(kube, check_mode=True)
    assert result["changed"]
    assert "did you mean: review" in result["warnings"][0]


def test_check_mode_without_a_cluster_would_create():
    result = split(AbsentKube("no kubeconfig"), check_mode=True)
    assert result["changed"]
    assert result["warnings"] == []
    assert result["steps"] == ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]
    assert result["after"]["spec"]["hosts"] == ["reviews"]


def test_check_mode_before_istio_is_installed_would_create(kube):
    def no_kind(obj, dry_run=False):
        raise NotFound("no such kind", 404)

    kube.create = no_kind
    assert split(kube, check_mode=True)["changed"]
    with pytest.raises(NotFound):
        split(kube)


def test_with_rights_in_one_namespace_only(kube):
    everything = kube.list

    def narrow(api_version, kind, namespace=None, label_selector=None):
        if namespace is None:
            raise Forbidden("no", 403)
        return everything(api_version, kind, namespace, label_selector)

    kube.list = narrow
    result = split(kube)
    assert result["changed"]
    assert len(result["warnings"]) == 2


def test_core_reads_its_options():
    params = {
        "host": "reviews.bookinfo",
        "namespace": None,
        "weights": {"v1": -1},
        "virtual_service": None,
        "route": None,
        "require_ready": True,
        "wait": True,
        "wait_timeout": 30.0,
        "cluster_domain": "cluster.local",
        "kubeconfig": "/nonexistent/kubeconfig",
        "context": None,
    }
    with pytest.raises(MeshopsError, match="negative"):
        traffic_split.core(params, True)
    assert traffic_split.core({**params, "weights": {"v1": 1}}, True)["effective"] == {"v1": 100}
