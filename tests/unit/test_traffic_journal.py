"""Each change can be undone, in any number of steps, and nothing that somebody else did gets lost on the way."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import journal, marks
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp

STAMP = Stamp("2026-01-02T03:04:05Z", "traffic.yml by ann")


def vs(spec, **metadata):
    return {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "b", **metadata}, "spec": spec}


def change(obj, spec, what="split", point=""):
    return journal.record(obj, {**obj, "spec": spec}, what, STAMP, point)


def story(*specs, obj=None):
    obj = obj or vs({"n": 0})
    for spec in specs:
        obj = change(obj, {"n": spec}, f"to {spec}", f"before {spec}")
    return obj


def test_a_change_is_recorded():
    obj = story(1)
    (entry,) = journal.read(obj)
    assert (entry.number, entry.when, entry.what, entry.by) == (1, STAMP.when, "to 1", STAMP.by)
    assert entry.before == journal.digest({"n": 0})
    assert entry.after == journal.digest({"n": 1})
    assert journal.spec_before(entry, obj) == {"n": 0}
    assert obj["spec"] == {"n": 1}
    assert not journal.hand_edit(obj)


def test_no_change_is_not_recorded():
    obj = story(1)
    assert change(obj, {"n": 1})["metadata"] == obj["metadata"]
    assert journal.read(vs({})) == []
    assert journal.origin(vs({})) is None
    assert not journal.hand_edit(vs({}))


def test_other_annotations_and_the_input_stay():
    start = vs({"n": 0}, annotations={"a": "b"}, labels={"c": "d"})
    kept = copy.deepcopy(start)
    after = change(start, {"n": 1})
    assert start == kept
    assert after["metadata"]["annotations"]["a"] == "b"
    assert after["metadata"]["labels"] == {"c": "d"}


def test_steps_back_one_by_one_and_at_once():
    obj = story(1, 2, 3)
    once = journal.undo(obj, STAMP)
    assert once["spec"] == {"n": 2}
    twice = journal.undo(once, STAMP)
    assert twice["spec"] == {"n": 1}
    assert journal.undo(twice, STAMP)["spec"] == {"n": 0}
    assert journal.undo(obj, STAMP, steps=3)["spec"] == {"n": 0}
    assert [entry.what for entry in journal.read(twice)][-2:] == ["back before change 3", "back before change 2"]
    again = change(twice, {"n": 7})
    assert journal.undo(again, STAMP)["spec"] == {"n": 1}
    assert journal.undo(again, STAMP, steps=2)["spec"] == {"n": 0}


def test_a_change_and_its_contrary_are_undone_together():
    obj = journal.undo(story(1, 2, 1), STAMP, steps=2)
    assert obj["spec"] == {"n": 1}
    assert journal.undo(obj, STAMP)["spec"] == {"n": 0}


def test_back_to_a_point_is_idempotent():
    obj = journal.undo(story(1, 2, 3), STAMP, point="before 2")
    assert obj["spec"] == {"n": 1}
    assert journal.undo(obj, STAMP, point="before 2") is obj
    with pytest.raises(MeshopsError, match=r"no point before 3 \(points: before 1\)"):
        journal.undo(obj, STAMP, point="before 3")
    with pytest.raises(MeshopsError, match="no point x"):
        journal.undo(obj, STAMP, point="x")


@pytest.mark.parametrize("steps", [4, 100])
def test_more_steps_than_there_are(steps):
    with pytest.raises(MeshopsError, match=f"has 3 changes to undo, not {steps}"):
        journal.undo(story(1, 2, 3), STAMP, steps=steps)
    with pytest.raises(MeshopsError, match="steps is 0"):
        journal.undo(story(1), STAMP, steps=0)
    with pytest.raises(MeshopsError, match="has 0 changes"):
        journal.undo(vs({}), STAMP)


def test_a_created_object_is_undone_by_deleting_it():
    obj = journal.record(None, vs({"n": 0}), "created", STAMP)
    assert journal.undo(obj, STAMP) is None
    assert journal.undo(change(obj, {"n": 1}), STAMP)["spec"] == {"n": 0}


def test_a_later_hand_edit_is_not_dropped():
    obj = story(1, 2)
    edited = {**obj, "spec": {"n": 2, "timeout": "1s"}}
    assert journal.hand_edit(edited)
    with pytest.raises(MeshopsError, match=r"edited by hand after change 2 \(to 2, 2026-.*Set force"):
        journal.undo(edited, STAMP)
    assert journal.undo(edited, STAMP, force=True)["spec"] == {"n": 1}


def test_the_journal_is_bounded_and_keeps_the_first():
    obj = story(*range(1, 31))
    entries = journal.read(obj)
    assert len(entries) == journal.LIMIT
    assert [entry.number for entry in entries] == [1, *range(22, 31)]
    assert journal.spec_before(journal.origin(obj), obj) == {"n": 0}
    assert journal.undo(obj, STAMP, steps=9)["spec"] == {"n": 21}
    with pytest.raises(MeshopsError, match="has 9 changes"):
        journal.undo(obj, STAMP, steps=10)
    assert journal.undo(obj, STAMP, point="before 1")["spec"] == {"n": 0}


def test_large_specs_push_out_older_ones():
    # digits that do not compress
    noise = ["".join(journal.digest([turn, part]) for part in range(600)) for turn in range(12)]
    obj = vs({})
    for text in noise:
        obj = change(obj, {"noise": text})
    assert len(obj["metadata"]["annotations"][journal.ANNOTATION]) <= journal.SIZE_LIMIT
    assert journal.undo(obj, STAMP)["spec"] == {"noise": noise[-2]}


@pytest.mark.parametrize("text", ["", "{}x", "5", "[5]", '[{"number": 1}]', '[{"x": 1}]', '{"a": 1}'])
def test_a_damaged_journal_is_refused(text):
    obj = vs({}, annotations={journal.ANNOTATION: text})
    with pytest.raises(MeshopsError, match="journal of VirtualService b/r is damaged"):
        journal.undo(obj, STAMP)


@pytest.mark.parametrize("packed", ["?", "AAAA", "eJyrVsrMKy5ILUpWslIqzkgsKlGqBQBK7wc3"])
def test_a_damaged_record_is_refused(packed):
    obj = story(1)
    entries = json.loads(obj["metadata"]["annotations"][journal.ANNOTATION])
    entries[0]["packed"] = packed
    obj["metadata"]["annotations"][journal.ANNOTATION] = json.dumps(entries)
    with pytest.raises(MeshopsError, match="change 1 damaged"):
        journal.undo(obj, STAMP)


# --- what an undo takes along, and what it leaves ---


def marked(obj, text):
    return {**obj, "metadata": {**obj["metadata"], "annotations": {"a": "b", marks.ANNOTATION: text}}}


def test_our_marks_go_back_with_the_spec_and_the_annotations_of_others_stay():
    start = marked(vs({"n": 0}), "before")
    after = journal.record(start, {**marked(start, "after"), "spec": {"n": 1}}, "to 1", STAMP)
    after["metadata"]["annotations"]["a"] = "c"
    assert journal.read(after)[-1].marks == "before"
    back = journal.undo(after, STAMP)
    assert back["spec"] == {"n": 0}
    assert {key: value for key, value in back["metadata"]["annotations"].items() if key != journal.ANNOTATION} == {
        "a": "c",
        marks.ANNOTATION: "before",
    }
    # an undo of the undo is one more change
    assert journal.read(back)[-1].marks == "after"


def test_where_there_were_no_marks_there_are_none_again():
    after = journal.record(vs({"n": 0}), {**marked(vs({"n": 0}), "x"), "spec": {"n": 1}}, "to 1", STAMP)
    back = journal.undo(after, STAMP)
    assert set(back["metadata"]["annotations"]) == {"a", journal.ANNOTATION}


def test_an_undo_is_told_from_a_change():
    one = story(1)
    two = story(2, obj=one)
    assert not journal.is_undo(one, two)
    assert not journal.is_undo(None, one)
    assert not journal.is_undo(two, two)
    back = journal.undo(two, STAMP)
    assert journal.is_undo(two, back)
    assert not journal.is_undo(back, back)
    assert not journal.is_undo(back, story(5, obj=back))


def test_the_spec_of_the_last_change_is_known_whatever_somebody_made_of_it():
    obj = story(1, 2)
    assert journal.last_written({**obj, "spec": {"n": 9}}) == {"n": 2}
    assert journal.last_written(journal.undo(obj, STAMP)) == {"n": 1}
    assert journal.last_written(vs({})) is None
    assert [bool(entry.result) for entry in journal.read(obj)] == [False, True], "only that of the last one is kept"


def test_the_undone_changes_are_no_longer_in_effect():
    obj = journal.undo(story(1, 2, 3), STAMP, steps=2)
    assert [entry.number for entry in journal.in_effect(obj)] == [1]
    assert [entry.number for entry in journal.in_effect(story(7, obj=obj))] == [1, 5]
    assert [entry.number for entry in journal.read(obj)] == [1, 2, 3, 4]


specs = st.just({}) | st.dictionaries(
    st.sampled_from(["http", "é", "hosts"]),
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)),
    max_size=2,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(specs, min_size=1, max_size=14), st.data())
def test_any_walk_goes_back_to_any_state(states, data):
    """Against a plain list of states as the model, undos in between."""
    obj, stack = vs(states[0]), [states[0]]
    for state in states[1:]:
        if len(stack) > 1 and data.draw(st.booleans(), label="undo"):
            steps = data.draw(st.integers(1, len(stack) - 1), label="steps")
            try:
                obj = journal.undo(obj, STAMP, steps)
            except MeshopsError:
                assert len(journal.read(obj)) == journal.LIMIT
                return
            del stack[-steps:]
        elif state != stack[-1]:
            obj = change(obj, state)
            stack.append(state)
        assert obj["spec"] == stack[-1]
        assert not journal.hand_edit(obj)
    assert len(journal.read(obj)) <= journal.LIMIT
