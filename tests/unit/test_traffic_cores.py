"""Every traffic module: check mode promises what the run does, a second run does nothing, wrong input is a sentence."""

from __future__ import annotations

import pytest
from traffic_objects import OURS, canonical, dr, pod, service, to, vs
from traffic_tasks import JASON, cluster, connect

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

MANY = {"v1": 90, "v2": 10}
TASKS = {
    "split": ({"weights": MANY}, {}),
    "match": ({"name": "jason", **JASON, "destination": "v2"}, {"name": "jason"}),
    "mirror": ({"destination": "v2", "percent": 10.0}, {"destination": "v2"}),
    "fault": (
        {
            "delay": {"duration": "2s", "percent": 50.0},
            "abort": {"status": "503", "percent": 1.0},
            "expires": "30m",
        },
        {},
    ),
    "subset": ({"name": "v2", "traffic_policy": {"connectionPool": {"tcp": {"maxConnections": 1}}}}, {"name": "v2"}),
    "policy": ({"timeout": "2s", "retries": {"attempts": 2, "per_try_timeout": "1s", "retry_on": ["5xx"]}}, {}),
}
WORLDS = {
    "nothing": (),
    "a route of others": (vs({"route": [to("v1")], "xNew": {"a": None}}), dr("v1", "v2", "v3")),
    "several routes": (
        vs({"match": [{"uri": {"exact": "/x"}}], "route": [to("v1")]}, {"route": [to("v1", 100), to("v2", 0)]}),
        dr("v1", "v2", trafficPolicy={"xNew": {}}),
    ),
}


def traffic(kube):
    """The objects of the mesh without what we note on them."""
    found = {}
    for (kind, _namespace, name), obj in sorted(kube.objects.items()):
        if kind in ("VirtualService", "DestinationRule"):
            plain = model.unmarked(obj)
            metadata = {
                key: value for key, value in plain["metadata"].items() if key in ("annotations", "labels", "name")
            }
            found[f"{kind} {name}"] = {**plain, "metadata": metadata}
    return found


def repeat(tasks, module, **options):
    """Promise in check mode, do, and do again; return what the first real run said."""
    before = canonical(list(tasks.kube.objects.values()))
    promised = tasks.run(module, True, **options)
    assert canonical(list(tasks.kube.objects.values())) == before, "check mode writes nothing"
    tasks.kube.forget()
    result = tasks.run(module, **options)
    proof = result.pop("proof", None)
    assert result == promised
    assert result["steps"] == tasks.kube.writes
    assert (proof is not None) == result["changed"] == bool(result["steps"])
    tasks.kube.forget()
    again = tasks.run(module, **options)
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])
    assert again["before"] == again["after"]
    assert tasks.kube.writes == tasks.kube.dry_runs == []
    return result


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("module", TASKS)
def test_there_and_back(monkeypatch, module, world):
    present, absent = TASKS[module]
    tasks = connect(monkeypatch, cluster(*WORLDS[world]))
    start = traffic(tasks.kube)
    made = repeat(tasks, module, **present)
    assert made["changed"]
    assert made["warnings"] == []
    assert made["after"] != made["before"]
    assert all("meshops.istio/" not in text for entry in made["diff"] for text in (entry["before"], entry["after"]))
    if module == "subset" and start:
        assert tasks.run(module, state="absent", **absent)["changed"]  # a subset of others goes as it is asked for
        return
    back = repeat(tasks, module, state="absent", **absent)
    assert back["changed"]
    assert back["after"] == (made["before"] if world != "nothing" else {})
    assert canonical(traffic(tasks.kube)) == canonical(start)


@pytest.mark.parametrize("module", TASKS)
def test_absent_where_nothing_is_does_nothing(monkeypatch, module):
    tasks = connect(monkeypatch, cluster())
    assert not repeat(tasks, module, state="absent", **TASKS[module][1])["changed"]


