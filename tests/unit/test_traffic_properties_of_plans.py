# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last five invariants of a correct edit, and of every prefix of a plan: no request is lost, and it can go on."""

from __future__ import annotations

import copy
import re
from random import Random

import pytest
from hypothesis import given
from traffic_asks import MAKERS, SETTING, TAKING_BACK
from traffic_cases import aligned, attempt, carried_out, cases, edited, expired, make_case, many, pairs, plan_of
from traffic_checks import (
    BOOKKEEPING,
    FQDN,
    canonical,
    dangling,
    destination,
    entries,
    everything,
    full_name,
    key_of,
    lost,
    named,
    problems,
    routes,
    senders,
    shuffled,
    subset_names,
)

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import World


@many
@given(cases(SETTING, aged=0.5))
def test_8_the_inverse_restores(case):
    if any(not elsewhere(ask, case.ask) for ask in case.past):
        return  # what the inverse takes back is then more than the ask
    if case.ask.name == "subset" and case.ask.about["subset"] in str(case.world.rules):
        return  # an edited subset has no inverse
    plan = attempt(case.world, case.ask.intent, tidy=False)
    if plan is None or not plan.steps:
        return
    there = carried_out(case.world, plan.steps)
    back = attempt(there, case.ask.inverse, tidy=False)
    if back is None:
        return
    found = carried_out(there, back.steps)
    old, new = everything(case.world, BOOKKEEPING[0]), everything(found, BOOKKEEPING[0])
    if dangling(case.world):  # a subset that somebody else was waiting for stays
        old, new = ({key: text for key, text in it.items() if key[0] != "DestinationRule"} for it in (old, new))
    assert new == old


def elsewhere(past, ask):
    """Tell whether what was asked before surely was about something else."""
    if past.name != ask.name or (ask.name == "rule" and past.about["name"] != ask.about["name"]):
        return True
    places = [re.fullmatch(r"\w+\[\d+\]", it.request.route or "") for it in (past, ask)]
    return all(places) and places[0][0] != places[1][0]


@many
@given(cases(SETTING, aged=0))
def test_9_what_is_unclear_is_refused(case):
    world, why = spoiled(case)
    if world is None:
        return
    kept = copy.deepcopy(world)
    with pytest.raises(MeshopsError) as refusal:
        plan_of(world, case.ask.intent)
    assert world == kept
    assert attempt(world, case.ask.intent) is None
    assert re.search(r"reviews|VirtualService|HTTPRoute|GRPCRoute|DestinationRule|http\[|rule", str(refusal.value)), why


def spoiled(case):
    """Return the world of a case with its target made impossible, and how; (None, "") where that is not to be had."""
    if case.ask.name == "subset" or attempt(case.world, case.ask.intent) is None:
        return None, ""
    touched = [pair for pair in edited(case) if pair[0]["kind"] != "DestinationRule"]
    if not touched:
        return None, ""
    before, after = touched[0]
    one, other = aligned(case, before, after)
    targets = [
        (section, at) for (section, at, old), (_section, _at, new) in zip(routes(one), routes(other)) if old != new
    ]
    ways = ["action", "twice"] if case.ask.name == "split" else ["action"]
    ways = ["mirror"] if case.ask.name == "mirror" else ways
    if not targets:
        return None, ""
    section, at = targets[0]
    world = copy.deepcopy(case.world)
    obj = next(found for found in world.routes if key_of(found) == key_of(before))
    route = obj["spec"][section][at]
    way = ways[case.seed % len(ways)]
    if way == "mirror":
        route["mirror"] = {"host": "audit"}
    elif way == "twice":
        own = [entry for entry in entries(section, route) if destination(obj, entry)[0] == FQDN]
        entries(section, route).append(copy.deepcopy(own[0]))
    elif section == "rules":
        route["filters"] = [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}]
    elif section == "http":
        key, value = (("redirect", {"uri": "/"}), ("delegate", {"name": "x"}), ("directResponse", {"status": 503}))[
            case.seed % 3
        ]
        route[key] = value
    else:
        return None, ""
    return world, way


