# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/traffic.yml with its examples on the lab: said by the check, done, seen, and nothing to do afterwards."""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter

import pytest

from tests.integration.cases import NAMESPACE, entry, virtual_service
from tests.integration.load import gateway_address
from tests.integration.page import versions
from tests.integration.playbooks import KINDS, content, kept, results, send, traffic, writes_of_ours
from tests.support import PROJECT, Run, audit_position, kubectl, play

EXAMPLES = "playbooks/examples"
STAGES = [f"{EXAMPLES}/bookinfo/{path.name}" for path in sorted((PROJECT / EXAMPLES / "bookinfo").glob("[1-5]_*.yml"))]
# of somebody else, who keeps a timeout and sends to the whole Service
BEFORE = virtual_service("reviews", [{"name": "main", "timeout": "9s", "route": [entry("reviews")]}])
PAGES = 30


def move(*arguments: str, code: int = 0) -> Run:
    return play("playbooks/traffic.yml", *arguments, code=code)


def diffs(run: Run) -> list[list[str]]:
    """The changed lines of each diff that a run printed; those around them depend on what was done before."""
    found = re.split(r"^--- before.*\n\+\+\+ after.*\n", run.output, flags=re.MULTILINE)[1:]
    return [[line for line in text.split("\n\n")[0].splitlines() if line[:1] in ("+", "-")] for text in found]


def table(run: Run) -> list[dict[str, str]]:
    """The rows of the printed table, by the words of its head."""
    lines = run.output.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.split() == HEADS)
    columns = [lines[at].index(head) for head in HEADS]
    rows = []
    for line in lines[at + 1 :]:
        if not line.strip():
            break
        cells = [line[start:end].strip() for start, end in zip(columns, [*columns[1:], None])]
        rows.append(dict(zip(HEADS, cells)))
    return rows


HEADS = ["host", "route", "wanted", "effective", "observed"]


def checked_done_done_again(*arguments: str, same_diff: bool = True) -> Run:
    """Checks, runs and runs again, and returns the first run: the check says it, the second one has nothing to do."""
    before = everything()
    said = move(*arguments, "--check", "--diff")
    assert everything() == before
    done = move(*arguments, "--diff")
    assert 0 < said.total_changed == done.total_changed
    assert len(diffs(done)) >= done.total_changed
    assert not same_diff or diffs(said) == diffs(done)
    position = audit_position()
    again = move(*arguments, "--diff")
    assert (again.total_changed, diffs(again), writes_of_ours(position)) == (0, [], [])
    return done


def reviews() -> dict:
    return kubectl("-n", NAMESPACE, "get", "virtualservice", "reviews", "-o", "json")


def seen_with(cookie: str) -> Counter[str]:
    """The versions that pages show to a visitor with a cookie."""
    request = urllib.request.Request(f"http://{gateway_address()}/productpage", headers={"Cookie": cookie})
    pages = [urllib.request.urlopen(request, timeout=10).read().decode() for _number in range(PAGES)]
    return Counter(found[0] for page in pages if (found := re.findall(r"reviews-(v\d)-", page)))


# --- the sequence of Bookinfo ---

SEEN = {
    # by stage: the rows of the table, and what jason and everybody else see
    "1_all_v1": ([["main", "v1 100 %", "v1 100 %, timeout 9s"]], {"v1"}, {"v1"}),
    "2_half_v3": ([["main", "v1 50 %  v3 50 %", "v1 50 %  v3 50 %, timeout 9s"]], {"v1", "v3"}, {"v1", "v3"}),
    "3_all_v3": ([["main", "v3 100 %", "v3 100 %, timeout 9s"]], {"v3"}, {"v3"}),
    "4_jason_v2": (
        [["jason-sees-v2", "v2 100 %", "v2 100 %, timeout 9s"], ["main", "v1 100 %", "v1 100 %, timeout 9s"]],
        {"v2"},
        {"v1"},
    ),
    "5_removed": ([["main", "", "reviews 100 %, timeout 9s"]], {"v1", "v2", "v3"}, {"v1", "v2", "v3"}),
}


@pytest.fixture(scope="module", autouse=True)
def lab_kept():
    with kept():
        yield


@pytest.fixture
def without_route():
    """Nothing routes reviews at first, and all is again as it was afterwards."""
    with kept():
        kubectl("-n", NAMESPACE, "delete", "virtualservice", "reviews", "--ignore-not-found")
        yield


@pytest.fixture(scope="module")
def somebody_elses_route():
    kubectl("-n", NAMESPACE, "delete", "virtualservice", "reviews", "--ignore-not-found")
    send("create", BEFORE)
    return reviews()["spec"]


