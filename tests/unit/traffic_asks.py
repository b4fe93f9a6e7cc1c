# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a world of traffic_worlds: each intent, the same in other words, and what takes it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from random import Random

from traffic_checks import senders, subsets_there
from traffic_worlds import FQDN, SERVICE, SUBSETS

from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, faults, intents, matches
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Intent, World
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
TAKING_BACK = ("unsplit", "no_rule", "no_mirror", "no_fault", "no_route_policy", "no_subset")


@dataclass(frozen=True)
class Ask:
    """One intent; twins: the same in other words; inverse: what takes it back; about: what it names, by keyword."""

    name: str
    intent: Intent
    request: Request
    twins: tuple[Intent, ...] = ()
    inverse: Intent | None = None
    about: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.name} {self.request.virtual_service} {self.request.route} {self.about}"


def _request(random: Random, world: World, sections: tuple[str, ...] = ("http", "tcp", "tls", "rules")) -> Request:
    """Return a request without weights, in most cases for one of the routes that send to the Service."""
    there = [found for found in senders(world) if found[1] in sections]
    if not there or random.random() < 0.2:
        return Request(SERVICE, {}, route=random.choice((None, None, None, "all", "http[0]", "nothing")))
    obj, section, index = random.choice(there)
    name = obj["spec"][section][index].get("name")
    route = random.choice(
        (f"{section}[{index}]", name or f"{section}[{index}]", None if random.random() < 0.4 else name)
    )
    meta = obj["metadata"]
    api = "gateway" if section == "rules" else random.choice(("istio", None))
    return Request(SERVICE, {}, f"{meta['namespace']}/{meta['name']}", route, api=api)


def _weights(random: Random, world: World, request: Request) -> tuple[dict, bool]:
    gateway = request.api == "gateway" or (request.route or "").startswith("rules")
    numbers = random.choice(([90, 10, 0], [1, 1, 1], [0, 3, 1], [100, 0, 0], [50, 50, 7], [10**6, 1, 0], [2**30, 5, 5]))
    if gateway or random.random() < 0.15:
        names = random.choice((["reviews", "reviews-v2"], ["reviews", "reviews-v2", "reviews-v3"], ["reviews"]))
        port = random.choice((":9080", ""))
        weights = {name + port: number for name, number in zip(names, numbers)}
    else:
        known = subsets_there(world) or list(SUBSETS)
        pool = known if random.random() < 0.75 else [*SUBSETS, "v4"]
        weights = dict(zip(random.sample(pool, random.randint(1, min(3, len(pool)))), numbers))
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    return edit.parse_weights(weights), gateway or ":" in next(iter(weights)) or "reviews" in weights


def _times(weights: dict, factor: int) -> dict:
    return {name: weight * factor for name, weight in reversed(weights.items())}


def _split(random: Random, world: World) -> Ask:
    request = _request(random, world)
    weights, services = _weights(random, world, request)
    request = replace(request, weights=weights, services=services)
    twin = replace(request, weights=_times(weights, random.choice((2, 3, 10))))
    fits = max(twin.weights.values()) <= 10**6
    return Ask(
        "split",
        lambda found: intents.split(found, request),
        request,
        (lambda found: intents.split(found, twin),) if fits else (),
        lambda found: intents.unsplit(found, request),
        {"weights": weights},
    )


def _unsplit(random: Random, world: World, like: Ask | None = None) -> Ask:
    request = replace(like.request if like else _request(random, world), weights={})
    return Ask("unsplit", lambda found: intents.unsplit(found, request), request)


def _rule(random: Random, world: World) -> Ask:
    request = _request(random, world, ("http",))
    if (request.route or "").startswith("http["):
        request = replace(request, route=None)  # a position would mean another route as soon as the rule is there
    weights, services = _weights(random, world, replace(request, api="istio"))
    weights = {} if random.random() < 0.15 else weights
    request = replace(request, weights=weights, services=services)
    fields = {}
    while not fields:
        for name, share, values in (
            ("headers", 0.6, ({"end-user": "jason"}, {"x-canary": {"present": True}}, {"end-user": {"prefix": "ja"}})),
            ("uri", 0.2, ({"prefix": "/api"}, "/health", {"regex": "/api/[a-z]+"})),
            ("queryParams", 0.1, ({"debug": "1"},)),
            ("sourceLabels", 0.1, ({"app": "productpage"},)),
            ("method", 0.1, ("GET",)),
        ):
            if random.random() < share:
                fields[name] = random.choice(values)
    name = random.choice(("canary", "beta", "a"))
    rule = Rule(name, matches.parse(fields))
    twin = replace(request, weights=_times(weights, 2)) if weights and max(weights.values()) < 2**29 else request
    return Ask(
        "rule",
        lambda found: intents.rule(found, request, rule),
        request,
        (lambda found: intents.rule(found, twin, rule),),
        lambda found: intents.no_rule(found, request, name),
        {"name": name, "conditions": rule.conditions, "weights": weights},
    )


def _no_rule(random: Random, world: World, like: Ask | None = None) -> Ask:
    request = replace(like.request if like else _request(random, world, ("http",)), weights={})
    name = like.about["name"] if like and "name" in like.about else random.choice(("canary", "beta", "a"))
    return Ask("no_rule", lambda found: intents.no_rule(found, request, name), request, about={"name": name})


