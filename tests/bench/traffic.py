# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench: the traffic tasks on the built lab, one against kubernetes.core.k8s, as a table. Never a test."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.integration.load import gateway_address
from tests.integration.tasks import task
from tests.support import KUBECONFIG, audit_position, kubectl, kubectl_apply, on, play

TASKS = 20  # in one play
ROUNDS = 5
CHANGES = 100
NAMESPACE = "bench"
HOST = {"host": "reviews", "namespace": "bookinfo"}
GATEWAY_HOST = "bench.example.com"


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def row(what: str, value: str, note: str = "") -> None:
    """Prints a line of the table."""
    sys.stdout.write(f"| {what} | {value} | {note} |\n")


def main() -> int:
    """Prints all rows."""
    task("split", **HOST, weights={"v1": 50, "v3": 50})
    sys.stdout.write("| what | median | |\n|---|---|---|\n")
    against_kubernetes_core()
    kubectl_apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        to_the_proof()
        growth_with_routes()
        growth_with_proxies()
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    requests_of_an_unchanged_run()
    return 0


# --- a task against a task ---


def plays(folder: str) -> dict[str, Path]:
    """Three playbooks: nothing, TASKS weight changes by traffic_split, the same by kubernetes.core.k8s."""
    weights = [{"v1": 90 - number, "v3": 10 + number} for number in range(TASKS)]
    ours = [{"meshops.istio.traffic_split": {**HOST, "weights": one, "wait": False}} for one in weights]
    theirs = [
        {
            "kubernetes.core.k8s": {
                "state": "patched",
                "api_version": "networking.istio.io/v1",
                "kind": "VirtualService",
                "name": "reviews",
                "namespace": "bookinfo",
                "definition": {"spec": {"http": [{"route": _route(one)}]}},
            }
        }
        for one in weights
    ]
    found = {}
    for name, tasks in (("nothing", []), ("ours", ours), ("theirs", theirs)):
        defaults = {group: {"kubeconfig": str(KUBECONFIG)} for group in ("group/meshops.istio.mesh", "group/k8s")}
        one = {"hosts": "mesh", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}
        found[name] = Path(folder) / f"{name}.yml"
        found[name].write_text(json.dumps([one]), encoding="utf-8")
    return found


def _route(weights: dict[str, int]) -> list[dict]:
    return [{"destination": {"host": "reviews", "subset": name}, "weight": weight} for name, weight in weights.items()]


def against_kubernetes_core() -> None:
    """One weight change, marginal: a play of TASKS less an empty play, in turn."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        books = plays(folder)
        for _number in range(ROUNDS):
            nothing = seconds(lambda: play(str(books["nothing"])))
            ours.append((seconds(lambda: play(str(books["ours"]))) - nothing) / TASKS)
            theirs.append((seconds(lambda: play(str(books["theirs"]))) - nothing) / TASKS)
    one, other = statistics.median(ours), statistics.median(theirs)
    row("weight change, a task of `kubernetes.core.k8s`", f"{1000 * other:.0f} ms", "1")
    row("weight change, a task of `traffic_split`", f"{1000 * one:.0f} ms", f"1/{other / one:.1f} of that")


# --- from the start of a task to the proof ---


def gateway_route(name: str, routes: int) -> dict:
    """A VirtualService at the gateway with that many routes, the last of them a split of reviews."""
    others = [
        {
            "name": f"r{number}",
            "match": [{"uri": {"exact": f"/{number}"}}],
            "route": [{"destination": {"host": "ratings"}}],
        }
        for number in range(routes - 1)
    ]
    split = {"route": _route({"v1": 50, "v3": 50})}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"hosts": [GATEWAY_HOST], "gateways": ["bookinfo-gateway"], "http": [*others, split]},
    }


def changes(number: int, **options: object) -> Iterator[float]:
    """Seconds of each of that many weight changes, proof included."""
    for one in range(number):
        weights = {"v1": 10 + one % 80, "v3": 90 - one % 80}
        yield seconds(lambda weights=weights: task("split", **HOST, weights=weights, **options))


def to_the_proof() -> None:
    """A change at the gateway, proved in its Envoy."""
    kubectl_apply(gateway_route("bench", 1))
    try:
        times = sorted(changes(CHANGES, virtual_service="bench"))
    finally:
        kubectl("-n", "bookinfo", "delete", "virtualservice", "bench")
    p99 = times[int(0.99 * len(times)) - 1]
    row(
        f"start of a task to the proof in the gateway's Envoy, {CHANGES} changes",
        f"{statistics.median(times):.2f} s",
        f"p99 {p99:.2f} s",
    )


def growth_with_routes() -> None:
    """The same with 1 and with 50 routes in the object."""
    found = {}
    for routes in (1, 50):
        kubectl_apply(gateway_route("bench", routes))
        try:
            found[routes] = statistics.median(changes(30, virtual_service="bench"))
        finally:
            kubectl("-n", "bookinfo", "delete", "virtualservice", "bench")
    row("the same, 1 route in the object", f"{found[1]:.2f} s", "1")
    row("the same, 50 routes in the object", f"{found[50]:.2f} s", f"{found[50] / found[1]:.1f} for 50 x")


def growth_with_proxies() -> None:
    """A change of a mesh route with few and with 30 proxies to prove it in."""
    few = _proxies()
    first = statistics.median(changes(20))
    more = max(0, 30 - few)
    image = kubectl("-n", "bookinfo", "get", "pods", "-l", "app=ratings", "-o", "json")["items"][0]["spec"][
        "containers"
    ]
    app = next(container["image"] for container in image if container["name"] != "istio-proxy")
    template = {
        "metadata": {"labels": {"app": "idle", "sidecar.istio.io/inject": "true"}},
        "spec": {"containers": [{"name": "idle", "image": app}]},
    }
    spec = {"replicas": more, "selector": {"matchLabels": {"app": "idle"}}, "template": template}
    kubectl_apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "idle", "namespace": NAMESPACE},
            "spec": spec,
        }
    )
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/idle", "--timeout=300s")
    many = _proxies()
    second = statistics.median(changes(20))
    row(f"change of a mesh route, {few} proxies", f"{first:.2f} s", "1")
    row(f"change of a mesh route, {many} proxies", f"{second:.2f} s", f"{second / first:.1f} for {many / few:.1f} x")


def _proxies() -> int:
    (obj,) = [item for item in task("info", **HOST)["objects"] if item["name"] == "reviews"]
    return len(obj["proxies"]["current"])


def requests_of_an_unchanged_run() -> None:
    """What a task asks of the API server when there is nothing to do, by its audit log."""
    task("split", **HOST, weights={"v1": 50, "v3": 50})
    position = audit_position()
    assert not task("split", **HOST, weights={"v1": 50, "v3": 50})["changed"]
    lines = on("n1", "tail", "-n", f"+{position + 1}", "/var/log/kubernetes/audit.log").splitlines()
    events = [event for event in map(json.loads, lines) if event["user"]["username"] == "kubernetes-admin"]
    verbs = [event["verb"] for event in events if event.get("userAgent") == "meshops.istio"]
    row("requests of an unchanged run", f"{len(verbs)}", ", ".join(f"{verbs.count(v)} {v}" for v in sorted(set(verbs))))


if __name__ == "__main__":
    gateway_address()
    sys.exit(main())
