# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""manifests.py, rollout.py and apply.py on tables and on a cluster that is a dictionary."""

from __future__ import annotations

import copy
import time

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import apply, kube_paths, manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube, NotFound, WaitTimeout

TWO = """
---
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
# nothing here
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: demo}}
"""


def obj(kind, name, namespace=None, api_version="v1", **rest):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def deployment(name="web", namespace="demo", images=("x/web:1",), **status):
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": containers}}}
    found = obj("Deployment", name, namespace, "apps/v1", spec=spec)
    if status:
        found["metadata"]["generation"] = 3
        found["status"] = status
    return found


UP = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
CRD = obj(
    "CustomResourceDefinition",
    "things.x.io",
    api_version="apiextensions.k8s.io/v1",
    spec={"group": "x.io", "names": {"kind": "Thing"}, "scope": "Namespaced", "versions": [{"name": "v1"}]},
)


def test_load_takes_lists_apart_and_drops_empty_documents():
    assert [item["kind"] for item in manifests.load(TWO)] == ["Namespace", "ConfigMap"]
    assert manifests.load("") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "f.yml is not valid YAML"),
        ("kind: X", "Document 1 of f.yml is not a Kubernetes object"),
        ("- 1", "Document 1 of f.yml is not a Kubernetes object"),
        ("{apiVersion: v1, kind: X}", "The X in document 1 of f.yml has no metadata.name"),
        ("!!python/object/apply:os.system [id]", "f.yml is not valid YAML"),
    ],
)
def test_load_says_what_is_wrong(text, words):
    with pytest.raises(MeshopsError, match=words):
        manifests.load(text, "f.yml")


def test_merge():
    base = {"a": {"x": 1, "y": 2}, "l": [1, 2], "n": [{"name": "p", "v": 1, "w": 2}, {"name": "q"}], "gone": 1}
    patch = {
        "a": {"y": 3},
        "l": [9],
        "n": [{"name": "p", "v": 7}, {"name": "r"}],
        "gone": None,
        "new": {"k": None, "m": 1},
    }
    before = copy.deepcopy(base)
    assert manifests.merge(base, patch) == {
        "a": {"x": 1, "y": 3},
        "l": [9],
        "n": [{"name": "p", "v": 7, "w": 2}, {"name": "q"}, {"name": "r"}],
        "new": {"m": 1},
    }
    assert base == before


