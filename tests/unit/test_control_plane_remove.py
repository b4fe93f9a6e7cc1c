# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""state: absent for one revision, and the purge of everything, on a cluster that is a dictionary."""

from __future__ import annotations

import stat

import pytest
import yaml
from control_plane_world import (
    RENDERED,
    SYSTEM,
    Cluster,
    Tool,
    crd,
    default_tag,
    gateway,
    injector,
    istiod,
    obj,
    run,
)

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, istioctl, manifests
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_purge as purging
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Conflict, Kube

NETWORKING = "networking.istio.io/v1"
NAMESPACES = [
    obj("Namespace", SYSTEM),
    obj("Namespace", "shop", labels={"istio-injection": "enabled", "team": "a"}),
    obj("Namespace", "next", labels={"istio.io/rev": "1-31-1"}),
    obj("Namespace", "plain"),
]
TRAFFIC = [
    obj("VirtualService", "reviews", "shop", NETWORKING, spec={"hosts": ["reviews"]}),
    obj("VirtualService", "ratings", "shop", NETWORKING, spec={"hosts": ["ratings"]}),
    obj("AuthorizationPolicy", "deny", "shop", "security.istio.io/v1", spec={}),
]
CRDS = [crd(), crd("authorizationpolicies", "AuthorizationPolicy", "security.istio.io")]


@pytest.fixture
def world(monkeypatch):
    """A cluster with the unnamed revision installed, one more revision, their namespaces and traffic objects."""

    def build(cluster=None):
        cluster = cluster or Cluster(*NAMESPACES, *CRDS, *TRAFFIC)
        tool = Tool(cluster, [*RENDERED, gateway()])
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: cluster))
        monkeypatch.setattr(control_plane, "Istioctl", tool)
        if cluster.absent:
            return cluster, tool
        for other in (istiod(name="istiod-1-31-1"), injector(name="istio-sidecar-injector-1-31-1")):
            other["metadata"]["labels"] = {**tool.labels(), "istio.io/rev": "1-31-1"}
            cluster.put(other)
        cluster.put(
            obj("ConfigMap", "meshops-istio-1-31-1", SYSTEM, labels={"app.kubernetes.io/managed-by": "meshops.istio"})
        )
        tool.install(1)
        return cluster, tool

    return build


def installed(cluster):
    run()
    cluster.writes.clear()
    return cluster


def names(cluster, *kinds):
    return sorted(f"{name.kind} {name.name}" for name in cluster.objects if name.kind in kinds)


def test_one_revision_goes_and_all_else_stays(world):
    cluster, tool = world()
    installed(cluster)
    before = set(cluster.objects)
    check = run(check=True, state="absent")
    assert (set(cluster.objects), cluster.writes, tool.uninstalls) == (before, [], [])
    real = run(state="absent")
    for key in ("changed", "objects", "diff", "warnings"):
        assert check[key] == real[key]
    assert tool.uninstalls == [("default", SYSTEM)]
    assert {item["result"] for item in real["objects"]} == {"deleted"}
    assert real["objects"][-1]["name"] == "meshops-istio"
    assert names(cluster, "Deployment", "MutatingWebhookConfiguration", "ConfigMap") == [
        "ConfigMap meshops-istio-1-31-1",
        "Deployment istiod-1-31-1",
        "MutatingWebhookConfiguration istio-sidecar-injector-1-31-1",
    ]
    for item in [*CRDS, *TRAFFIC, *NAMESPACES]:
        assert manifests.identity(item) in cluster.objects
    for check_mode in (True, False):
        assert run(check=check_mode, state="absent")["changed"] is False


def test_what_a_removal_means_for_others_is_a_warning(world):
    cluster, _tool = world()
    component = cluster.objects[manifests.identity(gateway())]["metadata"]["labels"]
    component["operator.istio.io/component"] = "IngressGateways"
    assert run(check=True, state="absent")["warnings"] == [
        "Deployment istio-system/istio-ingressgateway goes with the revision, and so does the traffic through it.",
        "New pods in namespace shop get no sidecar any more, and the old ones no new configuration: their labels ask"
        " for this revision.",
    ]
    (text,) = run(check=True, state="absent", revision="1-31-1")["warnings"]
    assert text.startswith("New pods in namespace next get")


def test_named_revision_goes_without_the_unnamed_one(world):
    cluster, tool = world()
    result = run(state="absent", revision="1-31-1")
    assert tool.uninstalls == [("1-31-1", SYSTEM)]
    assert {item["name"] for item in result["objects"]} == {
        "istiod-1-31-1",
        "istio-sidecar-injector-1-31-1",
        "meshops-istio-1-31-1",
    }
    assert manifests.identity(istiod()) in cluster.objects


