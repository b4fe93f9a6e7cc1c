"""The module traffic_split: what the user sees of a split that is made, moved, checked and taken back."""

from __future__ import annotations

import json

import pytest
from traffic_objects import OURS, dr, to, vs
from traffic_tasks import cluster, connect

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import split

V1_V3 = {"v1": 50, "v3": 50}
CREATED = ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]


@pytest.fixture
def tasks(monkeypatch):
    return connect(monkeypatch, cluster())


def test_create_check_again_and_move(tasks):
    promised = tasks.run("split", True, weights=V1_V3)
    assert tasks.kube.writes == []
    made = tasks.run("split", weights=V1_V3)
    assert made.pop("proof") == {"proxies": 1, "seconds": pytest.approx(0, abs=5), "lagging": []}
    assert made == promised
    assert made["changed"]
    assert made["steps"] == CREATED
    assert made["effective"] == V1_V3
    assert made["before"] == {}
    assert made["after"]["metadata"] == {"name": "reviews", "namespace": "bookinfo", "labels": OURS}
    assert tasks.kube.writes == CREATED

    again = tasks.run("split", weights=V1_V3)
    assert not again["changed"]
    assert again["diff"] == []
    assert again["before"] == again["after"] == made["after"]
    assert again["effective"] == V1_V3
    assert len(tasks.kube.writes) == 2

    promised = tasks.run("split", True, weights={"v1": 90, "v3": 10})
    moved = tasks.run("split", weights={"v1": 90, "v3": 10})
    del moved["proof"]
    assert moved == promised
    (diff,) = moved["diff"]
    lines = zip(diff["before"].splitlines(), diff["after"].splitlines())
    assert [(a.strip(), b.strip()) for a, b in lines if a != b] == [
        ("weight: 50", "weight: 90"),
        ("weight: 50", "weight: 10"),
    ]


def test_each_object_is_tried_before_the_first_is_written_and_one_alone_is_not(tasks):
    tasks.run("split", weights=V1_V3)
    assert tasks.kube.dry_runs == CREATED
    tasks.kube.forget()
    tasks.run("split", weights={"v1": 90, "v3": 10})
    assert tasks.kube.dry_runs == []
    assert tasks.kube.writes == ["replace VirtualService bookinfo/reviews"]


def test_the_same_weights_written_otherwise_are_no_change(tasks):
    tasks.run("split", weights=V1_V3)
    for weights in ({"v1": 1, "v3": 1}, {"v3": "7", "v1": "7"}):
        assert not tasks.run("split", weights=weights)["changed"]


def test_absent_gives_a_route_of_others_its_weights_back(tasks):
    tasks.kube.put(vs({"route": [to("v1", 70), to("v2", 30)]}))
    tasks.kube.put(dr("v1", "v2", "v3"))
    tasks.run("split", weights={"v1": 1, "v3": 1})
    tasks.run("split", weights={"v2": 1, "v3": 3})
    back = tasks.run("split", state="absent")
    assert back["after"]["spec"] == vs({"route": [to("v1", 70), to("v2", 30)]})["spec"]
    assert back["proof"]["proxies"] == 1
    assert not tasks.run("split", state="absent")["changed"]


def test_the_journal_names_the_user_of_the_process_when_the_task_names_none(tasks):
    params = {name: spec.get("default") for name, spec in split.ARGS.items()}
    split.core({**params, "host": "reviews.bookinfo", "weights": V1_V3}, False)
    (annotation,) = json.loads(tasks.kube.live("VirtualService")["metadata"]["annotations"]["meshops.istio/journal"])
    assert "@" in annotation["by"]


def test_core_reads_its_options():
    params = {
        "host": "reviews.bookinfo",
        "namespace": None,
        "weights": {"v1": -1},
        "virtual_service": None,
        "route": None,
        "between": "subsets",
        "api": None,
        "state": "present",
        "require_ready": True,
        "wait": True,
        "wait_timeout": 30.0,
        "force": False,
        "point": "",
        "cluster_domain": "cluster.local",
        "kubeconfig": "/nonexistent/kubeconfig",
        "context": None,
    }
    assert set(params) == set(split.ARGS)
    with pytest.raises(MeshopsError, match="negative"):
        split.core(params, True)
    assert split.core({**params, "weights": {"v1": 1}}, True)["effective"] == {"v1": 100}