def test_overlay_finds_its_object_or_names_the_candidates():
    objects = [obj("ConfigMap", "a", "demo", data={"k": "1"}), obj("ConfigMap", "b", "demo")]
    changed = manifests.overlay(objects, [{"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "2"}}])
    assert changed[0]["data"] == {"k": "2"}
    assert objects[0]["data"] == {"k": "1"}
    with pytest.raises(MeshopsError, match=r"overlays\[0\] \(ConfigMap c\).*ConfigMap demo/a, ConfigMap demo/b"):
        manifests.overlay(objects, [{"kind": "ConfigMap", "metadata": {"name": "c"}}])
    with pytest.raises(MeshopsError, match="matches no object"):
        manifests.overlay(objects, [{"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}])
    with pytest.raises(MeshopsError, match=r"needs kind and metadata\.name"):
        manifests.overlay(objects, [{"data": {}}])


def test_rewrite_images():
    objects = [
        deployment(images=("reg/release/a:1", "reg/other:2", "docker.io/x")),
        obj("ConfigMap", "a", image="reg/no"),
    ]
    result = manifests.rewrite_images(objects, {"reg/": "mine/", "reg/release/": "docker.io/istio/"})
    images = [item["image"] for item in result[0]["spec"]["template"]["spec"]["containers"]]
    assert images == ["docker.io/istio/a:1", "mine/other:2", "docker.io/x"]
    assert result[1]["image"] == "reg/no"
    assert objects[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "reg/release/a:1"


def test_order_and_digest():
    objects = [obj("ConfigMap", "a"), CRD, obj("Namespace", "n"), obj("Secret", "s")]
    kinds = [item["kind"] for item in manifests.ordered(objects)]
    assert kinds == ["Namespace", "CustomResourceDefinition", "ConfigMap", "Secret"]
    assert manifests.digest(objects) == manifests.digest(objects[::-1])
    assert manifests.digest(objects) != manifests.digest(objects[1:])


def test_diff_shows_no_secret_and_no_server_field():
    before = obj("Secret", "s", "demo", data={"password": "b2xk", "same": "c2FtZQ=="}, status={"x": 1})
    before["metadata"].update(
        resourceVersion="5",
        managedFields=[{}],
        annotations={"kubectl.kubernetes.io/last-applied-configuration": '{"data": "b2xk"}', "keep": "me"},
    )
    after = {**copy.deepcopy(before), "data": {"password": "bmV3", "same": "c2FtZQ=="}}
    entry = manifests.diff_entry(before, after)
    text = str(entry)
    assert not any(
        hidden in text for hidden in ("b2xk", "bmV3", "c2FtZQ", "resourceVersion", "managedFields", "status")
    )
    assert "password: (hidden)\n" in entry["before"]
    assert "password: (hidden) changed\n" in entry["after"]
    assert "same: (hidden)\n" in entry["after"]
    assert "keep: me" in text
    hook = obj("MutatingWebhookConfiguration", "h", webhooks=[{"clientConfig": {"caBundle": "LS0t"}}])
    assert "LS0t" not in str(manifests.diff_view(hook))


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        (kube_paths.CORE["v1", "Service"], "demo", "/api/v1/namespaces/demo/services/a"),
        (kube_paths.CORE["apps/v1", "Deployment"], None, "/apis/apps/v1/namespaces/default/deployments/a"),
        (kube_paths.CORE["v1", "Namespace"], "ignored", "/api/v1/namespaces/a"),
    ],
)
def test_paths(resource, namespace, path):
    assert kube_paths.object_path(resource, "a", namespace) == path


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, False),
        (obj("ConfigMap", "a"), True),
        (deployment(**UP), True),
        (deployment(**{**UP, "observedGeneration": 2}), False),
        (deployment(**{**UP, "updatedReplicas": 1}), False),
        (deployment(**{**UP, "replicas": 3}), False),
        (deployment(**{**UP, "availableReplicas": 1}), False),
        (CRD, False),
        ({**CRD, "status": {"conditions": [{"type": "Established", "status": "True"}]}}, True),
        (
            obj(
                "DaemonSet",
                "d",
                status={"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2},
            ),
            False,
        ),
        (
            obj(
                "DaemonSet",
                "d",
                status={"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3},
            ),
            True,
        ),
        (obj("StatefulSet", "s", spec={"replicas": 1}, status={"updatedReplicas": 1, "readyReplicas": 0}), False),
    ],
)
def test_ready(live, expected):
    assert rollout.ready(live) is expected


def pod(waiting=None, conditions=(), last=None, ended=None):
    state = {"waiting": waiting} if waiting else {"terminated": ended} if ended else {"running": {}}
    container = {"name": "web", "state": state, "ready": not waiting and not ended}
    if last is not None:
        container["lastState"] = {"terminated": {"exitCode": last}}
    return obj("Pod", "p", "demo", status={"containerStatuses": [container], "conditions": list(conditions)})


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (pod(), None),
        (pod({"reason": "ContainerCreating"}), None),
        (
            pod({"reason": "ImagePullBackOff", "message": "Back-off pulling x"}),
            "web ImagePullBackOff: Back-off pulling x",
        ),
        (pod({"reason": "CrashLoopBackOff"}, last=137), "web CrashLoopBackOff (last exit code 137)"),
        (pod(ended={"exitCode": 1, "reason": "Error"}), "web ended with 1 (Error)"),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]),
            "cannot be scheduled: 0/3 nodes are available",
        ),
    ],
)
def test_pod_problem(live, words):
    found = rollout.pod_problem(live)
    assert (found is None) if words is None else (words in found)


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