def test_tag_that_would_dangle_is_refused(world):
    cluster, tool = world()
    cluster.put(injector(name="istio-revision-tag-prod", **{"istio.io/tag": "prod", "istio.io/rev": "1-31-1"}))
    for check_mode in (True, False):
        with pytest.raises(MeshopsError, match="Revision tag prod points at revision 1-31-1"):
            run(check=check_mode, state="absent", revision="1-31-1")
    assert tool.uninstalls == []
    assert run(check=True, state="absent")["changed"] is True


def test_what_istioctl_no_longer_finds_or_forgets_is_deleted(world):
    cluster, tool = world()
    cluster.put(obj("NetworkPolicy", "istiod", SYSTEM, "networking.k8s.io/v1", labels=tool.labels()))
    tool.failure = "istioctl uninstall failed with 1: could not find target revision"
    run(state="absent")
    assert names(cluster, "Deployment", "NetworkPolicy") == ["Deployment istiod-1-31-1"]
    assert ("Deployment", "istiod") in cluster.deletes


def test_uninstaller_that_fails_is_an_error_and_the_record_stays(world):
    cluster, tool = world()
    installed(cluster)
    tool.failure = "istioctl uninstall failed with 1: forbidden"
    with pytest.raises(MeshopsError, match="forbidden"):
        run(state="absent")
    tool.failure = None
    assert run(state="absent")["objects"][-1]["name"] == "meshops-istio"
    assert run(state="absent")["changed"] is False


def test_nothing_there_needs_no_istioctl(world):
    cluster, tool = world(Cluster())
    for item in list(cluster.objects):
        del cluster.objects[item]
    tool.called = None
    for options in ({}, {"purge": True}):
        assert run(state="absent", **options)["changed"] is False
    cluster.put(default_tag())
    with pytest.raises(IstioctlMissing):
        run(state="absent")
    assert run(check=True, state="absent")["changed"] is True


def test_check_mode_without_a_cluster(world):
    world(AbsentKube())
    for options in ({}, {"purge": True}):
        assert run(check=True, state="absent", **options)["changed"] is False


def test_missing_rights_are_named_before_anything_is_deleted(world):
    cluster, tool = world()
    cluster.denied = {("delete", "mutatingwebhookconfigurations")}
    with pytest.raises(MeshopsError, match=r"may not delete mutatingwebhookconfigurations\.admissionregistration"):
        run(state="absent")
    assert (tool.uninstalls, cluster.deletes) == ([], [])


def test_purge_without_the_word_refuses_and_lists(world):
    cluster, tool = world()
    before = set(cluster.objects)
    for check_mode in (True, False):
        with pytest.raises(MeshopsError) as error:
            run(check=check_mode, state="absent", purge=True)
    text = str(error.value)
    assert "1 AuthorizationPolicy (shop/deny), 2 VirtualService (shop/ratings, shop/reviews)" in text
    assert "the namespace istio-system with all that is in it, the injection labels of namespace shop, next" in text
    assert "confirm_purge: true" in text
    assert "save_to" in text
    assert error.value.result["traffic"][1] == {
        "kind": "VirtualService",
        "count": 2,
        "names": ["shop/ratings", "shop/reviews"],
    }
    assert (set(cluster.objects), tool.uninstalls, cluster.writes) == (before, [], [])


def owned_pod(name):
    pod = obj("Pod", name, SYSTEM, labels={"operator.istio.io/component": "IngressGateways"})
    pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "x"}]
    return pod


def purge(check=False, **options):
    return run(check=check, state="absent", purge=True, confirm_purge=True, **options)


