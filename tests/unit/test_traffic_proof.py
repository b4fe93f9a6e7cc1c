"""A split is in force when the proxies that are to have it say so: who is asked, what is compared, how it ends."""

from __future__ import annotations

import copy
import json
import types
from pathlib import Path

import pytest
import traffic_objects
from fake_cluster import FakeKube
from traffic_objects import pod, service, to

from ansible_collections.meshops.istio.plugins.module_utils import kube_transport
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, NotFound, Unreachable
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import poll, proof

DUMP = json.loads((Path(__file__).parent / "recorded" / "envoy_sidecar_dump.json").read_text(encoding="utf-8"))


def dump(v1=50, v3=50, without=""):
    """What a sidecar answered, with other weights, or without the virtual hosts of a name."""
    document = copy.deepcopy(DUMP)
    for config in document["configs"]:
        table = config["route_config"]
        table["virtual_hosts"] = [
            host for host in table["virtual_hosts"] if not without or not host["name"].startswith(without)
        ]
    text = json.dumps(document)
    for subset, weight in (("v1", v1), ("v3", v3)):
        text = text.replace(
            f'|{subset}|reviews.bookinfo.svc.cluster.local", "weight": 50',
            f'|{subset}|reviews.bookinfo.svc.cluster.local", "weight": {weight}',
        )
    return text


def vs(v1=50, v3=50, **spec):
    return traffic_objects.vs({"route": [to("v1", v1), to("v3", v3)]}, **spec)


def sidecar(name, namespace="bookinfo", proxy="sidecar", **options):
    return pod(name, namespace, proxy=proxy, **options)


def cluster(*objects, answers=None):
    """All sidecars answer what was recorded, unless something else is scripted."""
    kube = FakeKube(service(), *objects)
    names = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Pod"]
    kube.answers = {**{name: dump() for name in names}, **(answers or {})}
    return kube


def prove(kube, written=None, timeout=5.0):
    warnings = []
    return proof.prove(kube, written or vs(), timeout, "cluster.local", warnings), warnings


def test_sidecars_that_agree_are_counted_and_at_most_four_are_asked_at_once():
    kube = cluster(vs(), *(sidecar(f"p{i}", native=bool(i % 2)) for i in range(9)))
    found, warnings = prove(kube)
    assert (found["proxies"], found["lagging"], warnings) == (9, [], [])
    assert len(kube.asked) == 9
    assert kube.most <= poll.THREADS == 4
    assert all(call.cached for call in kube.calls if (call.verb, call.kind) == ("list", "Pod"))


def test_only_those_that_lag_are_asked_again():
    late = [dump(100, 0), "half an ans", Unreachable("no answer"), dump()]
    kube = cluster(vs(), sidecar("quick"), sidecar("late"), answers={"late": late})
    assert prove(kube)[0]["proxies"] == 2
    assert kube.asked.count("bookinfo/quick") == 1
    assert kube.asked.count("bookinfo/late") == 4


def test_at_the_deadline_at_most_five_are_named_with_the_difference():
    slow = {f"slow{i}": [dump(90, 10)] for i in range(7)}
    kube = cluster(vs(), sidecar("quick"), *map(sidecar, slow), answers=slow)
    with pytest.raises(MeshopsError) as failure:
        prove(kube, timeout=0.2)
    text = str(failure.value)
    assert text.startswith("VirtualService bookinfo/reviews is written, but after 0.")
    assert "not yet in force in 7 of 8 proxies: bookinfo/slow0 (reviews.bookinfo.svc.cluster.local:80 has" in text
    assert "v1 of reviews.bookinfo 90 %, v3 of reviews.bookinfo 10 % instead of v1 of reviews.bookinfo 50 %" in text
    assert "and 2 more" in text
    assert "slow5" not in text


def test_who_is_no_consumer_is_not_waited_for():
    kube = cluster(
        vs(),
        sidecar("scoped"),
        sidecar("starting", ready="False"),
        sidecar("ending", deletionTimestamp="now"),
        sidecar("plain", proxy=""),
        sidecar("gateway", "istio-system", proxy="router"),
        sidecar("gone"),
        answers={"scoped": [dump(without="reviews")], "gone": [NotFound("gone", 404)]},
    )
    found, warnings = prove(kube)
    assert found["proxies"] == 0
    assert "no proxy that is running has a route for its hosts" in warnings[0]
    assert sorted(kube.asked) == ["bookinfo/gone", "bookinfo/scoped"]


@pytest.mark.parametrize(
    ("scopes", "namespaces"),
    [(None, {"bookinfo", "other"}), (["*"], {"bookinfo", "other"}), (["."], {"bookinfo"}), (["other"], {"other"})],
)
def test_export_to(scopes, namespaces):
    written = vs(exportTo=scopes) if scopes else vs()
    kube = cluster(written, sidecar("a"), sidecar("b", "other"))
    assert prove(kube, written)[0]["proxies"] == len(namespaces)
    assert {name.split("/")[0] for name in kube.asked} == namespaces


