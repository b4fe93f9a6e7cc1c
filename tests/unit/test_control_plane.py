# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""control_plane.py with an istioctl and a cluster that are a few lines each, and its pure comparison by tables."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, manifests
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Forbidden, Kube, WebhookUnavailable

ADMISSION = "admissionregistration.k8s.io/v1"
NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}
SYSTEM = "istio-system"


def obj(kind, name, namespace=None, api_version="v1", **rest):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def injector(selector=None, bundle=None):
    config = {"service": {"name": "istiod"}, **({"caBundle": bundle} if bundle else {})}
    hook = {"name": "rev.object", "clientConfig": config, "namespaceSelector": selector or {"matchLabels": {"a": "b"}}}
    return obj("MutatingWebhookConfiguration", "istio-sidecar-injector", None, ADMISSION, webhooks=[hook])


def validator(policy, bundle=None):
    config = {"service": {"name": "istiod"}, **({"caBundle": bundle} if bundle else {})}
    hook = {"name": "rev.validation", "clientConfig": config, "failurePolicy": policy}
    return obj("ValidatingWebhookConfiguration", "istio-validator", None, ADMISSION, webhooks=[hook])


def istiod(image="docker.io/istio/pilot:1.31.1", replicas=None, **labels):
    spec = {"template": {"spec": {"containers": [{"name": "discovery", "image": image}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    found = obj("Deployment", "istiod", SYSTEM, "apps/v1", spec=spec)
    if labels:
        found["metadata"]["labels"] = {"operator.istio.io/version": labels["version"]}
    return found


HPA = obj(
    "HorizontalPodAutoscaler",
    "istiod",
    SYSTEM,
    "autoscaling/v2",
    spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "istiod"}},
)
RENDERED = [injector(), validator("Ignore"), istiod(), HPA, obj("ConfigMap", "istio", SYSTEM, data={"mesh": "1"})]


def params(**options):
    given = {
        "kubeconfig": None,
        "context": None,
        "istioctl": "istioctl",
        "profile": "default",
        "hub": "docker.io/istio",
        "tag": None,
        "revision": None,
        "spec": None,
        "namespace": SYSTEM,
        "timeout": 1,
        "state": "present",
    }
    return {**given, **options}


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({}, {"profile": "default", "hub": "docker.io/istio"}),
        ({"revision": "default"}, {"profile": "default", "hub": "docker.io/istio"}),
        (
            {"tag": "1.31.1", "revision": "1-31-1", "hub": None, "spec": {"profile": "demo", "values": {"a": None}}},
            {"profile": "demo", "tag": "1.31.1", "revision": "1-31-1", "values": {"a": None}},
        ),
        (
            {"namespace": "mesh", "spec": {"values": {"global": {"network": "n1"}}}},
            {
                "profile": "default",
                "hub": "docker.io/istio",
                "values": {"global": {"istioNamespace": "mesh", "network": "n1"}},
            },
        ),
    ],
)
def test_operator_document(options, spec):
    document = compare.operator_document(params(**options))
    assert document == {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec}
    assert compare.namespace_of(document) == options.get("namespace", SYSTEM)


def test_operator_document_refuses_a_whole_document():
    with pytest.raises(MeshopsError, match="what stands under spec"):
        compare.operator_document(params(spec={"kind": "IstioOperator", "spec": {}}))


def test_namespace_has_the_network_as_the_installer_would_set_it():
    document = compare.operator_document(params(spec={"values": {"global": {"network": "n1"}}}))
    assert compare.namespace_object(document)["metadata"]["labels"] == {"topology.istio.io/network": "n1"}
    assert "labels" not in compare.namespace_object(compare.operator_document(params()))["metadata"]


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


class Cluster:
    """The part of Kube that control_plane.py uses, over a dictionary."""

    absent = False
    kubeconfig = ()
    context = None

    def __init__(self, *objects, version="1.36.3", probe=None):
        self.objects = {manifests.identity(item): copy.deepcopy(item) for item in objects}
        self.writes = []
        self.kubernetes = version
        self.probe = probe or {"spec": {"containers": [{"name": "istio-proxy"}]}}

    def version(self):
        return self.kubernetes

    def get(self, api_version, kind, name, namespace=None):
        return copy.deepcopy(self.objects.get(manifests.Identity(api_version, kind, namespace or "", name)))

    def list(self, *_args):
        return []

    def apply(self, wanted, dry_run=False):
        result = manifests.merge(self.objects.get(manifests.identity(wanted), {}), wanted)
        if not dry_run:
            self.writes.append((wanted["kind"], wanted["metadata"]["name"], (wanted.get("data") or {}).get("state")))
            self.objects[manifests.identity(wanted)] = result
        return copy.deepcopy(result)

    def create(self, _pod, dry_run):
        assert dry_run
        if isinstance(self.probe, Exception):
            raise self.probe
        return self.probe

    def wait(self, api_version, kind, name, namespace, *_how):
        return self.get(api_version, kind, name, namespace)


