"""The module traffic_rollback: back by steps or to a named point, over nothing that somebody else did."""

from __future__ import annotations

import pytest
from traffic_objects import canonical, dr, to, vs
from traffic_tasks import JASON, cluster, connect

from ansible_collections.meshops.istio.plugins.module_utils.traffic import journal

THEIRS = vs({"route": [to("v1")], "xNew": None})
REPLACED = ["replace VirtualService bookinfo/reviews"]


@pytest.fixture
def tasks(monkeypatch):
    return connect(monkeypatch, cluster(THEIRS, dr("v1", "v2", "v3")))


def spec(tasks):
    return tasks.kube.live("VirtualService")["spec"]


def rollback(tasks, **options):
    """Promised by check mode, done the same."""
    promised = tasks.run("rollback", True, **options)
    tasks.kube.forget()
    result = tasks.run("rollback", **options)
    proof = result.pop("proof", None)
    assert result == promised
    assert result["changed"] == bool(proof) == bool(tasks.kube.writes)
    assert result["steps"] == tasks.kube.writes
    return result


def test_one_step_two_steps_and_no_more(tasks):
    states = [spec(tasks)]
    for weights in ({"v1": 9, "v2": 1}, {"v1": 5, "v2": 5}, {"v2": 1}):
        tasks.run("split", weights=weights)
        states.append(spec(tasks))
    result = rollback(tasks)
    assert result["steps"] == REPLACED
    assert (result["before"]["spec"], result["after"]["spec"]) == (states[3], states[2])
    assert canonical(spec(tasks)) == canonical(states[2])
    rollback(tasks, steps=2)
    assert canonical(spec(tasks)) == canonical(states[0])
    assert [entry.what for entry in journal.read(tasks.kube.live("VirtualService"))][-2:] == [
        "back before change 3",
        "back before change 1",
    ]
    text = tasks.refusal("rollback")
    assert text.startswith("VirtualService bookinfo/reviews has 0 changes to undo, not 1.")


def test_to_a_named_point_again_and_again(tasks):
    tasks.run("split", weights={"v1": 9, "v2": 1})
    middle = spec(tasks)
    tasks.run("split", weights={"v1": 1, "v2": 9}, point="release 5")
    tasks.run("policy", timeout="2s", point="release 6")
    rollback(tasks, point="release 5")
    assert canonical(spec(tasks)) == canonical(middle)
    tasks.kube.forget()
    again = rollback(tasks, point="release 5")
    assert (again["changed"], again["diff"]) == (False, [])
    assert tasks.kube.writes == tasks.kube.dry_runs == []
    text = tasks.refusal("rollback", point="release 7")
    assert text == (
        "The journal of VirtualService bookinfo/reviews has no point release 7 (points: none). Correct it, or use"
        " steps."
    )


def test_a_later_edit_by_hand_is_dropped_by_force_only(tasks):
    tasks.run("split", weights={"v1": 9, "v2": 1})
    tasks.kube.edit("VirtualService")["spec"]["http"][0]["timeout"] = "9s"
    text = tasks.refusal("rollback")
    assert "VirtualService bookinfo/reviews was edited by hand after change 1 (split v1 90 %, v2 10 %, 20" in text
    assert text.endswith("Set force to drop that edit too, or change the object by hand.")
    rollback(tasks, force=True)
    assert canonical(spec(tasks)) == canonical(THEIRS["spec"])


def test_marks_go_back_with_the_spec(tasks):
    """A mirror that was set before the undone change is still known as ours: it can be changed and removed."""
    tasks.run("mirror", destination="v2", percent=10.0)
    mirrored = spec(tasks)
    tasks.run("mirror", state="absent")
    assert "mirrors" not in spec(tasks)["http"][0]
    rollback(tasks)
    assert canonical(spec(tasks)) == canonical(mirrored)
    assert tasks.run("mirror", destination="v2", percent=20.0)["changed"]
    assert tasks.run("mirror", state="absent")["changed"]
    assert canonical(spec(tasks)) == canonical(THEIRS["spec"])


