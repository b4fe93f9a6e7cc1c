# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What traffic.yml says of its input and of what came of it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.traffic import describe, faults, journal, rules, table
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import (
    fault,
    match,
    mirror,
    policy,
    probe,
    subset,
)

REVIEWS = Service("reviews", "bookinfo")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
REVIEW = {"host": "a.b"}


def vs():
    route = [{"destination": {"host": "reviews", "subset": s}, "weight": w} for s, w in (("v1", 3), ("v3", 1))]
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    return {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": ["reviews"], "http": [{"route": route}]}}


def with_rule_and_fault():
    rule = rules.Rule("jason", {"headers": {"end-user": {"exact": "jason"}}}, {Destination(REVIEWS.fqdn, "v2"): 1})
    obj = rules.set_rule(vs(), 0, REVIEWS, rule)
    return faults.set_fault(obj, 1, faults.Fault(delay=faults.delay("2s", 10), expires="2025-12-31T00:00:00Z"))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, "traffic_hosts[0] has no host. Give it the name of a Service."),
        ("reviews", "traffic_hosts[0] has no host."),
        (
            {**REVIEW, "wieghts": {}},
            "traffic_hosts[0] (a.b) has the key wieghts, which is unknown. Did you mean weights?",
        ),
        ({**REVIEW, "zzzzzz": 1}, "has the key zzzzzz, which is unknown. Use host, namespace, virtual_service, route,"),
        ({**REVIEW, "weights": {"v1": -1}}, "traffic_hosts[0] (a.b): The weight of v1 is -1, which is negative."),
        ({**REVIEW, "weights": 5}, "traffic_hosts[0] (a.b): weights is 5. Make it a dictionary."),
        ({**REVIEW, "rules": None}, "rules is None. Make it a list."),
        ({**REVIEW, "rules": ["r"]}, "rules[0] is 'r'. Make it a dictionary."),
        ({**REVIEW, "rules": [{"name": "r", "weights": {"v1": 0}}]}, "The weights of v1 are all zero."),
        ({**REVIEW, "rules": [{"name": "r"}, {"name": "r"}]}, "rules has the name r twice."),
        (
            {**REVIEW, "rules": [{"name": "r", "hedaers": {}}]},
            "rules[0] (r) has the key hedaers, which is unknown. Did you",
        ),
        ({**REVIEW, "fault": {"dealy": {}}}, "fault has the key dealy, which is unknown. Did you mean delay?"),
        ({**REVIEW, "subsets": [{}]}, "subsets[0] has no name. Give it one."),
        (
            {**REVIEW, "subsets": [{"name": "v1", "state": "gone"}]},
            "subsets[0] has the state 'gone'. Use present or absent.",
        ),
        ({**REVIEW, "between": "pods"}, "between is 'pods'. Use subsets or services."),
        ({**REVIEW, "probe": {"resolve": "10.0.0.1"}}, "probe has no url. Say where its requests go."),
        ({"host": "a"}, "traffic_hosts[0] (a): The namespace of Service a is not known. Set namespace."),
    ],
)
def test_what_is_wrong_with_the_variable(entry, sentence):
    (problem,) = table.problems([entry])
    assert sentence in problem


def test_everything_wrong_is_told_at_once():
    found = table.problems([{"weights": 5}, {**REVIEW, "hots": 1, "rules": [{"weights": {"v1": -1}}]}])
    assert len(found) == 5
    assert table.problems({"host": "a"}) == [
        "traffic_hosts is {'host': 'a'}. Make it a list with an entry for each host."
    ]


def test_nothing_is_wrong_with_a_good_one():
    rule = {"name": "r", "destination": "v2"}
    assert table.problems([{**REVIEW, "weights": {}, "rules": [rule], "fault": {}, "subsets": [{"name": "v2"}]}]) == []