@pytest.mark.parametrize("stage", STAGES, ids=[path.rsplit("/", 1)[1][:-4] for path in STAGES])
def test_stage_of_bookinfo(somebody_elses_route, stage):
    rows, for_jason, for_others = SEEN[stage.rsplit("/", 1)[1][:-4]]
    done = checked_done_done_again("-e", f"@{stage}")
    print(done.output)
    shown = table(done)
    assert [list(row.values())[:-1] for row in shown] == [["reviews.bookinfo", *row] for row in rows]
    assert all(re.fullmatch(r"in [1-9]\d* proxies", row["observed"]) for row in shown)
    # the page shows black stars for v2, red ones for v3 and none for v1
    assert set(versions("jason")) == for_jason
    assert set(versions("kim")) == set(versions()) == for_others


def test_the_last_stage_restores_what_was_before_the_first(somebody_elses_route):
    assert reviews()["spec"] == somebody_elses_route
    assert "meshops.istio/marks" not in reviews()["metadata"]["annotations"]


def test_without_a_route_before_none_is_left(without_route):
    # in a check the rule cannot see the object that the split is to make
    done = checked_done_done_again("-e", f"@{STAGES[3]}", same_diff=False)
    assert [row["route"] for row in table(done)] == ["jason-sees-v2", "default"]
    done = checked_done_done_again("-e", f"@{STAGES[4]}", same_diff=False)
    assert [list(row.values()) for row in table(done)] == [
        ["reviews.bookinfo", "none", "", "any pod of the Service", ""]
    ]
    assert ("VirtualService", NAMESPACE, "reviews") not in traffic()


# --- the other examples ---


def test_blue_green(without_route):
    example = f"@{EXAMPLES}/blue_green.yml"
    # the subsets are made first, and a check cannot use them before that
    said = move("-e", example, "-e", "live=green", "--check")
    assert "gets the subsets blue, green" in re.sub(r"\s+", " ", said.output)
    for live, version in (("green", "v3"), ("blue", "v1"), ("green", "v3")):
        done = move("-e", example, "-e", f"live={live}")
        assert done.total_changed > 0
        assert move("-e", example, "-e", f"live={live}").total_changed == 0
        (row,) = table(done)
        assert (row["wanted"], row["effective"]) == (f"{live} 100 %", f"{live} 100 %")
        assert set(versions()) == {version}
    checked_done_done_again("-e", example, "-e", "live=blue")


def test_a_b(without_route):
    done = checked_done_done_again("-e", f"@{EXAMPLES}/a_b.yml", same_diff=False)
    print(done.output)
    assert [row["route"] for row in table(done)] == ["group-b", "default"]
    assert seen_with("group=b") == seen_with("theme=dark; group=b") == {"v2": PAGES}
    others = seen_with("group=a") + seen_with("group=bb") + versions()
    # about a tenth: none, or a third, has a chance of one in ten thousand
    assert set(others) == {"v1", "v2"} and 0 < others["v2"] < 33


# --- the rest of the keys ---


def test_every_key_and_its_way_back(without_route):
    jason = {"end-user": {"exact": "jason"}}
    hosts = [
        {
            "host": "reviews.bookinfo",
            "weights": {"v1": 3, "v3": 1},
            "mirror": {"destination": "v2", "percent": 5},
            "rules": [
                {"name": "jason", "headers": jason, "destination": "v2"},
                {
                    "name": "one",
                    "headers": jason,
                    "uri": "/reviews/1",
                    "weights": {"v1": 1, "v2": 1},
                    "before": "jason",
                },
            ],
        },
        {
            "host": "ratings",
            "namespace": NAMESPACE,
            "policy": {"timeout": "3s", "retries": {"attempts": 2}},
            "fault": {"delay": {"duration": "1s", "percent": 5}, "expires": "1h"},
        },
    ]
    send("create", BEFORE)
    before = {key: content(obj)["spec"] for key, obj in traffic().items()}
    # in a check a fault cannot see the object that the policy is to make
    done = checked_done_done_again("-e", json.dumps({"traffic_hosts": hosts}), same_diff=False)
    print(done.output)
    copies = "copies to v2 (5 %)"
    assert [[row["route"], row["effective"]] for row in table(done)[:3]] == [
        ["one", f"v1 50 %  v2 50 %, {copies}, timeout 9s"],
        ["jason", f"v2 100 %, {copies}, timeout 9s"],
        ["main", f"v1 75 %  v3 25 %, {copies}, timeout 9s"],
    ]
    (ratings,) = table(done)[3:]
    assert re.fullmatch(
        r"ratings 100 %, delay 1s \(5 %\) until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, timeout 3s, retries 2",
        ratings["effective"],
    )
    role = {"name": "meshops.istio.traffic", "tasks_from": "remove"}
    task = {"name": "Take it back", "ansible.builtin.include_role": role}
    assert any(result["changed"] for result in results([task], vars={"traffic_hosts": hosts}))
    assert {key: content(obj)["spec"] for key, obj in traffic().items()} == before
    assert not any(result["changed"] for result in results([task], vars={"traffic_hosts": hosts}))


