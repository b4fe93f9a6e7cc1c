# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""control_plane.py with an istioctl and a cluster that are a few lines each, and its pure comparison by tables."""

from __future__ import annotations

import copy

import pytest
from control_plane_world import (
    HPA,
    MESH,
    NEVER,
    RENDERED,
    SYSTEM,
    Cluster,
    Tool,
    default_tag,
    gateway,
    gateway_pod,
    injector,
    istiod,
    istiod_pod,
    obj,
    params,
    run,
    validator,
)

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, manifests
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube


@pytest.mark.parametrize(
    ("live", "after", "autoscaled", "same"),
    [
        (injector(bundle="x"), injector(), False, True),
        (injector(NEVER, "x"), injector(), False, True),
        (injector({"matchLabels": {"changed": "by hand"}}), injector(), False, False),
        (validator("Fail", "x"), validator("Ignore"), False, True),
        (validator("Ignore"), validator("Fail"), False, False),
        (istiod(replicas=3), istiod(replicas=1), True, True),
        (istiod(replicas=3), istiod(replicas=1), False, False),
        (istiod("other"), istiod(), True, False),
    ],
)
def test_keep_foreign(live, after, autoscaled, same):
    before = copy.deepcopy(after)
    assert (compare.keep_foreign(live, after, autoscaled) == live) is same
    assert after == before


def test_keep_foreign_leaves_other_fields_of_a_deactivated_injector():
    after = injector()
    after["webhooks"][0]["clientConfig"]["service"]["name"] = "istiod-new"
    kept = compare.keep_foreign(injector(NEVER), after)
    assert kept["webhooks"][0]["namespaceSelector"] == NEVER
    assert kept["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod-new"


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, False),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, False),
    ],
)
def test_contains(live, wanted, expected):
    assert compare.contains(live, wanted) is expected


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, None),
        (istiod(version="1.30.5"), "1.30.5"),
        (istiod("reg:5000/istio/pilot:1.31.1-distroless"), "1.31.1-distroless"),
        (istiod("reg:5000/istio/pilot@sha256:ab"), None),
    ],
)
def test_installed_version(live, expected):
    assert compare.installed_version(live) == expected


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"spec": {"containers": [{"name": "probe"}]}}, False),
        ({"spec": {"containers": [{"name": "probe"}, {"name": "istio-proxy"}]}}, True),
        ({"spec": {"containers": [{"name": "probe"}], "initContainers": [{"name": "istio-proxy"}]}}, True),
    ],
)
def test_injected(pod, expected):
    assert compare.injected(pod) is expected


@pytest.fixture
def world(monkeypatch):
    def build(cluster=None, rendered=None, version="1.31.1"):
        cluster = cluster or Cluster()
        tool = Tool(cluster, rendered if rendered is not None else RENDERED, version)
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: cluster))
        monkeypatch.setattr(control_plane, "Istioctl", tool)
        return cluster, tool

    return build


def test_four_steps(world):
    cluster, tool = world()
    check = run(check=True)
    assert cluster.writes == []
    real = run()
    assert tool.installs == 1
    assert cluster.writes == [
        ("Namespace", SYSTEM, None),
        ("ConfigMap", "meshops-istio", "installing"),
        ("ConfigMap", "meshops-istio", "installed"),
    ]
    for key in ("changed", "objects", "reason", "version", "diff", "warnings"):
        assert check[key] == real[key]
    assert {item["result"] for item in real["objects"]} == {"created"}
    cluster.writes.clear()
    for check_mode in (True, False):
        again = run(check=check_mode)
        assert (again["changed"], again["objects"], again["reason"], again["diff"]) == (False, [], "", [])
    assert (tool.installs, cluster.writes) == (1, [])


def test_drift_is_installed_over_and_shown(world):
    cluster, tool = world()
    run()
    cluster.objects[manifests.identity(istiod())]["spec"]["template"]["spec"]["containers"][0]["image"] = "by-hand"
    check = run(check=True)
    result = run()
    assert result["objects"] == [{"kind": "Deployment", "name": "istiod", "namespace": SYSTEM, "result": "changed"}]
    assert result["reason"] == "1 object different"
    assert "image: by-hand" in result["diff"][0]["before"]
    assert "pilot:1.31.1" in result["diff"][0]["after"]
    assert check["diff"] == result["diff"]
    assert tool.installs == 2