@many
@given(cases())
def test_10_nothing_becomes_worse(case):
    for before, after in pairs(case) or ():
        if after is None:
            continue
        fresh = problems(after) - (problems(before) if before else set())
        if case.ask.name in {"no_fault", "no_route_policy"} or expired(case):
            fresh -= {"a fault of nothing", "timeout", "retries without attempts"}  # as it was before
        assert not fresh, fresh
        if before and case.ask.name in {"fault", "mirror", "rule", "subset", *TAKING_BACK} - {"unsplit", "no_subset"}:
            assert problems(before) <= problems(after) | {"a fault of nothing", "a subset twice"}, (
                "a defect of others was repaired"
            )


@many
@given(cases())
def test_11_the_same_of_the_same(case):
    kept = copy.deepcopy(case.world)
    plan = attempt(case.world, case.ask.intent)
    assert case.world == kept and canonical(case.world.routes) == canonical(kept.routes)
    random = Random(case.seed)
    mixed = [shuffled(list(objects), random) for objects in (case.world.routes, case.world.rules)]
    for objects in mixed:
        random.shuffle(objects)
    again = attempt(World(case.world.service, *mixed), case.ask.intent)
    assert (plan is None) == (again is None)
    if plan is not None:
        shown = [[(str(step), canonical([step.before, step.after])) for step in made.steps] for made in (plan, again)]
        assert sorted(shown[0]) == sorted(shown[1])
        older = [
            [{**obj, "apiVersion": obj["apiVersion"].rsplit("/", 1)[0] + "/v1alpha3"} for obj in objects]
            for objects in (case.world.routes, case.world.rules)
        ]
        third = plan_of(World(case.world.service, *older), case.ask.intent)
        assert [canonical((step.after or {}).get("spec")) for step in third.steps] == [
            canonical((step.after or {}).get("spec")) for step in plan.steps
        ]


@many
@given(cases())
def test_12_the_scope_holds(case):
    found = pairs(case) or ()
    sending = {key_of(obj) for obj, _section, _index in senders(case.world)}
    touched = set()
    for before, after in found:
        obj = before or after
        kind, namespace, name = key_of(obj)
        if kind == "DestinationRule":
            assert full_name(obj["spec"]["host"], namespace) == FQDN, obj
            fresh = subset_names([after] if after else []) - subset_names([before] if before else [])
            assert fresh <= asked_subsets(case.ask), fresh
            assert namespace in {"bookinfo", "istio-system", "a"} if before else namespace == "bookinfo"
        elif before:
            assert case.ask.name not in {"subset", "no_subset"} or expired(case)
            assert key_of(obj) in sending or case.ask.request.services or kind != "VirtualService"
            if case.ask.request.virtual_service and not expired(case):
                assert f"{namespace}/{name}" == case.ask.request.virtual_service
            touched.add(key_of(obj))
        else:
            assert namespace == "bookinfo" and after["metadata"]["labels"]
    assert len(touched) <= 1 or expired(case), touched


def asked_subsets(ask):
    where = ask.about.get("where")
    names = set() if ask.request.services else set(ask.request.weights)
    return names | {ask.about.get("subset")} | ({where.subset} if where and where.host == FQDN else set())


@many
@given(cases())
def test_every_prefix_of_a_plan_loses_no_request_and_can_go_on(case):
    plan = attempt(case.world, case.ask.intent)
    if plan is None:
        return
    before, end = lost(case.world), everything(carried_out(case.world, plan.steps), BOOKKEEPING[0])
    for done in range(len(plan.steps) + 1):
        state = carried_out(case.world, plan.steps[:done])
        assert lost(state) <= before, (done, lost(state) - before)
        left = plan_of(state, case.ask.intent).steps
        assert everything(carried_out(state, left), BOOKKEEPING[0]) == end, done
    for step in plan.steps:
        if step.obj["kind"] == "DestinationRule":
            gone = subset_names([step.before] if step.before else []) - subset_names([step.after] if step.after else [])
            assert gone == {subset.name for subset in step.unnamed}
        else:
            fresh = named(step.after) - named(step.before)
            assert fresh <= {tuple(subset) for subset in step.live}


def test_enough_of_the_worlds_are_edited_and_enough_are_refused():
    counted = {name: [0, 0, 0] for name in MAKERS}
    for seed in range(1200):
        case = make_case(seed * 7919, 1 + seed % 3, seed % 4)
        plan = attempt(case.world, case.ask.intent)
        counted[case.ask.name][0 if plan is None else 1 if plan.steps else 2] += 1
    for name, (refused, changing, _nothing) in counted.items():
        assert changing >= 20, (name, counted[name])
        assert refused or name in {"no_rule", "subset"}, name