def test_purge_takes_everything_and_lists_what_is_others_first(world, tmp_path):
    cluster, tool = world()
    cluster.put(
        injector(name="istio-revision-tag-prod", **{"istio.io/tag": "prod", "istio.io/rev": "1-31-1"}),
        obj("ConfigMap", "istio-ca-root-cert", "plain", labels={"istio.io/config": "true"}),
        obj("ConfigMap", "kept", "plain"),
        obj("Deployment", "grafana", SYSTEM, "apps/v1"),
        owned_pod("istio-ingressgateway-1"),
    )
    path = tmp_path / "saved.yaml"
    check = purge(check=True, save_to=str(path))
    assert (path.exists(), cluster.writes, tool.uninstalls) == (False, [], [])
    real = purge(save_to=str(path))
    for key in ("changed", "objects", "diff", "saved"):
        assert check[key] == real[key]
    assert "istio-ingressgateway-1" not in [item["name"] for item in real["objects"]]  # it goes with its owner
    assert [(item["kind"], item["name"], item["result"]) for item in real["objects"][:3]] == [
        ("Namespace", "shop", "changed"),
        ("Namespace", "next", "changed"),
        ("Namespace", SYSTEM, "deleted"),
    ]
    assert "istio-injection" not in real["diff"][0]["after"]
    assert "team: a" in real["diff"][0]["after"]
    assert tool.uninstalls == [(None, SYSTEM)]
    assert sorted(f"{name.kind} {name.name}" for name in cluster.objects) == [
        "ConfigMap kept",
        "Namespace next",
        "Namespace plain",
        "Namespace shop",
    ]
    assert cluster.get("v1", "Namespace", "shop")["metadata"]["labels"] == {"team": "a"}
    saved = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    assert sorted(item["metadata"]["name"] for item in saved) == ["deny", "ratings", "reviews"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    for check_mode in (True, False):
        assert purge(check=check_mode, save_to=str(path))["changed"] is False
    assert len(list(yaml.safe_load_all(path.read_text(encoding="utf-8")))) == 3


def test_saved_objects_can_be_applied_again(world, tmp_path):
    cluster, _tool = world()
    live = cluster.objects[manifests.identity(TRAFFIC[0])]
    live["metadata"].update(resourceVersion="7", uid="u", managedFields=[{"manager": "x"}], annotations={"a": "b"})
    live["status"] = {"conditions": []}
    purge(save_to=str(tmp_path / "a"))
    assert {**TRAFFIC[0], "metadata": {**TRAFFIC[0]["metadata"], "annotations": {"a": "b"}}} in list(
        yaml.safe_load_all((tmp_path / "a").read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("check", [True, False])
def test_file_of_somebody_else_is_not_written_over(world, tmp_path, check):
    cluster, tool = world()
    path = tmp_path / "saved.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(MeshopsError, match="exists and holds something else"):
        purge(check=check, save_to=str(path))
    with pytest.raises(MeshopsError, match="there is no folder"):
        purge(check=check, save_to=str(tmp_path / "a" / "b"))
    assert path.read_text(encoding="utf-8") == "mine"
    assert (cluster.writes, tool.uninstalls) == ([], [])


def test_killed_purge_goes_on_and_keeps_what_it_saved(world, tmp_path, monkeypatch):
    cluster, _tool = world()
    path = tmp_path / "saved.yaml"

    def killed(kube, objects, timeout):
        kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "virtualservices.networking.istio.io")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(purging.control_plane_remove, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            purge(save_to=str(path))
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "purging")
    assert purge(save_to=str(path))["changed"] is True
    assert "kind: VirtualService" in path.read_text(encoding="utf-8")
    assert purge(save_to=str(path))["changed"] is False


def test_purge_without_istioctl_changes_nothing(world, tmp_path):
    cluster, tool = world()
    tool.called = None
    with pytest.raises(IstioctlMissing):
        purge(save_to=str(tmp_path / "a"))
    assert (cluster.writes, cluster.deletes, list(tmp_path.iterdir())) == ([], [], [])


def test_label_is_taken_off_again_after_a_conflict(world):
    cluster, _tool = world()
    cluster.conflicts = [Conflict("changed", 409)]
    purge()
    assert cluster.get("v1", "Namespace", "shop")["metadata"]["labels"] == {"team": "a"}


def test_purge_leaves_what_helm_manages(world):
    cluster, tool = world()
    theirs = crd("gateways", "Gateway", annotations={"meta.helm.sh/release-name": "istio-base"})
    cluster.put(theirs)
    with pytest.raises(MeshopsError, match=r"gateways\.networking\.istio\.io belong to Helm \(release istio-base\)"):
        purge()
    assert (tool.uninstalls, cluster.writes) == ([], [])


def test_uninstall_looks_in_the_namespace_of_the_control_plane(tmp_path):
    script = tmp_path / "istioctl"
    script.write_text('#!/bin/sh\necho "$*" >> "${0}.called"\n')
    script.chmod(0o755)
    tool = istioctl.Istioctl(str(script), ["/k"], "prod", str(tmp_path))
    tool.uninstall("1-31-1", "mesh", 5)
    tool.uninstall(None, "mesh", 5)
    where = "--set values.global.istioNamespace=mesh -i mesh --context prod"
    assert (tmp_path / "istioctl.called").read_text().splitlines() == [
        f"uninstall -y --revision 1-31-1 {where}",
        f"uninstall -y --purge {where}",
    ]


def test_kinds_are_listed_as_they_are_stored():
    assert purging.served(crd(version="v1")) == NETWORKING