@pytest.mark.parametrize("module", sorted(set(TASKS) - {"subset"}))
def test_the_name_of_the_object_can_be_chosen(monkeypatch, module):
    tasks = connect(monkeypatch, cluster())
    present, absent = TASKS[module]
    result = tasks.run(module, virtual_service="mine", **present)
    assert result["steps"][-1] == "create VirtualService bookinfo/mine"
    assert result["after"]["metadata"]["labels"] == OURS
    assert tasks.run(module, virtual_service="other", state="absent", **absent)["changed"] is False
    assert tasks.run(module, virtual_service="mine", state="absent", **absent)["after"] == {}


def test_effective_shares_are_told(monkeypatch):
    tasks = connect(monkeypatch, cluster())
    assert tasks.run("split", weights={"v1": 1, "v2": 2})["effective"] == {"v1": 33.33, "v2": 66.67}
    assert tasks.run("match", name="a", weights={"v1": 1, "v2": 1}, **JASON)["effective"] == {"v1": 50, "v2": 50}
    assert tasks.run("mirror", destination="v2", percent=1.0)["effective"] == {}


def test_a_split_of_the_gateway_api(monkeypatch):
    backends = [service("reviews-v1"), service("reviews-v2"), pod("a", labels={"app": "reviews-v1"})]
    tasks = connect(monkeypatch, cluster(*backends, pod("b", labels={"app": "reviews-v2"})))
    made = repeat(tasks, "split", api="gateway", weights={"reviews-v1:9080": 1, "reviews-v2:9080": 3})
    assert (made["steps"], made["warnings"]) == (["create HTTPRoute bookinfo/reviews"], [])
    moved = repeat(tasks, "split", api="gateway", weights={"reviews-v1:9080": 1, "reviews-v2:9080": 1})
    assert (moved["steps"], moved["warnings"]) == (["replace HTTPRoute bookinfo/reviews"], [])
    promised = tasks.run("split", True, api="gateway", state="absent")
    gone = tasks.run("split", api="gateway", state="absent")
    assert gone["steps"] == promised["steps"] == ["delete HTTPRoute bookinfo/reviews"]
    assert (gone["before"], gone["after"]) == (moved["after"], {})
    assert not tasks.run("split", api="gateway", state="absent")["changed"]


def test_a_rule_is_made_for_another_service_and_a_mirror_as_well(monkeypatch):
    tasks = connect(monkeypatch, cluster())
    options = {"between": "services", "require_ready": False, "wait": False}
    made = tasks.run("match", name="a", destination="reviews-canary", **JASON, **options)
    assert made["after"]["spec"]["http"][0]["route"] == [to(host="reviews-canary")]
    made = tasks.run("mirror", destination="audit.other:80", percent=5.0, **options)
    assert made["after"]["spec"]["http"][1]["mirrors"] == [
        {
            "destination": {"host": "audit.other.svc.cluster.local", "port": {"number": 80}},
            "percentage": {"value": 5},
        }
    ]
    assert [step for step in made["steps"] if "DestinationRule" in step] == []


def test_conditions_of_a_rule_are_those_of_istio(monkeypatch):
    tasks = connect(monkeypatch, cluster())
    made = tasks.run(
        "match",
        name="a",
        destination="v2",
        uri={"prefix": "/api"},
        method="GET",
        without_headers={"x": {"present": True}},
        query_params={"q": {"regex": "a+"}},
        source_labels={"app": "web"},
        source_namespace="web",
        port=9080,
        ignore_uri_case=True,
        wait=False,
    )
    assert made["after"]["spec"]["http"][0]["match"] == [
        {
            "uri": {"prefix": "/api"},
            "method": {"exact": "GET"},
            "withoutHeaders": {"x": {}},
            "queryParams": {"q": {"regex": "a+"}},
            "sourceLabels": {"app": "web"},
            "sourceNamespace": "web",
            "port": 9080,
            "ignoreUriCase": True,
        }
    ]


