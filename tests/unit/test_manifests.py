# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""manifests.py, kube_paths.py and rollout.py on tables."""

from __future__ import annotations

import copy

import pytest
from kube_objects import CRD, UP, deployment, obj, pod

from ansible_collections.meshops.istio.plugins.module_utils import kube_paths, manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

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
