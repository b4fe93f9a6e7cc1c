"""A split is in force when the proxies that are to have it say so: who is asked, what is compared, how it ends."""

from __future__ import annotations

import copy
import json
import threading
import time
import types
from pathlib import Path

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import kube_transport, traffic_proof, traffic_split
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Forbidden, NotFound, Unreachable
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import API_VERSION, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

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
    route = [{"destination": {"host": "reviews", "subset": s}, "weight": w} for s, w in (("v1", v1), ("v3", v3))]
    spec = {"hosts": ["reviews"], "http": [{"route": route}], **spec}
    metadata = {"name": "reviews", "namespace": "bookinfo", "resourceVersion": "1"}
    return {"apiVersion": API_VERSION, "kind": "VirtualService", "metadata": metadata, "spec": spec}


def pod(name, namespace="bookinfo", *, ready="True", kind="sidecar", native=False, labels=None, **metadata):
    proxy = {"name": "istio-proxy", "args": ["proxy", kind]}
    spec = {"containers": [{"name": "app"}] if native or not kind else [{"name": "app"}, proxy]}
    if native:
        spec["initContainers"] = [{"name": "istio-init"}, proxy]
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}, **metadata}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


SERVICE = {
    "kind": "Service",
    "metadata": {"name": "reviews", "namespace": "bookinfo"},
    "spec": {"ports": [{"port": 9080}], "selector": {"app": "reviews"}},
}


class FakeKube:
    """`answers` by pod: texts, each for one question, the last for all that follow; an error is raised."""

    absent = False

    def __init__(self, *objects, answers=None):
        self.objects, self.answers, self.asked = list(objects), answers or {}, []
        self.busy = self.most = 0
        self.lock = threading.Lock()

    def list(self, _api_version, kind, namespace=None, _selector=None):
        found = [obj for obj in self.objects if obj["kind"] == kind]
        return copy.deepcopy([obj for obj in found if namespace in (None, obj["metadata"]["namespace"])])

    def get(self, _api_version, kind, name, namespace=None):
        return next((obj for obj in self.list("", kind, namespace) if obj["metadata"]["name"] == name), None)

    def exec(self, namespace, name, container, argv, timeout):
        assert (container, argv[:3]) == ("istio-proxy", ["pilot-agent", "request", "GET"])
        assert 0 < timeout <= traffic_proof.EXEC_SECONDS
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
            self.asked.append(f"{namespace}/{name}")
            answers = self.answers.setdefault(name, [dump()])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(0.005)
        with self.lock:
            self.busy -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def prove(kube, written=None, timeout=5.0):
    warnings = []
    return traffic_proof.prove(kube, written or vs(), timeout, "cluster.local", warnings), warnings


def test_sidecars_that_agree_are_counted_and_at_most_four_are_asked_at_once():
    kube = FakeKube(SERVICE, vs(), *(pod(f"p{i}", native=bool(i % 2)) for i in range(9)))
    proof, warnings = prove(kube)
    assert (proof["proxies"], proof["lagging"], warnings) == (9, [], [])
    assert len(kube.asked) == 9
    assert kube.most <= 4


def test_only_those_that_lag_are_asked_again():
    late = [dump(100, 0), "half an ans", Unreachable("no answer"), dump()]
    kube = FakeKube(SERVICE, vs(), pod("quick"), pod("late"), answers={"late": late})
    assert prove(kube)[0]["proxies"] == 2
    assert kube.asked.count("bookinfo/quick") == 1
    assert kube.asked.count("bookinfo/late") == 4


def test_at_the_deadline_at_most_five_are_named_with_the_difference():
    slow = {f"slow{i}": [dump(90, 10)] for i in range(7)}
    kube = FakeKube(SERVICE, vs(), pod("quick"), *map(pod, slow), answers=slow)
    with pytest.raises(MeshopsError) as failure:
        prove(kube, timeout=0.2)
    text = str(failure.value)
    assert text.startswith("VirtualService bookinfo/reviews is written, but after 0.")
    assert "not yet in force in 7 of 8 proxies: bookinfo/slow0 (reviews.bookinfo.svc.cluster.local:80 has" in text
    assert "v1 of reviews.bookinfo 90 %, v3 of reviews.bookinfo 10 % instead of v1 of reviews.bookinfo 50 %" in text
    assert "and 2 more" in text
    assert "slow5" not in text


def test_who_is_no_consumer_is_not_waited_for():
    kube = FakeKube(
        SERVICE,
        vs(),
        pod("scoped"),
        pod("starting", ready="False"),
        pod("ending", deletionTimestamp="now"),
        pod("plain", kind=""),
        pod("gateway", "istio-system", kind="router"),
        pod("gone"),
        answers={"scoped": [dump(without="reviews")], "gone": [NotFound("gone", 404)]},
    )
    proof, warnings = prove(kube)
    assert proof["proxies"] == 0
    assert "no proxy that is running has a route for its hosts" in warnings[0]
    assert sorted(kube.asked) == ["bookinfo/gone", "bookinfo/scoped"]


@pytest.mark.parametrize(
    ("scopes", "namespaces"),
    [(None, {"bookinfo", "other"}), (["*"], {"bookinfo", "other"}), (["."], {"bookinfo"}), (["other"], {"other"})],
)
def test_export_to(scopes, namespaces):
    written = vs(exportTo=scopes) if scopes else vs()
    kube = FakeKube(SERVICE, written, pod("a"), pod("b", "other"))
    assert prove(kube, written)[0]["proxies"] == len(namespaces)
    assert {name.split("/")[0] for name in kube.asked} == namespaces


