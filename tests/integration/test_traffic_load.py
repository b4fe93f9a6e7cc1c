# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No request is lost: over a hundred changes in a row, over runs that are killed at each write, over two writers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from tests.integration.load import through_the_gateway, through_the_sidecar
from tests.integration.tasks import task
from tests.support import PROJECT, environment, kubectl, kubectl_apply

REVIEWS = {"host": "reviews", "namespace": "bookinfo"}
PAGE = {"host": "productpage", "namespace": "bookinfo", "virtual_service": "bookinfo", "route": "http[0]"}
NO_TIMEOUT = '[{"op": "remove", "path": "/spec/http/0/timeout"}]'
JASON = {"name": "jason", "headers": {"end-user": {"exact": "jason"}}}


@pytest.fixture(scope="module", autouse=True)
def reviews_as_it_was():
    task("split", **REVIEWS, weights={"v1": 50, "v3": 50})
    yield
    task("match", **REVIEWS, name="jason", state="absent")
    task("split", **REVIEWS, weights={"v1": 50, "v3": 50})
    kubectl("delete", "namespace", "load", "--ignore-not-found", "--wait=false")


def changes(number: int):
    """One round of changes, each of which has to change something."""
    extra = {"name": f"extra{number}", "labels": {"version": "v2"}}
    yield "subset", {**REVIEWS, **extra}
    yield "split", {**REVIEWS, "weights": {"v1": 40, "v3": 40, extra["name"]: 20}}
    yield "match", {**REVIEWS, **JASON, "destination": extra["name"]}
    yield "split", {**PAGE, "between": "services", "weights": {"productpage": 1 + number % 2, "productpage-twin": 1}}
    yield "match", {**REVIEWS, "name": "jason", "state": "absent"}
    yield "split", {**REVIEWS, "weights": {"v1": 10 + number, "v3": 90 - number}}
    # its entry without weight still names the subset
    yield "split", {**REVIEWS, "state": "absent"}
    yield "subset", {**REVIEWS, "name": extra["name"], "state": "absent"}


def test_a_hundred_changes_under_load_lose_no_request():
    twin = kubectl("-n", "bookinfo", "get", "service", "productpage", "-o", "json")
    kubectl_apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "productpage-twin", "namespace": "bookinfo"},
            "spec": {"ports": twin["spec"]["ports"], "selector": twin["spec"]["selector"]},
        }
    )
    made = 0
    try:
        with (
            through_the_sidecar("http://reviews.bookinfo:9080/reviews/0") as inside,
            through_the_gateway("/productpage", b"Reviews served by") as gate,
        ):
            for number in range(13):
                for name, options in changes(number):
                    result = task(name, **options)
                    assert result["changed"], (name, options)
                    made += 1
    finally:
        task("split", **PAGE, between="services", state="absent")
        kubectl("-n", "bookinfo", "delete", "service", "productpage-twin")
    print(f"{made} changes\nthrough the sidecar\n{inside.table()}\nthrough the gateway\n{gate.table()}")
    assert made >= 100
    assert inside.good > 1000 and gate.good > 1000
    assert not inside.failed and not gate.failed


SPLIT = {"host": "fresh", "namespace": "bookinfo", "weights": {"v1": 3, "v2": 1}}
KILLED = [
    ("split", SPLIT, 2),
    ("split", {**SPLIT, "weights": {"v2": 1, "v3": 1}}, 2),
    ("match", {"host": "fresh", "namespace": "bookinfo", **JASON, "destination": "v1"}, 1),
    ("match", {"host": "fresh", "namespace": "bookinfo", "name": "jason", "state": "absent"}, 1),
    ("split", {"host": "fresh", "namespace": "bookinfo", "state": "absent"}, 2),
]


def objects_of_fresh() -> str:
    """The objects of the Service fresh as text, without what counts or dates writes."""
    found = kubectl("-n", "bookinfo", "get", "virtualservices,destinationrules", "-o", "json")["items"]
    mine = [item for item in found if item["metadata"]["name"] == "fresh"]
    return json.dumps([[item["kind"], item["spec"], item["metadata"].get("labels")] for item in mine], sort_keys=True)


def killed(name: str, options: dict, number: int, moment: str) -> int:
    argv = [sys.executable, "-m", "tests.integration.killed", name, json.dumps(options), str(number), moment]
    return subprocess.run(argv, cwd=PROJECT, env=environment(), check=False).returncode


def test_killed_at_each_write_and_started_again_loses_no_request_and_ends_the_same():
    ports = [{"name": "http", "port": 9080}]
    kubectl_apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "fresh", "namespace": "bookinfo"},
            "spec": {"ports": ports, "selector": {"app": "reviews"}},
        }
    )
    try:
        ends = []
        for name, options, _writes in KILLED:
            assert task(name, **options)["changed"]
            ends.append(objects_of_fresh())
        with through_the_sidecar("http://fresh.bookinfo:9080/reviews/0") as watched:
            kills = 0
            for number, moment in ((1, "before"), (1, "after"), (2, "before"), (2, "after")):
                for (name, options, writes), end in zip(KILLED, ends):
                    code = killed(name, options, number, moment)
                    assert code == (-9 if number <= writes else 0), (name, number, moment)
                    kills += code == -9
                    task(name, **options)
                    assert objects_of_fresh() == end, (name, number, moment)
        print(f"{kills} runs killed\n{watched.table()}")
        assert watched.good > 500
        assert not watched.failed
        assert objects_of_fresh() == "[]"
    finally:
        kubectl("-n", "bookinfo", "delete", "service", "fresh")


def test_two_writers_lose_no_update():
    task("split", **REVIEWS, weights={"v1": 50, "v3": 50})
    annotate = ("-n", "bookinfo", "annotate", "virtualservice", "reviews", "--overwrite")
    kubectl(*annotate, "other/count=0")
    stop, counted, problems = threading.Event(), [0], []

    def other_writer() -> None:
        """Counts up a field of its own, by reading and replacing the whole object as kubectl edit does."""
        while not stop.is_set():
            count = counted[0]
            live = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")
            mine = live["metadata"].setdefault("annotations", {}).get("other/count", "0")
            if mine != str(count):
                problems.append(f"{mine} instead of {count}")
            live["metadata"]["annotations"]["other/count"] = str(count + 1)
            live["spec"]["http"][0]["timeout"] = f"{10 + count % 5}s"
            counted[0] += replaced(live)

    thread = threading.Thread(target=other_writer)
    thread.start()
    try:
        number = 0
        while number < 30 or (counted[0] < 12 and thread.is_alive()):
            number += 1
            wanted = {"v1": 1 + number, "v3": 100}
            assert task("split", **REVIEWS, weights=wanted, wait=False)["changed"]
            live = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")
            weights = {entry["destination"]["subset"]: entry["weight"] for entry in live["spec"]["http"][0]["route"]}
            assert weights == wanted
    finally:
        stop.set()
        thread.join()
    live = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")
    assert problems == []
    assert counted[0] >= 12
    assert live["metadata"]["annotations"]["other/count"] == str(counted[0])
    kubectl(*annotate, "other/count-")
    kubectl("-n", "bookinfo", "patch", "virtualservice", "reviews", "--type=json", "-p", NO_TIMEOUT)


def replaced(live: dict) -> bool:
    """Whether a replace by kubectl went through; False on a conflict."""
    argv = ["docker", "exec", "-i", "meshops-n1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
    result = subprocess.run(
        [*argv, "replace", "-f", "-"], input=json.dumps(live), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 or "Conflict" in result.stderr, result.stderr
    return result.returncode == 0