@pytest.mark.parametrize(
    ("module", "options", "word"),
    [
        ("split", {}, "weights is missing. Give it, for example {v1: 90, v2: 10}, or set state to absent."),
        ("split", {"weights": {}}, "weights is missing"),
        ("split", {"weights": {"v1": -1}}, "The weight of v1 is -1, which is negative"),
        ("split", {"weights": {"v1": 0}}, "The weights of v1 are all zero"),
        ("split", {"weights": MANY, "host": "a.b.c.d"}, "host 'a.b.c.d' is not the name of a Service"),
        ("split", {"weights": MANY, "host": "reviews"}, "The namespace of Service reviews is not known"),
        ("split", {"weights": MANY, "wait_timeout": 0.0}, "wait_timeout is 0. Give seconds, more than 0"),
        ("split", {"weights": MANY, "route": "http[3]"}, "There is no http route http[3] to reviews.bookinfo"),
        ("split", {"weights": MANY, "virtual_service": "other/x"}, "There is no VirtualService other/x"),
        ("split", {"weights": {"a:b": 1}, "between": "services"}, "'a:b', which is no Service"),
        ("split", {"weights": {"reviews-v1": 1}, "api": "gateway"}, "Write its key in weights as name:port"),
        ("match", {"name": "a", **JASON}, "The rule a has neither destination nor weights. Say where"),
        ("match", {"name": "a", "destination": "v2"}, "The rule has no condition. Give at least one"),
        ("match", {"name": "A!", "destination": "v2", **JASON}, "The name 'A!' of the rule is not of small letters"),
        ("match", {"name": "a", "destination": "v2", "uri": {"glob": "x"}}, "uri needs one of exact, prefix and regex"),
        ("match", {"name": "a", "destination": "v2", "uri": {"regex": "("}}, "'(' of uri is none for Envoy"),
        ("match", {"name": "a", "destination": "v2", "before": "x", **JASON}, "has no routes x (names: none)"),
        ("mirror", {"percent": 1.0}, "destination is missing. Give it, for example v2"),
        ("mirror", {"destination": "v2"}, "percent is missing. Give it, for example 10"),
        ("mirror", {"destination": "v2", "percent": 101.0}, "percent is 101.0, which is no percentage from 0 to 100"),
        ("fault", {}, "The fault has neither a delay nor an abort. Give one of them."),
        ("fault", {"delay": {"duration": "soon"}}, "The delay is 'soon', which is no duration"),
        ("fault", {"abort": {"status": "99"}}, "The abort has the status '99'"),
        ("fault", {"abort": {"status": "503"}, "expires": "tomorrow"}, "'tomorrow' is no time with a time zone"),
        (
            "fault",
            {"abort": {"status": "503"}, "expires": "2020-01-01T00:00:00Z"},
            "2020-01-01T00:00:00Z, which is over",
        ),
        (
            "subset",
            {"name": "v2", "traffic_policy": {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a"}]}}}},
            "Subset v2 has a locality failover without outlierDetection",
        ),
        ("subset", {"name": "v2", "wait_timeout": -1.0}, "wait_timeout is -1"),
        ("policy", {}, "There is neither timeout nor retries. Give one of them, for example timeout: 2s."),
        ("policy", {"timeout": "soon"}, "timeout is 'soon'"),
        ("policy", {"retries": {"retry_on": ["5xx"]}}, "retries has no attempts"),
        ("policy", {"retries": {"attempts": -1}}, "The attempts of retries are -1"),
        ("rollback", {}, "Nothing routes to reviews.bookinfo"),
        ("rollback", {"host": "a..b"}, "is not the name of a Service"),
    ],
)
def test_wrong_input_is_a_sentence(monkeypatch, module, options, word):
    tasks = connect(monkeypatch, cluster())
    text = tasks.refusal(module, **options)
    assert word in text
    assert text.endswith(".")


@pytest.mark.parametrize("module", ["fault", "mirror", "policy", "match"])
def test_what_only_a_virtual_service_can_have(monkeypatch, module):
    refs = [{"group": "", "kind": "Service", "name": "reviews"}]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "reviews", "namespace": "bookinfo"},
        "spec": {"parentRefs": refs, "rules": [{"backendRefs": [{"name": "reviews", "port": 9080}]}]},
    }
    tasks = connect(monkeypatch, cluster(route, dr("v1", "v2")))
    assert "HTTPRoute bookinfo/reviews" in tasks.refusal(module, **TASKS[module][0])