class Tool:
    """An istioctl that puts what it renders into the cluster, as the real one and istiod together leave it."""

    def __init__(self, cluster, rendered, version="1.31.1"):
        self.cluster, self.rendered, self.called = cluster, rendered, version
        self.installs = 0
        self.failure = None

    def __call__(self, *_args):
        return self

    def version(self):
        if self.called is None:
            raise IstioctlMissing("There is no istioctl at istioctl")
        return self.called

    def render(self, cluster):
        return copy.deepcopy(self.rendered)

    def install(self, seconds):
        self.installs += 1
        for item in self.rendered:
            self.cluster.objects[manifests.identity(item)] = copy.deepcopy(item)
            if self.failure:
                raise MeshopsError(self.failure)
        for changed in (injector(NEVER, "bundle"), validator("Fail", "bundle"), default_tag()):
            self.cluster.objects[manifests.identity(changed)] = changed


def default_tag():
    return obj("MutatingWebhookConfiguration", compare.DEFAULT_TAG_WEBHOOK, None, ADMISSION, webhooks=[])


@pytest.fixture
def world(monkeypatch):
    def build(cluster=None, rendered=None, version="1.31.1"):
        cluster = cluster or Cluster()
        tool = Tool(cluster, rendered or RENDERED, version)
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: cluster))
        monkeypatch.setattr(control_plane, "Istioctl", tool)
        return cluster, tool

    return build


def run(check=False, **options):
    result = control_plane.core(params(**options), check)
    result["diff"] = result["diff"]() if "diff" in result else []
    return result


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
    for key in ("changed", "objects", "reason", "version", "diff"):
        assert check[key] == real[key]
    assert {item["result"] for item in real["objects"]} == {"created"}
    cluster.writes.clear()
    for check_mode in (True, False):
        again = run(check=check_mode)
        assert (again["changed"], again["objects"], again["reason"], again["diff"]) == (False, [], "", [])
    assert (tool.installs, cluster.writes) == (1, [])


def test_drift_is_installed_over(world):
    cluster, tool = world()
    run()
    cluster.objects[manifests.identity(istiod())]["spec"]["template"]["spec"]["containers"][0]["image"] = "by-hand"
    result = run()
    assert result["objects"] == [{"kind": "Deployment", "name": "istiod", "namespace": SYSTEM, "result": "changed"}]
    assert result["reason"] == "1 object different"
    assert tool.installs == 2


def test_dropped_setting_is_seen_by_the_record(world):
    _cluster, tool = world()
    run()
    tool.rendered = [item for item in RENDERED if item["kind"] != "HorizontalPodAutoscaler"]
    result = run()
    assert result["reason"] == "the settings differ from those of the last installation"
    assert [item["name"] for item in result["objects"]] == ["meshops-istio"]
    assert tool.installs == 2
    assert run()["changed"] is False


def test_killed_or_failed_installation_is_done_again(world):
    cluster, tool = world()
    tool.failure = "istioctl install failed with 1: resources not ready"
    with pytest.raises(MeshopsError, match="resources not ready"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")
    tool.failure = None
    assert run()["reason"] == "an earlier installation did not finish"
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


def test_missing_default_tag_is_seen(world):
    cluster, tool = world()
    run()
    del cluster.objects[manifests.identity(default_tag())]
    assert [item["name"] for item in run(check=True)["objects"]] == [compare.DEFAULT_TAG_WEBHOOK]
    run()
    assert tool.installs == 2


@pytest.mark.parametrize(
    ("cluster", "version", "words"),
    [
        (Cluster(version="1.37.1"), "1.31.1", "Kubernetes 1.37.1 is not supported by Istio 1.31"),
        (Cluster(istiod(version="1.29.2")), "1.31.1", "go to 1.30 first"),
        (Cluster(istiod(version="1.32.0")), "1.30.5", "go to 1.31 first"),
        (Cluster(), "1.20.0", "too old"),
    ],
)
def test_refused_before_anything_is_changed(world, cluster, version, words):
    cluster, tool = world(cluster, version=version)
    with pytest.raises(MeshopsError, match=words):
        run()
    assert (tool.installs, cluster.writes) == (0, [])


def test_missing_istioctl_is_an_error_but_not_in_check_mode(world):
    world(version=None)
    with pytest.raises(IstioctlMissing):
        run()
    assert run(check=True)["changed"] is True


def test_check_mode_without_a_cluster(world):
    world(AbsentKube())
    result = run(check=True)
    assert len(result["objects"]) == len(RENDERED) + 2
    assert {item["result"] for item in result["objects"]} == {"created"}


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"spec": {"containers": [{"name": "probe"}]}}, "no istio-proxy container was added"),
        (WebhookUnavailable("failed calling webhook", 500), "failed calling webhook"),
        (Forbidden("may not create pods", 403), "may not create pods"),
        (Forbidden("violates PodSecurity: container istio-init must not add NET_ADMIN", 403), None),
    ],
)
def test_injection_is_proved(world, probe, words):
    cluster = world(Cluster(probe=probe))[0]
    if words is None:
        assert run()["changed"] is True
        return
    with pytest.raises(MeshopsError, match=f"sidecars are not injected in namespace istio-system: {words}"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")


def test_probe_goes_where_no_label_speaks_of_injection():
    labelled = obj("Namespace", SYSTEM)
    labelled["metadata"]["labels"] = {"istio-injection": "disabled"}
    target = control_plane.Target(Cluster(labelled, obj("Namespace", "default")), SYSTEM, "", "1.31.1")
    assert control_plane.probe_namespace(target) == "default"
    assert compare.probe_pod("default", "1-31")["metadata"]["labels"] == {"istio.io/rev": "1-31"}
