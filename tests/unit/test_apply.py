# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply.py on a cluster that is a dictionary: what is written, in which order, and what is not."""

from __future__ import annotations

import copy
import time

import pytest
from kube_objects import CRD, UP, deployment, obj, pod

from ansible_collections.meshops.istio.plugins.module_utils import apply, kube_paths, manifests
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube, NotFound, WaitTimeout


class Cluster:
    """The part of Kube that apply.py uses, over a dictionary; `log` has every request that a server would see."""

    absent = False
    apply_merge = True

    def __init__(self, *objects, crds=True):
        self.objects = {manifests.identity(item): copy.deepcopy(item) for item in objects}
        self.log = []
        self.crds = crds
        self.version_counter = 0

    def resource(self, api_version, kind):
        core = kube_paths.CORE.get((api_version, kind))
        return core or (kube_paths.Resource(api_version, kind, "x", True) if self.crds else None)

    def get(self, api_version, kind, name, namespace=None):
        return copy.deepcopy(self.objects.get(manifests.Identity(api_version, kind, namespace or "", name)))

    def list(self, api_version, kind, namespace=None, label_selector=None):
        return [
            item for name, item in self.objects.items() if name.kind == kind and name.namespace == (namespace or "")
        ]

    def apply(self, wanted, dry_run=False, force=True):
        name = manifests.identity(wanted)
        self.log.append(("dry" if dry_run else "write", name.kind, name.name))
        if name.namespace and manifests.Identity("v1", "Namespace", "", name.namespace) not in self.objects:
            raise NotFound(f"Cannot apply {name.kind}: no namespace", 404)
        result = manifests.merge(self.objects.get(name, {}), wanted)
        result["metadata"].setdefault("uid", "u")
        if name.kind == "CustomResourceDefinition":
            result["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        if not dry_run:
            self.version_counter += 1
            result["metadata"]["resourceVersion"] = str(self.version_counter)
            self.objects[name] = copy.deepcopy(result)
        return result

    def delete(self, api_version, kind, name, namespace=None, propagation="Background"):
        self.log.append(("delete", kind, name))
        return self.objects.pop(manifests.Identity(api_version, kind, namespace or "", name), None) is not None

    def wait(self, api_version, kind, name, namespace, *how):
        live = self.get(api_version, kind, name, namespace)
        predicate, _timeout = how
        if not predicate(live):
            raise WaitTimeout("not yet", live)
        return live or {}

    def writes(self):
        return [entry for entry in self.log if entry[0] != "dry"]


WANTED = [
    obj("ConfigMap", "a", "demo", data={"k": "1"}),
    obj("Thing", "t", "demo", "x.io/v1"),
    CRD,
    obj("Namespace", "demo"),
]


def run(cluster, wanted, monkeypatch, check=False, **options):
    monkeypatch.setattr(Kube, "connect", staticmethod(lambda params, check_mode=False: cluster))
    monkeypatch.setattr(cluster, "transport", type("T", (), {})(), raising=False)
    params = {
        "src": None,
        "definition": copy.deepcopy(wanted),
        "namespace": None,
        "overlays": None,
        "image_prefixes": None,
        "state": "present",
        "wait": False,
        "timeout": 1,
        **options,
    }
    result = apply.core(params, check)
    result["diff"] = result["diff"]()
    return result


def results(result):
    return [item["result"] for item in result["objects"]]


def test_four_steps(monkeypatch):
    cluster = Cluster()
    check = run(cluster, WANTED, monkeypatch, check=True)
    assert cluster.writes() == []
    real = run(cluster, WANTED, monkeypatch)
    assert (check["changed"], check["objects"]) == (real["changed"], real["objects"])
    assert [kind for dummy, kind, *dummies in cluster.writes()] == [
        "Namespace",
        "CustomResourceDefinition",
        "ConfigMap",
        "Thing",
    ]
    cluster.log.clear()
    for check_mode in (True, False):
        again = run(cluster, WANTED, monkeypatch, check=check_mode)
        assert again["changed"] is False
        assert again["diff"] == []
        assert cluster.writes() == []


def test_only_the_different_object_is_written(monkeypatch):
    cluster = Cluster()
    run(cluster, WANTED, monkeypatch)
    cluster.log.clear()
    changed = copy.deepcopy(WANTED)
    changed[0]["data"]["k"] = "2"
    check = run(cluster, changed, monkeypatch, check=True)
    result = run(cluster, changed, monkeypatch)
    assert results(result) == ["unchanged", "unchanged", "changed", "unchanged"]
    assert check["diff"] == result["diff"]
    assert cluster.writes() == [("write", "ConfigMap", "a")]


def test_absent_goes_the_other_way_round(monkeypatch):
    cluster = Cluster()
    run(cluster, WANTED, monkeypatch)
    cluster.log.clear()
    check = run(cluster, WANTED, monkeypatch, check=True, state="absent")
    assert cluster.log == []
    result = run(cluster, WANTED, monkeypatch, state="absent")
    assert check["objects"] == result["objects"]
    assert [kind for dummy, kind, *dummies in cluster.writes()] == [
        "Thing",
        "ConfigMap",
        "CustomResourceDefinition",
        "Namespace",
    ]
    assert run(cluster, WANTED, monkeypatch, state="absent")["changed"] is False


def test_check_mode_without_a_cluster_creates_everything(monkeypatch):
    result = run(AbsentKube(), WANTED, monkeypatch, check=True, wait=True)
    assert set(results(result)) == {"created"}
    assert len(result["diff"]) == len(WANTED)


def test_namespace_is_given_to_namespaced_kinds_only(monkeypatch):
    objects = [
        obj("ConfigMap", "a"),
        obj("Namespace", "n"),
        obj("ConfigMap", "b", "own"),
        obj("Thing", "t", None, "x.io/v1"),
    ]
    for cluster in (Cluster(crds=False), AbsentKube()):
        given = apply.with_namespace(cluster, [*objects, CRD], "demo")
        assert [item["metadata"].get("namespace") for item in given] == ["demo", None, "own", "demo", None]
    wide = copy.deepcopy(CRD)
    wide["spec"]["scope"] = "Cluster"
    assert "namespace" not in apply.with_namespace(Cluster(), [objects[3], wide], "demo")[0]["metadata"]


def test_all_failures_are_named_and_the_rest_is_done(monkeypatch):
    cluster = Cluster(obj("Namespace", "demo"))
    wanted = [obj("ConfigMap", "a", "one"), obj("ConfigMap", "b", "demo"), obj("Secret", "c", "two")]
    with pytest.raises(MeshopsError, match="2 of 3 objects failed"):
        run(cluster, wanted, monkeypatch)
    assert cluster.get("v1", "ConfigMap", "b", "demo")


def test_rollout_that_does_not_come_up_says_why():
    waiting = pod({"reason": "ImagePullBackOff", "message": "no such image"})
    cluster = Cluster(deployment(**{**UP, "availableReplicas": 0}), waiting)
    live = cluster.get("apps/v1", "Deployment", "web", "demo")
    with pytest.raises(
        WaitTimeout, match="Deployment demo/web is not rolled out after 1 s: pod p container web ImagePull"
    ):
        apply.wait_ready(cluster, [live], time.monotonic(), 1)


def test_missing_file(monkeypatch, tmp_path):
    cluster = Cluster()
    missing = str(tmp_path / "none.yml")
    with pytest.raises(MeshopsError, match="cannot be read"):
        run(cluster, [], monkeypatch, src=missing, definition=None)
    params = {"src": missing}
    assert apply.core(params, True) == {"changed": True, "objects": []}
    (tmp_path / "empty.yml").write_text("---\n")
    with pytest.raises(MeshopsError, match="holds no object"):
        run(cluster, [], monkeypatch, src=str(tmp_path / "empty.yml"), definition=None)