@pytest.mark.parametrize(
    ("key", "core"),
    [("subsets", subset), ("policy", policy), ("mirror", mirror), ("rules", match), ("fault", fault), ("probe", probe)],
)
def test_parts_are_options_of_their_modules(key, core):
    assert set(table.PARTS[key]) <= set(core.ARGS)
    if core is not probe:
        # the rest is the same for all parts of a host
        common = {"host", "namespace", "cluster_domain", "kubeconfig", "context", "virtual_service", "route", "between"}
        common |= {"require_ready", "wait", "wait_timeout", "force", "point", "state"}
        assert set(core.ARGS) - set(table.PARTS[key]) <= common


def test_what_an_object_does():
    found = describe.describe(with_rule_and_fault(), REVIEWS, NOW)
    rule, default = found["routes"]
    assert (rule["rule"], rule["effective"], rule["default"]) == ("jason", {"v2": 100}, False)
    assert (default["route"], default["effective"], default["default"]) == ("http[0]", {"v1": 75, "v3": 25}, True)
    assert default["fault"]["expired"] and default["fault"]["ours"]
    assert (found["journal"], found["edited_by_hand"]) == ([], False)


def test_a_hand_edit_is_shown_leaf_by_leaf():
    written = journal.record(None, vs(), "split", journal.Stamp("2026-01-01T00:00:00Z", "me"))
    assert not describe.describe(written, REVIEWS, NOW)["edited_by_hand"]
    written["spec"]["http"][0]["route"][0]["weight"] = 4
    written["spec"]["http"][0]["timeout"] = "3s"
    found = describe.describe(written, REVIEWS, NOW)
    assert found["edited_by_hand"]
    assert found["hand_edits"] == ["spec.http[0].route[0].weight: 3 is 4", "spec.http[0].timeout: nothing is 3s"]
    assert found["journal"][0]["by"] == "me"


def test_rows_and_their_text():
    info = {"host": REVIEWS.fqdn, "objects": [describe.describe(with_rule_and_fault(), REVIEWS, NOW)]}
    info["objects"][0]["proxies"] = {"current": ["a", "b"], "lagging": {"c": "late"}}
    rule = {"name": "jason", "destination": "v2"}
    hosts = [{"host": "reviews.bookinfo", "weights": {"v1": 3, "v3": 1}, "rules": [rule]}, {"host": "other"}]
    probe = {"requests": 200, "percent": {"v1": 74.5, "v3": 25.5}, "errors": {}}
    found = table.rows(hosts, [info, {"host": "other.x.svc.cluster.local", "objects": []}], [probe, {"skipped": True}])
    assert [(row["route"], row["wanted"]) for row in found] == [
        ("jason", "v2 100 %"),
        ("default", "v1 75 %  v3 25 %"),
        ("none", ""),
    ]
    assert found[0]["observed"] == "in 2 proxies, not yet in 1"
    assert found[1]["effective"] == "v1 75 %  v3 25 %, delay 2s (10 %) until 2025-12-31T00:00:00Z"
    assert found[1]["observed"] == "in 2 proxies, not yet in 1; v1 74.5 %  v3 25.5 % of 200 requests, errors 0"
    assert (found[2]["host"], found[2]["effective"]) == ("other.x", "any pod of the Service")
    lines = table.text(found).splitlines()
    assert lines[0].split() == ["host", "route", "wanted", "effective", "observed"]
    assert len(lines) == 4
    assert len({line.index(row["route"]) for line, row in zip(lines[1:], found)}) == 1


def test_what_else_a_route_does_is_shown():
    route = {
        "route": "http[0]",
        "name": "main",
        "rule": "",
        "default": True,
        "effective": {"v1": 100},
        "timeout": "3s",
        "retries": {"attempts": 2},
        "mirrors": [{"destination": {"host": "reviews", "subset": "v3"}, "percentage": {"value": 10}}],
        "fault": {"what": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}, "expires": ""},
    }
    (row,) = table.rows([REVIEW], [{"host": "a.b.svc.cluster.local", "objects": [{"routes": [route]}]}], [])
    assert row == {
        "host": "a.b",
        "route": "main",
        "wanted": "",
        "effective": "v1 100 %, abort 503, copies to v3 (10 %), timeout 3s, retries 2",
        "observed": "",
    }