def test_what_was_undone_is_no_longer_ours(tasks):
    tasks.run("mirror", destination="v2", percent=10.0)
    tasks.run("split", weights={"v1": 1, "v2": 1})
    rollback(tasks, steps=2)
    for module in ("mirror", "split"):
        assert not tasks.run(module, state="absent")["changed"]
    assert set(tasks.kube.live("VirtualService")["metadata"]["annotations"]) == {journal.ANNOTATION}


@pytest.mark.parametrize(
    ("module", "options", "absent"),
    [
        ("match", {"name": "jason", "destination": "v2", **JASON}, {"name": "jason"}),
        ("fault", {"abort": {"status": "503"}}, {}),
        ("policy", {"timeout": "2s"}, {}),
        ("split", {"weights": {"v1": 1, "v2": 1}}, {}),
    ],
)
def test_every_change_is_undone_and_what_was_taken_back_comes_again(tasks, module, options, absent):
    tasks.run(module, **options)
    made = spec(tasks)
    tasks.run(module, state="absent", **absent)
    rollback(tasks)
    assert canonical(spec(tasks)) == canonical(made)
    assert tasks.run(module, state="absent", **absent)["changed"], "it is ours again"
    assert canonical(spec(tasks)) == canonical(THEIRS["spec"])
    rollback(tasks, steps=1)
    rollback(tasks, steps=1)
    assert canonical(spec(tasks)) == canonical(THEIRS["spec"])


def test_an_object_that_was_created_is_deleted_with_its_subsets(monkeypatch):
    tasks = connect(monkeypatch, cluster())
    tasks.run("split", weights={"v1": 1, "v2": 1}, point="before")
    tasks.run("split", weights={"v1": 1})
    result = rollback(tasks, point="before")
    assert result["steps"] == ["delete VirtualService bookinfo/reviews", "delete DestinationRule bookinfo/reviews"]
    assert result["after"] == {}
    assert "Nothing routes to reviews.bookinfo" in tasks.refusal("rollback", point="before")


def test_requests_do_not_go_back_to_where_nobody_is_ready(tasks):
    tasks.run("split", weights={"v3": 1})
    tasks.run("split", weights={"v1": 1})
    tasks.kube.remove("Pod", "reviews-v3")
    assert "Subset v3 of reviews.bookinfo (version=v3) has no ready pod" in tasks.refusal("rollback")
    rollback(tasks, require_ready=False)
    assert spec(tasks)["http"][0]["route"] == [to("v1", 0), to("v3", 1)]


def test_a_subset_that_is_gone_since_is_not_gone_back_to(tasks):
    tasks.run("split", weights={"v3": 1})
    tasks.run("split", weights={"v1": 1})
    tasks.kube.put(dr("v1"))
    assert "would name the subset v3 of reviews.bookinfo.svc" in tasks.refusal("rollback")


def test_a_fault_whose_time_is_over_is_left_to_the_point_that_is_meant(tasks):
    tasks.run("fault", abort={"status": "503"}, expires="1ms")
    result = rollback(tasks)
    assert result["warnings"] == []
    assert canonical(spec(tasks)) == canonical(THEIRS["spec"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"steps": 0}, "steps is 0. Give the number of changes to undo, 1 or more."),
        ({"steps": 3}, "has 1 changes to undo, not 3"),
        ({"point": "x"}, "has no point x (points: none)"),
        ({"virtual_service": "other"}, "Nothing routes to reviews.bookinfo"),
    ],
)
def test_what_cannot_be_gone_back_to(tasks, options, word):
    tasks.run("split", weights={"v1": 1, "v2": 1})
    assert word in tasks.refusal("rollback", **options)


def test_one_of_several_objects_is_chosen_by_name(tasks):
    tasks.kube.put(vs({"route": [to("v1")]}, name="shop", hosts=["shop.example.com"], gateways=["g"]))
    tasks.run("split", weights={"v1": 1, "v2": 1}, virtual_service="reviews")
    assert "Several objects route to reviews.bookinfo" in tasks.refusal("rollback")
    assert rollback(tasks, virtual_service="reviews")["steps"] == REPLACED
