"""Injected faults: ours beside those of others, their expiry, and what cannot be injected."""

from __future__ import annotations

import copy
from datetime import datetime, timezone

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, rules
from ansible_collections.meshops.istio.plugins.module_utils.traffic.faults import Fault
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule

REVIEWS = Service("reviews", "bookinfo")
V2 = Destination(REVIEWS.fqdn, "v2")
SLOW = Fault(delay=faults.delay("2s", 50))
BROKEN = Fault(abort=faults.abort(503, 10))


def vs(**route):
    spec = {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}], **route}]}
    return {"kind": "VirtualService", "metadata": {"name": "reviews", "namespace": "bookinfo"}, "spec": spec}


def first(obj):
    return obj["spec"]["http"][0]


def test_a_fault_comes_and_goes():
    obj = vs()
    slow = faults.set_fault(obj, 0, SLOW)
    assert first(slow)["fault"] == {"delay": {"fixedDelay": "2s", "percentage": {"value": 50}}}
    assert faults.set_fault(slow, 0, SLOW) is slow
    both = faults.set_fault(slow, 0, Fault(SLOW.delay, BROKEN.abort))
    assert set(first(both)["fault"]) == {"delay", "abort"}
    only = faults.set_fault(both, 0, BROKEN)
    assert first(only)["fault"] == {"abort": {"httpStatus": 503, "percentage": {"value": 10}}}
    other = faults.set_fault(only, 0, Fault(abort=faults.abort("UNAVAILABLE")))
    assert first(other)["fault"] == {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 100}}}
    assert faults.remove_fault(other, 0) == obj
    assert faults.remove_fault(obj, 0) is obj


def test_a_delay_of_the_same_length_stays_as_it_is_written():
    slow = faults.set_fault(vs(), 0, SLOW)
    first(slow)["fault"]["delay"]["fixedDelay"] = "2.000s"
    assert faults.set_fault(slow, 0, SLOW) is slow


def test_the_fault_of_another_team_stays():
    obj = vs(fault={"delay": {"fixedDelay": "5.000s"}, "xNew": {}})
    both = faults.set_fault(obj, 0, BROKEN)
    assert faults.remove_fault(both, 0) == obj
    assert faults.remove_fault(obj, 0) is obj
    with pytest.raises(MeshopsError, match=r"http\[0\] of VirtualService bookinfo/reviews has a delay that this"):
        faults.set_fault(obj, 0, SLOW)


def test_faults_expire():
    early, late = (Fault(SLOW.delay, expires=f"2026-01-0{day}T00:00:00Z") for day in (1, 3))
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)
    obj = vs()
    injected = faults.set_fault(obj, 0, early)
    assert [fault.route for fault in faults.expired(injected, now)] == ["http[0]"]
    assert faults.remove_expired(injected, now) == obj
    longer = faults.set_fault(injected, 0, late)
    assert first(longer) == first(injected)
    assert faults.expired(longer, now) == []
    assert faults.remove_expired(longer, now) is longer
    assert [fault.expires for fault in faults.injected(longer)] == ["2026-01-03T00:00:00Z"]
    assert faults.injected(obj) == []


NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("expires", "until"),
    [
        ("30m", "2026-01-02T12:30:00Z"),
        ("1h30m", "2026-01-02T13:30:00Z"),
        ("90s", "2026-01-02T12:01:30Z"),
        ("2026-01-03T00:00:00Z", "2026-01-03T00:00:00Z"),
        ("2026-01-03T00:00:00+02:00", "2026-01-03T00:00:00+02:00"),
        ("", ""),
    ],
)
def test_an_expiry_is_a_time_or_a_length_from_now(expires, until):
    made = faults.set_fault(vs(), 0, Fault(SLOW.delay, expires=expires, now=NOW))
    assert [fault.expires for fault in faults.injected(made)] == [until]
    assert faults.expired(made, NOW) == []
    assert bool(faults.expired(made, datetime(2026, 1, 4, tzinfo=timezone.utc))) == bool(until)


def test_a_length_counts_from_the_first_run_of_the_same_fault():
    later = datetime(2026, 1, 2, 12, 20, tzinfo=timezone.utc)
    made = faults.set_fault(vs(), 0, Fault(SLOW.delay, expires="30m", now=NOW))
    assert faults.set_fault(made, 0, Fault(SLOW.delay, expires="30m", now=later)) is made
    other = faults.set_fault(made, 0, Fault(faults.delay("3s"), expires="30m", now=later))
    assert [fault.expires for fault in faults.injected(other)] == ["2026-01-02T12:50:00Z"]
    forever = faults.set_fault(made, 0, Fault(SLOW.delay, now=later))
    assert [fault.expires for fault in faults.injected(forever)] == [""]


def test_a_fault_of_a_rule_goes_with_it():
    rule = Rule("jason", {"headers": {"end-user": {"exact": "jason"}}}, {V2: 1})
    obj = rules.set_rule(vs(), 0, REVIEWS, rule)
    broken = faults.set_fault(obj, 0, BROKEN)
    assert "fault" not in broken["spec"]["http"][1]
    # the mark follows the route to its new position
    moved = copy.deepcopy(broken)
    moved["spec"]["http"].insert(0, {"match": [{"uri": {"exact": "/x"}}], "redirect": {"uri": "/"}})
    assert [fault.index for fault in faults.injected(moved)] == [1]
    assert faults.remove_fault(broken, 0) == obj
    assert rules.remove_rule(broken, "jason") == vs()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: faults.delay("soon"), "'soon', which is no duration"),
        (lambda: faults.delay("0s"), "no duration of 1ms"),
        (lambda: faults.delay("1500us"), "no duration of 1ms"),
        (lambda: faults.delay("1s", 101), "percentage of the delay is 101"),
        (lambda: faults.abort(503, -1), "no percentage"),
        (lambda: faults.abort(503, True), "no percentage"),
        (lambda: faults.abort(99), "status 99"),
        (lambda: faults.abort("many"), "status 'many'"),
        (lambda: faults.moment("2026-01-01T00:00:00"), "no time with a time zone"),
        (lambda: faults.moment("tomorrow"), "no time"),
        (lambda: faults.set_fault(vs(), 0, Fault()), "neither a delay nor an abort"),
        (lambda: faults.set_fault(vs(), 0, Fault(SLOW.delay, expires="x")), "no time"),
        (lambda: faults.set_fault(vs(), 0, Fault(SLOW.delay, expires="x", now=NOW)), "no time with a time zone"),
        (
            lambda: faults.set_fault(vs(), 0, Fault(SLOW.delay, expires="2026-01-02T12:00:00Z", now=NOW)),
            "expires is 2026-01-02T12:00:00Z, which is over. Give a later time, or state: absent.",
        ),
        (lambda: faults.set_fault(vs(redirect={"uri": "/"}), 0, SLOW), "is a redirect, which cannot have a fault"),
        (
            lambda: faults.set_fault({**vs(), "kind": "HTTPRoute"}, 0, SLOW),
            "HTTPRoute bookinfo/reviews cannot have a fault",
        ),
    ],
)
def test_faults_that_cannot_be_are_refused(make, word):
    with pytest.raises(MeshopsError) as refusal:
        make()
    assert word in str(refusal.value)
