# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first seven invariants of a correct edit on many odd worlds; a refusal is always allowed, a traceback never.

What the intents do is judged by traffic_checks, which knows nothing of the code under test.
"""

from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import given
from traffic_asks import TAKING_BACK
from traffic_cases import aligned, attempt, carried_out, cases, edited, many, pairs, plan_of
from traffic_checks import (
    BOOKKEEPING,
    ENTRIES,
    FQDN,
    canonical,
    changed,
    conditions_of,
    destination,
    entries,
    full_name,
    is_plain,
    is_whole,
    routes,
    shares,
    takes,
    tokens,
    without,
    witness,
)

OWN = r"metadata\.annotations(\.meshops\.istio/(journal|marks))?"


def allowed(case, before):
    """Return the pattern of the paths that the ask may change in an object that was there before."""
    if before["kind"] == "DestinationRule":
        return f"{OWN}|{allowed_in_rule(case.ask, before)}"
    hosts = {FQDN} | {where[0] for where in asked_shares(case, True)}
    found = [OWN]
    for section, index, route in routes(before):
        if any((destination(before, entry) or ("",))[0] in hosts for entry in entries(section, route)):
            found += [rf"spec\.{section}\[{index}\]\.({path})" for path in allowed_in_route(case.ask, section, route)]
    return "|".join(f"({pattern})" for pattern in found)


def allowed_in_rule(ask, before):
    names = [subset["name"] for subset in before["spec"].get("subsets") or []]
    fresh = "|".join(str(len(names) + more) for more in range(4))
    if ask.name in TAKING_BACK:
        return r"spec\.subsets(\[\d+\].*)?"
    if ask.name == "subset" and ask.about["subset"] in names:
        return rf"spec\.subsets\[{names.index(ask.about['subset'])}\]\.(labels|trafficPolicy).*"
    return rf"spec\.subsets|spec\.subsets\[({fresh})\]\..*"


def allowed_in_route(ask, section, route):
    count, mirrors = len(entries(section, route)), len(route.get("mirrors") or [])
    fresh = "|".join(str(count + more) for more in range(4))
    where = ENTRIES[section]
    asked = "|".join(ask.about.get("retries") or ["-"])
    if ask.about.get("retries") == {"attempts": 0}:
        asked = ".*"  # which excludes the others
    return {
        "split": [rf"{where}\[\d+\]\.weight", rf"{where}\[({fresh})\].*"],
        "unsplit": [rf"{where}\[\d+\]\..*"],
        "mirror": ["mirrors", r"mirrors\[\d+\]\.percentage\.value", rf"mirrors\[{mirrors}\]\..*"],
        "no_mirror": ["mirrors.*"],
        "fault": [r"fault(\.(delay|abort).*)?"],
        "no_fault": [r"fault(\.(delay|abort).*)?"],
        "route_policy": ["timeout", rf"retries(\.({asked}))?"],
        "no_route_policy": ["timeout", "retries.*"],
    }.get(ask.name, [])


@many
@given(cases())
def test_1_only_the_target_changes(case):
    for before, after in edited(case, tidy=False):
        one, other = aligned(case, before, after)
        pattern = allowed(case, before)
        strange = [path for path in changed(one, other) if not re.fullmatch(pattern, path)]
        assert not strange, strange
        lists = {
            path[: path.index("]") + 1] for path in changed(one, other) if path.startswith("spec.") and "]" in path
        }
        assert len(lists) <= 1 or case.ask.request.route == "all" or before["kind"] == "DestinationRule", lists


@many
@given(cases())
def test_2_what_we_do_not_know_survives(case):
    for before, after in pairs(case) or ():
        if before is None:
            assert not tokens(after["metadata"]), after
            continue
        if after is None:
            assert before["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "meshops.istio"
            continue
        gone = tokens(before) - tokens(after)
        if case.ask.name in {"no_subset", "subset"}:
            about = [s for s in before["spec"].get("subsets") or [] if s["name"] == case.ask.about["subset"]]
            gone -= tokens(about if case.ask.name == "no_subset" else [s.get("labels") for s in about])
        assert not gone, gone
        assert without(before, *BOOKKEEPING)["metadata"] == without(after, *BOOKKEEPING)["metadata"]
        for field in ("apiVersion", "kind", "status"):
            assert (field in before, before.get(field)) == (field in after, after.get(field))


@many
@given(cases())
def test_3_repeating_changes_nothing(case):
    plan = attempt(case.world, case.ask.intent)
    if plan is None:
        return
    after = carried_out(case.world, plan.steps)
    for intent in (case.ask.intent, *case.ask.twins):
        again = plan_of(after, intent)
        assert again.steps == (), [str(step) for step in again.steps]
        assert again.changes == []


def asked_shares(case, services):
    total = sum(case.ask.request.weights.values())
    found = {}
    for name, weight in case.ask.request.weights.items():
        host, _colon, port = name.partition(":")
        where = (full_name(host, "bookinfo"), "", int(port) if port else None)
        found[where if services else (FQDN, name, None)] = Fraction(weight, total)
    return {where: share for where, share in found.items() if share}


@many
@given(cases(("split", "split", "unsplit", "rule")))
def test_4_weights_are_what_was_asked(case):
    for before, after in pairs(case) or ():
        if after is None or after["kind"] == "DestinationRule":
            continue
        old = [] if before is None else [entries(section, route) for section, _index, route in routes(before)]
        for section, _index, route in routes(after):
            found = entries(section, route)
            if found in old:
                continue
            for entry in found:
                weight = entry.get("weight", 0)
                assert is_whole(weight) and 0 <= weight <= (10**6 if section == "rules" else 2**31 - 1), entry
            assert len(found) == 1 or any(shares(after, section, route).values()), found
            if case.ask.name == "split" or (case.ask.request.weights and route.get("name", "").startswith("meshops-")):
                there, asked = (
                    shares(after, section, route),
                    asked_shares(case, case.ask.request.services or section == "rules"),
                )
                # a destination that is asked for without a port is meant on any
                ports = {where[2] for where in asked}
                there = there if ports != {None} else {(*where[:2], None): share for where, share in there.items()}
                assert there == asked


@many
@given(cases(("split", "unsplit", "split", "mirror", "rule")))
def test_5_destinations_keep_their_identity(case):
    for before, after in edited(case):
        if before["kind"] == "DestinationRule":
            continue
        one, other = aligned(case, before, after)
        for (section, _at, old), (_section, _index, new) in zip(routes(one), routes(other), strict=True):
            was = [(destination(one, entry), bare(entry)) for entry in entries(section, old)]
            now = [(destination(other, entry), bare(entry)) for entry in entries(section, new)]
            if case.ask.name == "unsplit":
                assert now == [entry for entry in was if entry in now] or len(now) == 1
            else:
                assert now[: len(was)] == was
                assert all(where not in dict(was) for where, _entry in now[len(was) :])
            strangers = {where for where, _entry in was if where and where[0] != FQDN}
            wanted = set() if not case.ask.request.services else set(asked_shares(case, True))
            for where in strangers - wanted - {(*where[:2], 9080) for where in wanted}:
                if case.ask.name != "unsplit" and not case.ask.request.services:
                    assert shares(one, section, old).get(where) == shares(other, section, new).get(where)


def bare(entry):
    return canonical({key: value for key, value in (entry or {}).items() if key != "weight"})


@many
@given(cases())
def test_6_nothing_is_reordered(case):
    for before, after in edited(case):
        one, other = (strict(obj) for obj in aligned(case, before, after))
        for path, old in one.items():
            new = other.get(path, [])
            if case.ask.name == "unsplit" and path.endswith(".to") and len(new) == 1:
                continue  # the route was made for the split
            if case.ask.name in TAKING_BACK:
                assert new == [item for item in old if item in new], path
            else:
                assert new[: len(old)] == old, path


def strict(obj):
    """Return each list of an object by its path, with what its items are known by."""
    spec = obj["spec"]
    found = {name: [canonical(item) for item in spec.get(name) or []] for name in ("hosts", "gateways", "exportTo")}
    found["subsets"] = [subset["name"] for subset in spec.get("subsets") or []]
    for section, index, route in routes(obj):
        here = f"{section}[{index}]"
        found.setdefault(section, []).append(canonical([route.get("name"), route.get("match"), route.get("matches")]))
        found[f"{here}.match"] = [canonical(match) for match in route.get("match") or []]
        found[f"{here}.to"] = [bare(entry) for entry in entries(section, route)]
        found[f"{here}.mirrors"] = [
            canonical((mirror or {}).get("destination")) for mirror in route.get("mirrors") or []
        ]
    return found


@many
@given(cases(("rule",)))
def test_7_a_new_rule_inherits_and_shadows_nothing(case):
    name = f"meshops-{case.ask.about['name']}"
    for before, after in edited(case, tidy=False):
        if before["kind"] == "DestinationRule":
            continue
        old = [route for _section, _at, route in routes(before) if _section == "http"]
        new = [route for _section, _at, route in routes(after) if _section == "http"]
        (at,) = [index for index, route in enumerate(new) if route.get("name") == name]
        if any(route.get("name") == name for route in old):
            continue
        rule = new[at]
        bases = [route for route in new[at + 1 :] if inherited(rule, route)]
        assert bases, rule
        assert any(narrowed(rule, base, case.ask.about["conditions"]) for base in bases)
        # no earlier than a narrower one, but before the first that takes its requests
        for place in range(at + 1, len(new) - 1):
            taken = any(takes(route, witness(match)) for route in new[at + 1 : place + 1] for match in rule["match"])
            if taken or new[place] in bases or not (is_plain(rule) and is_plain(new[place])):
                break
            assert conditions_of(new[place]) <= conditions_of(rule), new[place]
        for request in (witness(match) for route in new for match in route.get("match") or [{}]):
            was = next((route for route in old if takes(route, request)), None)
            now = next((route for route in new if takes(route, request)), None)
            assert now in (was, rule), request
        for request, owner in ((witness(match), route) for route in old for match in route.get("match") or [{}]):
            reached = next((other for other in old if takes(other, request)), None) == owner
            if reached and request["sure"] and all(map(is_plain, old[: old.index(owner)])):
                assert next(other for other in new if takes(other, request)) == owner, f"{owner} is shadowed"


def inherited(rule, base):
    own = {"name", "match", "route", "fault"}
    return {k: v for k, v in rule.items() if k not in own} == {k: v for k, v in base.items() if k not in own}


def narrowed(rule, base, conditions):
    matches = base.get("match") or [{}]
    kept = ("uri", "gateways", "sourceLabels", "authority", "port")
    for match in rule["match"]:
        if not any(all(match.get(key) == (was or {}).get(key) or key in conditions for key in kept) for was in matches):
            return False
    return all(match.get(k) == v or isinstance(v, dict) for match in rule["match"] for k, v in conditions.items())