def test_neither_secrets_nor_bundles_are_shown(world):
    secret = obj("Secret", "s", SYSTEM, data={"k": "aGlkZGVu"})
    cluster, _tool = world(rendered=[*RENDERED, secret])
    run()
    cluster.objects[manifests.identity(secret)]["data"]["k"] = "b3RoZXI="
    hook = cluster.objects[manifests.identity(injector())]["webhooks"][0]
    hook["clientConfig"]["service"]["name"] = "by-hand"
    shown = str(run()["diff"])
    assert "by-hand" in shown
    assert not [text for text in ("aGlkZGVu", "b3RoZXI=", "bundle") if text in shown]


def test_dropped_setting_is_seen_by_the_record(world):
    _cluster, tool = world()
    run()
    tool.rendered = [*RENDERED[:-1], obj("ConfigMap", "istio", SYSTEM, data={})]
    result = run()
    assert result["reason"] == "the settings differ from those of the last installation"
    assert [item["name"] for item in result["objects"]] == ["meshops-istio"]
    assert tool.installs == 2
    assert run()["changed"] is False


def test_dropped_object_is_reported_before_it_is_pruned(world):
    cluster, tool = world()
    run()
    tool.rendered = [item for item in RENDERED if item is not HPA]
    check = run(check=True)
    assert manifests.identity(HPA) in cluster.objects
    result = run()
    deleted = {"kind": "HorizontalPodAutoscaler", "name": "istiod", "namespace": SYSTEM, "result": "deleted"}
    assert deleted in check["objects"]
    assert check["objects"] == result["objects"]
    assert check["diff"] == result["diff"]
    entry = next(entry for entry in result["diff"] if "HorizontalPodAutoscaler" in entry["before_header"])
    assert ("scaleTargetRef" in entry["before"], entry["after"]) == (True, "")
    assert manifests.identity(HPA) not in cluster.objects
    assert run()["changed"] is False