def _mirror(random: Random, world: World) -> Ask:
    request = _request(random, world, ("http", "tcp"))
    where = random.choice(
        (
            *(Destination(FQDN, name) for name in subsets_there(world) or SUBSETS),
            Destination(FQDN, "v4"),
            Destination("audit.bookinfo.svc.cluster.local"),
            Destination("ratings.bookinfo.svc.cluster.local", "v1"),
            Destination(FQDN, "", 9080),
        )
    )
    percent = random.choice((100, 50, 0.5, 12.5, 0))
    return Ask(
        "mirror",
        lambda found: intents.mirror(found, request, where, percent),
        request,
        (lambda found: intents.mirror(found, request, where, float(percent)),),
        lambda found: intents.no_mirror(found, request, where),
        {"where": where, "percent": percent},
    )


def _no_mirror(random: Random, world: World, like: Ask | None = None) -> Ask:
    request = like.request if like else _request(random, world, ("http",))
    where = random.choice((None, like.about.get("where") if like else None))
    return Ask("no_mirror", lambda found: intents.no_mirror(found, request, where), request)


def fault(random: Random, world: World, when: datetime = NOW) -> Ask:
    request = _request(random, world, ("http", "rules"))
    kinds = random.choice((("delay",), ("abort",), ("delay", "abort")))
    length, same = random.choice((("2s", "2000ms"), ("250ms", "0.25s"), ("1m", "60s")))
    percent, status = random.choice((100, 50, 0.1)), random.choice((503, "418", "UNAVAILABLE", 599))
    expires = random.choice(("", "", "30m", "2026-03-02T00:00:00Z"))
    delay = faults.delay(length, percent) if "delay" in kinds else None
    abort = faults.abort(status, percent) if "abort" in kinds else None
    wanted = faults.Fault(delay, abort, expires, when)
    twin = replace(wanted, delay=faults.delay(same, float(percent)) if delay else None)
    return Ask(
        "fault",
        lambda found: intents.fault(found, request, wanted),
        request,
        (lambda found: intents.fault(found, request, twin),),
        lambda found: intents.no_fault(found, request),
        {"delay": delay, "abort": abort, "expires": expires},
    )


def _no_fault(random: Random, world: World, like: Ask | None = None) -> Ask:
    request = like.request if like else _request(random, world, ("http",))
    return Ask("no_fault", lambda found: intents.no_fault(found, request), request)


def _route_policy(random: Random, world: World) -> Ask:
    request = _request(random, world, ("http",))
    timeout, same = random.choice(
        ((None, None), ("5s", "5000ms"), ("0s", "0ms"), ("1.5s", "1500ms"), ("10s", "10.0s"), ("1.5ms", "1.5ms"))
    )
    retries = random.choice(
        (
            None,
            {"attempts": 3},
            {"attempts": 0},
            {"attempts": 2, "perTryTimeout": "2s"},
            {"perTryTimeout": "500ms"},
            {"attempts": 5, "retryOn": "5xx,reset"},
        )
    )
    retries = {"attempts": 3} if timeout is None and retries is None else retries
    return Ask(
        "route_policy",
        lambda found: intents.route_policy(found, request, timeout, retries),
        request,
        (lambda found: intents.route_policy(found, request, same, retries),),
        lambda found: intents.no_route_policy(found, request),
        {"timeout": timeout, "retries": retries},
    )


def _no_route_policy(random: Random, world: World, like: Ask | None = None) -> Ask:
    request = like.request if like else _request(random, world, ("http",))
    return Ask("no_route_policy", lambda found: intents.no_route_policy(found, request), request)


def _subset(random: Random, world: World) -> Ask:
    name = random.choice(("v4", "v5", *SUBSETS))
    labels = random.choice((None, {"version": name}, {"track": "canary", "version": "v9"}))
    policy = random.choice((None, {"connectionPool": {"tcp": {"maxConnections": 5}}}, {"tls": {"mode": "DISABLE"}}))
    return Ask(
        "subset",
        lambda found: intents.subset(found, name, labels, policy),
        Request(SERVICE, {}),
        (),
        lambda found: intents.no_subset(found, name),
        {"subset": name, "labels": labels, "policy": policy},
    )


def _no_subset(random: Random, world: World, like: Ask | None = None) -> Ask:
    name = like.about["subset"] if like and "subset" in like.about else random.choice((*SUBSETS, "v4"))
    ask = Request(SERVICE, {})
    return Ask("no_subset", lambda found: intents.no_subset(found, name), ask, about={"subset": name})


MAKERS: dict[str, Callable[..., Ask]] = {
    "split": _split,
    "unsplit": _unsplit,
    "rule": _rule,
    "no_rule": _no_rule,
    "mirror": _mirror,
    "no_mirror": _no_mirror,
    "fault": fault,
    "no_fault": _no_fault,
    "route_policy": _route_policy,
    "no_route_policy": _no_route_policy,
    "subset": _subset,
    "no_subset": _no_subset,
}
SETTING = tuple(name for name in MAKERS if name not in TAKING_BACK)
OPPOSITE = dict(zip(TAKING_BACK, ("split", "rule", "mirror", "fault", "route_policy", "subset")))