def test_the_gateways_that_a_selector_names():
    gateway = {"kind": "Gateway", "metadata": {"name": "g", "namespace": "bookinfo"}, "spec": {"selector": {"a": "b"}}}
    pods = [
        sidecar("mine", "istio-system", proxy="router", labels={"a": "b", "c": "d"}),
        sidecar("other", "istio-system", proxy="router", labels={"a": "c"}),
        sidecar("sidecar", labels={"a": "b"}),
    ]
    written = vs(gateways=["g"])
    # a gateway sends to the one port of the Service, whatever its own is
    kube = cluster(written, gateway, *pods, answers={"mine": [dump().replace("outbound|80|", "outbound|9080|")]})
    assert prove(kube, written)[0]["proxies"] == 1
    assert kube.asked == ["istio-system/mine"]
    # a gateway without any route of it lags, as nothing else can tell that it is to have one
    kube = cluster(written, gateway, *pods, answers={"mine": [dump(without="reviews")]})
    with pytest.raises(MeshopsError, match="no route of VirtualService bookinfo/reviews"):
        prove(kube, written, timeout=0.0)


def test_a_new_route_is_waited_for_where_the_host_is_known():
    plain = DUMP["configs"]
    text = json.dumps({"configs": plain}).replace("/virtual-service/reviews", "/virtual-service/another")
    kube = cluster(vs(), sidecar("p"), answers={"p": [text, dump()]})
    assert prove(kube)[0]["proxies"] == 1
    assert len(kube.asked) == 2


def test_what_somebody_else_wrote_meanwhile_is_what_counts():
    kube = cluster(vs(90, 10), sidecar("p"), answers={"p": [dump(90, 10)]})
    assert prove(kube, vs())[0]["proxies"] == 1


def test_a_delegate_is_proved_by_its_root():
    part = vs()
    part["metadata"]["name"] = "part"
    del part["spec"]["hosts"]
    root = traffic_objects.vs({"delegate": {"name": "part", "namespace": "bookinfo"}})
    kube = cluster(root, part, sidecar("p"), answers={"p": [dump(90, 10), dump()]})
    assert prove(kube, part)[0]["proxies"] == 1
    assert len(kube.asked) == 2


def test_without_the_right_to_exec_a_warning_says_which():
    denied = Forbidden("Cannot run pilot-agent: user u may not create pods/exec in namespace other; grant it.", 403)
    kube = cluster(vs(), sidecar("a"), sidecar("b", "other"), answers={"b": [denied]})
    found, warnings = prove(kube)
    assert found["proxies"] == 1
    assert "is written, but not proved to be in force in 1 of the proxies" in warnings[0]
    assert "may not create pods/exec in namespace other" in warnings[0]


def test_without_the_right_to_list_all_pods_those_of_the_namespace_are_asked():
    allowed = {"bookinfo"}
    kube = cluster(vs(), sidecar("a"), sidecar("b", "other"))

    def narrow(call):
        wrong = call.verb == "list" and call.namespace not in allowed
        return Forbidden("user u may not list pods", 403) if wrong else None

    kube.refuse = narrow
    found, warnings = prove(kube)
    assert found["proxies"] == 1
    assert "Only proxies in the namespaces bookinfo are asked" in warnings[0]
    assert kube.asked == ["bookinfo/a"]
    allowed.clear()
    found, warnings = prove(kube)
    assert found["proxies"] == 0
    assert "is written, but not proved to be in force: user u may not list pods" in warnings[-1]


def test_when_the_api_ends_the_error_says_that_the_split_is_written():
    kube = cluster()
    kube.refuse = lambda call: Unreachable("Cannot list Pods: no answer") if call.verb == "list" else None
    with pytest.raises(MeshopsError, match="is written, but not proved to be in force: Cannot list Pods"):
        prove(kube)


def test_a_refused_exec_names_the_right(monkeypatch):
    class RefusedError(Exception):
        status_code = 403
        resp_body = json.dumps(
            {"message": 'User "u" cannot create resource "pods/exec" in API group "" in the namespace "bookinfo"'}
        ).encode()

    def refuse(*_args, **_kwargs):
        raise RefusedError("Handshake status 403 Forbidden")

    monkeypatch.setattr(kube_transport, "WSClient", refuse)
    transport = types.SimpleNamespace(
        server="https://k", _client=types.SimpleNamespace(configuration=None), auth_headers=dict
    )
    with pytest.raises(Forbidden, match="user u may not create pods/exec in namespace bookinfo"):
        kube_transport.Transport.execute(transport, "/p", "run x", ["x"], {}, 1.0)


@pytest.mark.parametrize(
    ("args", "kind"),
    [(["proxy", "sidecar"], "sidecar"), (["proxy", "router"], "router"), (["proxy", "waypoint"], "waypoint")],
)
def test_what_a_proxy_was_started_as(args, kind):
    spec = {"initContainers": [{"name": "istio-proxy", "args": args}]}
    assert consumers.proxy_kind({"spec": spec}) == kind