@pytest.mark.parametrize(("pattern", "code"), [("reviews-(v[0-9]+)", 0), ("nobody-(v[0-9]+)", 2)])
def test_answers_are_shown_in_the_table_and_then_judged(without_route, pattern, code):
    probe = {"url": f"http://{gateway_address()}/productpage", "version_pattern": pattern}
    host = {"host": "reviews.bookinfo", "weights": {"v1": 3, "v3": 1}, "probe": probe}
    run = move("-e", json.dumps({"traffic_hosts": [host], "traffic_probe_requests": 100}), code=code)
    print(run.output)
    (row,) = table(run)
    if code:
        assert row["observed"] == "in 6 proxies; no version of 100 requests, errors 100"
        assert run.output.index("observed") < run.output.index(f"100 of 100 requests to {probe['url']} failed")
    else:
        share = r"\d+(\.\d+)? %"
        assert re.fullmatch(rf"in 6 proxies; v1 {share}  v3 {share} of 100 requests, errors 0", row["observed"])


# --- wrong input ---


def everything() -> str:
    found = kubectl("get", f"{KINDS},services", "-n", NAMESPACE, "-o", "json")["items"]
    return json.dumps([[obj["metadata"]["name"], obj["metadata"]["resourceVersion"]] for obj in found])


def refused(hosts: list, *arguments: str) -> str:
    """What a run says that has to refuse these hosts, and touches nothing."""
    before, position = everything(), audit_position()
    run = move("-e", json.dumps({"traffic_hosts": hosts}), *arguments, code=2)
    assert run.total_changed == 0
    assert writes_of_ours(position) == [] and everything() == before
    print(run.output)
    return re.sub(r"\s+", " ", run.output[run.output.index("msg: |-") :])


def test_mistakes_of_two_hosts_are_told_in_one_failure():
    told = refused(
        [
            {
                "host": "reviews.bookinfo",
                "wieghts": {"v1": 1},
                "weights": {"v1": -1},
                "rules": [{"name": "jason", "hedaers": {}, "destination": "v2"}, {"destination": "v2"}],
            },
            {"host": "ratings", "fault": {"dealy": {}}, "policy": 5},
        ],
        "-e",
        "traffic_forse=true",
    )
    for sentence in (
        "8 problems found before anything was changed:",
        "traffic_hosts[0] (reviews.bookinfo) has the key wieghts, which is unknown. Did you mean weights?",
        "traffic_hosts[0] (reviews.bookinfo): The weight of v1 is -1, which is negative.",
        "rules[0] (jason) has the key hedaers, which is unknown. Did you mean headers?",
        "traffic_hosts[0] (reviews.bookinfo): rules[1] has no name. Give it one.",
        "traffic_hosts[1] (ratings): fault has the key dealy, which is unknown. Did you mean delay?",
        "traffic_hosts[1] (ratings): policy is 5. Make it a dictionary.",
        "traffic_hosts[1] (ratings): The namespace of Service ratings is not known. Set namespace.",
        "traffic_forse is not an option of the role traffic. Did you mean traffic_force?",
    ):
        assert sentence in told, sentence


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["run", "check"])
def test_mistakes_that_only_the_cluster_knows_are_told_in_one_failure(arguments):
    rule = {"name": "jason", "headers": {"end-user": {"exact": "jason"}}, "destination": "v8"}
    told = refused(
        [
            {"host": "details.bookinfo", "weights": {"v1": 1}},
            {"host": "reviews.bookinfo", "weights": {"v1": 1, "v9": 1}, "rules": [rule]},
            {
                "host": "ratings.bookinfo",
                "fault": {"delay": {"duration": "soon"}},
                "mirror": {"destination": "v1"},
                "policy": {"retries": {"attempts": "many"}},
            },
            {"host": "reveiws.bookinfo", "weights": {"v1": 1}},
        ],
        *arguments,
    )
    for sentence in (
        "problems found before anything was changed:",
        "reviews.bookinfo: reviews.bookinfo has no subset v9 (subsets: v1, v2, v3).",
        "has no subset v8",
        "ratings.bookinfo: The delay is 'soon', which is no duration of 1ms or more",
        "ratings.bookinfo: percent is missing.",
        "ratings.bookinfo: argument 'attempts' is of type str found in 'retries'",
        # in a check the Service may be one that comes with an earlier task
        *([] if arguments else ["There is no Service reveiws in namespace bookinfo (did you mean: reviews)."]),
    ):
        assert sentence in told, sentence