def test_what_is_pruned_has_to_go(world):
    cluster, tool = world()
    run()
    tool.rendered = [item for item in RENDERED if item is not HPA]
    tool.prune = lambda: None
    with pytest.raises(MeshopsError, match="HorizontalPodAutoscaler istio-system/istiod is being deleted but not gone"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")


def test_what_the_installer_keeps_is_not_reported(world):
    cluster, tool = world()
    run()
    kept = obj("Service", "istiod-revision-tag-default", SYSTEM, labels=tool.labels())
    kept["metadata"]["labels"]["install.operator.istio.io/owning-resource-not-pruned"] = "true"
    cluster.put(kept)
    tool.rendered = [*RENDERED, obj("ConfigMap", "new", SYSTEM)]
    assert not [item for item in run(check=True)["objects"] if item["result"] == "deleted"]


def test_what_an_older_version_left_is_a_warning(world):
    cluster, tool = world(version="1.30.5")
    run()
    tool.called = "1.31.1"
    tool.rendered = [item for item in RENDERED if item is not HPA]
    result = run(check=True)
    assert not [item for item in result["objects"] if item["result"] == "deleted"]
    assert result["warnings"] == [
        "HorizontalPodAutoscaler istio-system/istiod are left from Istio 1.30.5 and no longer part of this control"
        " plane; istioctl 1.31.1 deletes only what 1.31.1 has installed: delete them yourself."
    ]
    assert run()["warnings"] == result["warnings"]
    assert manifests.identity(HPA) in cluster.objects


def test_what_another_named_installation_made_is_not_pruned(world):
    cluster, tool = world()
    run()
    other = gateway("edge")
    other["metadata"]["labels"] = {**tool.labels(), "install.operator.istio.io/owning-resource": "gateways"}
    cluster.put(other)
    assert run()["changed"] is False
    tool.rendered = [*RENDERED[:-1], obj("ConfigMap", "istio", SYSTEM, data={"mesh": "2"})]
    with pytest.raises(MeshopsError, match="edge, which the installation gateways of the same revision has made"):
        run()
    assert tool.installs == 1


def test_killed_or_failed_installation_is_done_again(world):
    cluster, tool = world()
    tool.failure = "istioctl install failed with 1: resources not ready"
    with pytest.raises(MeshopsError, match="resources not ready"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")
    tool.failure = None
    assert run()["reason"] == "an earlier installation did not finish"
    assert run()["changed"] is False


def test_an_installation_after_an_interrupted_purge(world):
    cluster, _tool = world()
    run()
    cluster.objects[manifests.Identity("v1", "ConfigMap", SYSTEM, "meshops-istio")]["data"]["state"] = "purging"
    assert run()["reason"] == "an earlier removal did not finish"
    assert run()["changed"] is False


def test_equal_installation_of_somebody_else_is_only_remembered(world):
    cluster, tool = world()
    run()
    del cluster.objects[manifests.Identity("v1", "ConfigMap", SYSTEM, "meshops-istio")]
    result = run()
    assert result["changed"] is True
    assert [item["name"] for item in result["objects"]] == ["meshops-istio"]
    assert tool.installs == 1
    assert run()["changed"] is False


def test_each_named_installation_has_its_own_record(world, tmp_path):
    cluster, _tool = world(rendered=[MESH])
    path = tmp_path / "edge.yaml"
    path.write_text(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: edge}\nspec: {profile: empty}\n"
    )
    run(files=[str(path)])
    assert [name for kind, name, _state in cluster.writes if kind == "ConfigMap"] == ["meshops-istio.edge"] * 2
    assert run()["objects"][-1]["name"] == "meshops-istio"


def test_missing_default_tag_is_seen(world):
    cluster, tool = world()
    run()
    del cluster.objects[manifests.identity(default_tag())]
    assert [item["name"] for item in run(check=True)["objects"]] == [compare.DEFAULT_TAG_WEBHOOK]
    run()
    assert tool.installs == 2


def test_missing_istioctl_is_an_error_but_not_in_check_mode(world):
    world(version=None)
    with pytest.raises(IstioctlMissing):
        run()
    assert run(check=True)["changed"] is True


def test_missing_file_is_an_error_but_not_in_check_mode(world):
    world()
    with pytest.raises(MeshopsError, match=r"There is no file /nowhere/mesh\.yaml"):
        run(files=["/nowhere/mesh.yaml"])
    assert run(check=True, files=["/nowhere/mesh.yaml"])["changed"] is True


def test_check_mode_without_a_cluster(world):
    world(AbsentKube())
    result = run(check=True)
    assert len(result["objects"]) == len(RENDERED) + 2
    assert {item["result"] for item in result["objects"]} == {"created"}


@pytest.mark.parametrize("rendered", [[MESH], []])
def test_profiles_without_a_gateway_or_istiod_are_verified_too(world, rendered):
    _cluster, tool = world(rendered=rendered)
    assert run()["changed"] is True
    assert run()["changed"] is False
    assert tool.installs == 1


def test_proxies_are_looked_at_after_an_installation(world):
    cluster, tool = world(Cluster(istiod_pod(), gateway_pod()), rendered=[*RENDERED, gateway()])
    cluster.proxies = [("istio-ingressgateway-1.istio-system", "1.31.1"), ("shop-1.shop", "1.30.5")]
    assert run()["warnings"] == [
        "1 proxies are of another version than the control plane's 1.31.1 until their workloads are restarted:"
        " shop/shop-1 (1.30.5)."
    ]
    assert run()["warnings"] == []
    cluster.proxies = []
    tool.rendered = [*tool.rendered, obj("ConfigMap", "new", SYSTEM)]
    with pytest.raises(MeshopsError, match=r"istiod does not know the gateway istio-system/istio-ingressgateway-1"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")


def test_purge_goes_with_absent_only(world):
    world()
    with pytest.raises(MeshopsError, match="goes with state: absent only"):
        run(purge=True)


def test_names_of_the_two_webhook_configurations_in_another_namespace(world):
    cluster, _tool = world()
    cluster.put(injector(NEVER, name="istio-sidecar-injector-mesh"))
    target = control_plane.target_of(cluster, control_plane.given.operator_document(params(namespace="mesh")), "1.31.1")
    assert control_plane.default_tag(target)[0].row() == {
        "kind": "MutatingWebhookConfiguration",
        "name": f"{compare.DEFAULT_TAG_WEBHOOK}-mesh",
        "namespace": "",
        "result": "created",
    }
