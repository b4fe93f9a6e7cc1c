"""The module's way: read, edit, check the pods and the Secret, write, again on a conflict; in check mode by dry run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from gateway_world import EC, KEY, PLAIN, SECURE, STRANGER, FakeKube, apply, key_pair, pod, refusal, secret, somebodys

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Conflict, Forbidden, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.traffic.gateways import Tls
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import gateway
from ansible_collections.meshops.istio.plugins.modules import istio_gateway


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return key_pair(tmp_path_factory.mktemp("pair"), EC)


@pytest.fixture
def kube(pair):
    return FakeKube(pod(), secret(*pair))


def four_steps(kube, wish, present=True, verb="create"):
    """Check, apply, check again, apply again; what the check promised is what was done."""
    promised = apply(kube, wish, present, check_mode=True)
    assert kube.writes == []
    assert kube.dry_runs == [(verb, KEY)]
    done = apply(kube, wish, present)
    assert done == promised
    assert done["changed"]
    assert kube.writes == [(verb, KEY)]
    for check_mode in (True, False):
        again = apply(kube, wish, present, check_mode=check_mode)
        assert (again["changed"], again["diff"]) == (False, [])
        assert again["before"] == again["after"] == done["after"]
    assert (len(kube.writes), len(kube.dry_runs)) == (1, 1)
    return done


# --- writes ---


@pytest.mark.parametrize("wish", [PLAIN, SECURE])
def test_create(kube, wish):
    done = four_steps(kube, wish)
    assert done["before"] == {}
    assert done["warnings"] == []
    assert done["diff"][0]["before"] == ""


def test_replace_and_absent_restore(kube):
    live = somebodys(STRANGER, xNew={"deep": [None]})
    kube.objects[KEY] = live
    four_steps(kube, SECURE, verb="replace")
    kube.writes, kube.dry_runs = [], []
    four_steps(kube, SECURE, present=False, verb="replace")
    restored = kube.objects[KEY]
    assert json.dumps(restored["spec"], sort_keys=True) == json.dumps(live["spec"], sort_keys=True)


def test_absent_deletes_ours(kube):
    apply(kube)
    kube.writes = []
    done = four_steps(kube, PLAIN, present=False, verb="delete")
    assert done["after"] == {}
    assert done["diff"][0]["after"] == ""


def test_absent_refuses_to_empty_the_object_of_somebody_else(kube):
    kube.objects[KEY] = somebodys({"port": {"number": 80, "name": "meshops-http", "protocol": "HTTP"}, "hosts": ["*"]})
    for check_mode in (True, False):
        assert "would have no server left" in refusal(kube, present=False, check_mode=check_mode)
    assert kube.writes == kube.dry_runs == []


def test_a_write_in_between_is_read_and_kept(kube):
    kube.objects[KEY] = somebodys(STRANGER)

    def somebody_else(cluster):
        cluster.objects[KEY]["metadata"]["resourceVersion"] = "99"
        cluster.objects[KEY]["spec"]["servers"].append({**STRANGER, "name": "second"})

    kube.script = [somebody_else]
    done = apply(kube)
    assert [item.get("name") for item in kube.objects[KEY]["spec"]["servers"]][:2] == [None, "second"]
    assert len(done["before"]["spec"]["servers"]) == 2
    assert len(kube.writes) == 1


def test_made_or_removed_by_somebody_else_in_between(kube):
    kube.script = [lambda cluster: cluster.objects.update({KEY: somebodys(STRANGER)})]
    apply(kube)
    assert kube.writes == [("replace", KEY)]
    kube.script = [lambda cluster: cluster.objects.pop(KEY)]
    apply(kube, replace(PLAIN, http=8080))
    assert kube.writes[1:] == [("create", KEY)]


def test_conflicts_end_at_the_deadline(kube, monkeypatch):
    def always(obj, dry_run=False):
        raise Conflict("somebody else changed it", 409)

    kube.create = always
    monkeypatch.setattr(gateway, "CONFLICT_DEADLINE", 0.3)
    with pytest.raises(Conflict):
        apply(kube)


# --- what is not there ---


def test_without_istio(kube):
    kube.served = False
    sentence = refusal(kube)
    assert "namespace demo: the cluster has no Gateway of networking.istio.io/v1: install Istio first" in sentence
    assert not apply(kube, present=False)["changed"]

    def no_kind(obj, dry_run=False):
        raise NotFound("no such kind", 404)

    kube.create = no_kind
    promised = apply(kube, check_mode=True)
    assert promised["changed"]
    assert "install Istio first" in promised["warnings"][0]


def test_without_the_namespace(kube):
    def missing(obj, dry_run=False):
        raise NotFound('namespaces "demo" not found', 404)

    kube.create = missing
    assert apply(kube, check_mode=True)["changed"]
    assert "demo" in refusal(kube)


def test_check_mode_without_a_cluster_would_create():
    promised = apply(AbsentKube("no kubeconfig"), SECURE, check_mode=True)
    assert promised["changed"]
    assert promised["warnings"] == []
    assert not apply(AbsentKube("no kubeconfig"), present=False, check_mode=True)["changed"]


@pytest.mark.parametrize("status", [None, {"phase": "Succeeded"}])
def test_without_a_gateway_pod(status):
    kube = FakeKube(*([pod(**status)] if status else []))
    for check_mode in (True, False):
        done = apply(kube, SECURE, check_mode=check_mode)
        assert done["changed"]
        (warning,) = done["warnings"]
        assert "no gateway pod has the labels istio=ingressgateway" in warning
        assert "Secret web was not looked for" in warning


def test_a_live_object_without_selector_is_for_every_gateway(kube):
    live = somebodys(STRANGER)
    del live["spec"]["selector"]
    kube.objects[KEY] = live
    assert "no gateway pod has a proxy of the kind router" in apply(kube)["warnings"][0]
    router = pod()
    router["spec"] = {"containers": [{"name": "istio-proxy", "args": ["proxy", "router"]}]}
    kube.objects["Pod", "istio-system", "gw"] = router
    assert apply(kube)["warnings"] == []


def test_another_gateway_with_other_tls_is_named(kube):
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    other = {"port": port, "hosts": list(PLAIN.hosts), "tls": {"mode": "SIMPLE", "credentialName": "old"}}
    kube.objects["Gateway", "demo", "old"] = somebodys(other, name="old")
    (warning,) = apply(kube, SECURE)["warnings"]
    assert "Gateway demo/old selects the same pods" in warning


def test_with_rights_in_one_namespace_only(kube):
    everything = kube.list

    def narrow(api_version, kind, namespace=None, label_selector=None):
        if namespace is None:
            raise Forbidden("no", 403)
        return everything(api_version, kind, namespace, label_selector)

    kube.list = narrow
    done = apply(kube)
    assert done["changed"]
    assert [warning.split(" may be")[0] for warning in done["warnings"]] == [
        "Only the Pods of namespace demo",
        "Gateway demo/bookinfo is served by nobody: no gateway pod has the labels istio=ingressgateway. Install a"
        " gateway, or correct selector.",
        "Only the Gateways of namespace demo",
    ]


def test_without_the_right_to_see_pods(kube):
    def none(*_args):
        raise Forbidden("Cannot list Pods.", 403)

    kube.list = none
    assert "Cannot list Pods." in refusal(kube, SECURE)
    assert "set require_secret to false" in refusal(kube, SECURE)
    assert apply(kube, SECURE, require_secret=False)["changed"]
    assert apply(kube)["warnings"][0].startswith("Cannot list Pods.")


def test_without_the_right_to_list_gateways(kube):
    everything = kube.list

    def narrow(api_version, kind, namespace=None, label_selector=None):
        if kind == "Gateway":
            raise Forbidden("Cannot list Gateways.", 403)
        return everything(api_version, kind, namespace, label_selector)

    kube.list = narrow
    assert "is not compared with others" in apply(kube)["warnings"][0]


# --- options ---

PARAMS = {
    "name": "bookinfo",
    "namespace": "demo",
    "state": "present",
    "hosts": ["bookinfo.example.com"],
    "http_port": 80,
    "https_port": 443,
    "tls": None,
    "redirect": False,
    "selector": None,
    "require_secret": True,
    "kubeconfig": "/nonexistent/kubeconfig",
    "context": None,
}


def test_options_become_a_wish():
    tls = {"credential": "web", "mode": "mutual", "min_protocol": "tls1_2"}
    wish = gateway.wish_of({**PARAMS, "http_port": 0, "https_port": 8443, "tls": tls, "selector": {"a": "b"}})
    secured = Tls("web", "MUTUAL", "TLSV1_2")
    assert wish == replace(PLAIN, http=None, https=8443, tls=secured, selector={"a": "b"})
    assert gateway.wish_of(PARAMS) == replace(PLAIN, https=443)


def test_core_reads_its_options():
    made = gateway.core(PARAMS, True)
    assert made["after"]["spec"]["servers"][0]["hosts"] == ["bookinfo.example.com"]
    with pytest.raises(MeshopsError, match="without tls"):
        gateway.core({**PARAMS, "redirect": True}, True)
    assert not gateway.core({**PARAMS, "state": "absent", "hosts": None}, True)["changed"]


def test_documentation_and_options_agree():
    documented = yaml.safe_load(istio_gateway.DOCUMENTATION)["options"]
    own = {name: spec for name, spec in gateway.ARGS.items() if name not in ("kubeconfig", "context")}
    assert documented.keys() == own.keys()
    for name, spec in own.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert documented[name].get(key) == spec.get(key), name
    for name, spec in own["tls"]["options"].items():
        for key in ("type", "default", "choices", "required"):
            assert documented["tls"]["suboptions"][name].get(key) == spec.get(key), name