def test_the_gateways_that_a_selector_names():
    gateway = {"kind": "Gateway", "metadata": {"name": "g", "namespace": "bookinfo"}, "spec": {"selector": {"a": "b"}}}
    pods = [
        pod("mine", "istio-system", kind="router", labels={"a": "b", "c": "d"}),
        pod("other", "istio-system", kind="router", labels={"a": "c"}),
        pod("sidecar", labels={"a": "b"}),
    ]
    written = vs(gateways=["g"])
    # a gateway sends to the one port of the Service, whatever its own is
    kube = FakeKube(
        SERVICE, written, gateway, *pods, answers={"mine": [dump().replace("outbound|80|", "outbound|9080|")]}
    )
    assert prove(kube, written)[0]["proxies"] == 1
    assert kube.asked == ["istio-system/mine"]
    # a gateway without any route of it lags, as nothing else can tell that it is to have one
    kube = FakeKube(SERVICE, written, gateway, *pods, answers={"mine": [dump(without="reviews")]})
    with pytest.raises(MeshopsError, match="no route of VirtualService bookinfo/reviews"):
        prove(kube, written, timeout=0.0)


def test_a_new_route_is_waited_for_where_the_host_is_known():
    plain = DUMP["configs"]
    text = json.dumps({"configs": plain}).replace("/virtual-service/reviews", "/virtual-service/another")
    kube = FakeKube(SERVICE, vs(), pod("p"), answers={"p": [text, dump()]})
    assert prove(kube)[0]["proxies"] == 1
    assert len(kube.asked) == 2


def test_what_somebody_else_wrote_meanwhile_is_what_counts():
    kube = FakeKube(SERVICE, vs(90, 10), pod("p"), answers={"p": [dump(90, 10)]})
    assert prove(kube, vs())[0]["proxies"] == 1


def test_a_delegate_is_proved_by_its_root():
    part = vs()
    part["metadata"]["name"] = "part"
    del part["spec"]["hosts"]
    root = vs(http=[{"delegate": {"name": "part", "namespace": "bookinfo"}}])
    kube = FakeKube(SERVICE, root, part, pod("p"), answers={"p": [dump(90, 10), dump()]})
    assert prove(kube, part)[0]["proxies"] == 1
    assert len(kube.asked) == 2


def test_without_the_right_to_exec_a_warning_says_which():
    denied = Forbidden("Cannot run pilot-agent: user u may not create pods/exec in namespace other; grant it.", 403)
    kube = FakeKube(SERVICE, vs(), pod("a"), pod("b", "other"), answers={"b": [denied]})
    proof, warnings = prove(kube)
    assert proof["proxies"] == 1
    assert "is written, but not proved to be in force in 1 of the proxies" in warnings[0]
    assert "may not create pods/exec in namespace other" in warnings[0]


def test_without_the_right_to_list_all_pods_those_of_the_namespace_are_asked():
    class Narrow(FakeKube):
        allowed = ("bookinfo",)

        def list(self, api_version, kind, namespace=None, _selector=None):
            if namespace not in self.allowed:
                raise Forbidden("user u may not list pods", 403)
            return super().list(api_version, kind, namespace)

        def get(self, api_version, kind, name, namespace=None):
            return FakeKube.get(self, api_version, kind, name, "bookinfo")

    kube = Narrow(SERVICE, vs(), pod("a"), pod("b", "other"))
    proof, warnings = prove(kube)
    assert proof["proxies"] == 1
    assert "Only proxies in the namespaces bookinfo are asked" in warnings[0]
    kube.allowed = ()
    proof, warnings = prove(kube)
    assert proof["proxies"] == 0
    assert "is written, but not proved to be in force: user u may not list pods" in warnings[-1]


def test_when_the_api_ends_the_error_says_that_the_split_is_written():
    class Ended(FakeKube):
        def list(self, *_args, **_kwargs):
            raise Unreachable("Cannot list Pods: no answer")

    with pytest.raises(MeshopsError, match="is written, but not proved to be in force: Cannot list Pods"):
        prove(Ended())


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


class Cluster(FakeKube):
    """Takes writes, too."""

    def create(self, obj, dry_run=False):
        return self.replace(obj, dry_run)

    def replace(self, obj, dry_run=False):
        if not dry_run:
            same = [o for o in self.objects if (o["kind"], o["metadata"]["name"]) == (obj["kind"], "reviews")]
            self.objects = [o for o in self.objects if o not in same] + [copy.deepcopy(obj)]
        return copy.deepcopy(obj)


def test_the_module_proves_after_a_write_only():
    request = Request(Service("reviews", "bookinfo"), {"v1": 50, "v3": 50})

    def split(kube, check_mode=False, wait_timeout=5.0):
        return traffic_split.split(kube, request, False, check_mode, wait_timeout)

    kube = Cluster(SERVICE, pod("p"))
    assert "proof" not in split(kube, check_mode=True)
    assert split(kube)["proof"]["proxies"] == 1
    again = split(kube)
    assert (again["changed"], "proof" in again) == (False, False)
    assert kube.asked == ["bookinfo/p"]
    assert "proof" not in split(Cluster(SERVICE, pod("p")), wait_timeout=None)
    assert "proof" not in split(AbsentKube(), check_mode=True)
