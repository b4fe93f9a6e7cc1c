# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of traffic objects, found without the code under test: shares, differences, validity, lost requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction

FQDN = "reviews.bookinfo.svc.cluster.local"
BOOKKEEPING = ("meshops.istio/journal", "meshops.istio/marks")
ENTRIES = {"http": "route", "tcp": "route", "tls": "route", "rules": "backendRefs"}
PLAIN = {"uri", "headers", "queryParams", "name", "statPrefix"}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"(\d+(?:\.\d*)?)(h|ms|m|s)")
_MILLISECONDS = {"h": 3600000, "m": 60000, "s": 1000, "ms": 1}


def is_whole(value) -> bool:
    """Whether a value is a whole number, which true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def key_of(obj) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def full_name(host: str, namespace: str) -> str:
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.cluster.local"


def destination(obj, entry) -> tuple | None:
    """Return host, subset and port of a destination of an object, None when it has none."""
    namespace = obj["metadata"]["namespace"]
    entry = entry if isinstance(entry, dict) else {}
    if obj["kind"] != "VirtualService":
        host = f"{entry.get('name')}.{entry.get('namespace') or namespace}.svc.cluster.local"
        kind = entry.get("group") or "", entry.get("kind") or "Service"
        return (host if kind == ("", "Service") else f"{kind} {host}"), "", entry.get("port")
    where = entry.get("destination")
    if not where or not where.get("host"):
        return None
    return full_name(where["host"], namespace), where.get("subset") or "", (where.get("port") or {}).get("number")


def routes(obj) -> Iterator[tuple[str, int, dict]]:
    for section in ENTRIES:
        if (section == "rules") == (obj["kind"] != "VirtualService"):
            for index, route in enumerate(obj["spec"].get(section) or []):
                yield section, index, route


def entries(section: str, route: dict) -> list:
    return route.get(ENTRIES[section]) or []


def senders(world) -> list[tuple[dict, str, int]]:
    """Return the routes with an entry of the Service."""
    return [
        (obj, section, index)
        for obj in world.routes
        for section, index, route in routes(obj)
        if any((destination(obj, entry) or ("",))[0] == FQDN for entry in entries(section, route))
    ]


def shares(obj, section: str, route: dict) -> dict[tuple, Fraction]:
    """Return the share of each destination of a route as the proxies have it; those without requests are left out."""
    found = entries(section, route)
    absent = 1 if section == "rules" else 0
    weights = [absent if entry.get("weight") is None else entry["weight"] for entry in found]
    if len(found) == 1 and section != "rules":
        weights = [1]
    total = sum(weights)
    result: dict[tuple, Fraction] = {}
    for entry, weight in zip(found, weights):
        where = destination(obj, entry) or ("", "", None)
        if weight:
            result[where] = result.get(where, Fraction(0)) + Fraction(weight, total)
    return result


# which DestinationRule a client of a namespace has for a host


def governing(rules, host: str, client: str) -> list[dict]:
    owner = host.split(".")[1] if host.endswith(".svc.cluster.local") else ""
    for namespace in (client, owner, "istio-system"):
        fitting = []
        for rule in rules:
            name = full_name(rule["spec"]["host"], rule["metadata"]["namespace"])
            if rule["metadata"]["namespace"] == namespace and (
                name == host or (name.startswith("*") and host.endswith(name[1:]))
            ):
                fitting.append((not name.startswith("*"), len(name), name, rule))
        if fitting:
            best = max(fit[:3] for fit in fitting)
            return [fit[3] for fit in fitting if fit[:3] == best]
    return []


def subset_names(rules) -> set[str]:
    return {subset["name"] for rule in rules for subset in rule["spec"].get("subsets") or []}


def dangling(world) -> set[str]:
    """Return the subsets of the Service that some route mentions, with requests or without, and that are not there."""
    found = set()
    for obj in world.routes:
        for section, _index, route in routes(obj):
            mirrors = [*(route.get("mirrors") or []), {"destination": route.get("mirror")}]
            for entry in (*entries(section, route), *(mirrors if section == "http" else ())):
                where = destination(obj, entry) or ("", "", None)
                found |= {where[1]} if where[0] == FQDN else set()
    return found - {""} - subset_names(governing(world.rules, FQDN, "bookinfo"))


def subsets_there(world) -> list[str]:
    return sorted(subset_names(governing(world.rules, FQDN, "bookinfo")))


def named(obj) -> set[tuple[str, str]]:
    """Return host and subset of each destination to which an object sends requests or copies of them."""
    found = set()
    for section, _index, route in routes(obj) if obj else ():
        found |= {where[:2] for where in shares(obj, section, route)}
        if section == "http":
            mirrors = [*(route.get("mirrors") or []), {"destination": route.get("mirror")}]
            found |= {where[:2] for where in (destination(obj, mirror) for mirror in mirrors) if where}
    return {(host, subset) for host, subset in found if host and not host.startswith("(")}


def lost(world) -> set[tuple]:
    """Return the destinations with requests or copies of them whose subset is not there for the route's namespace."""
    return {
        (key_of(obj), host, subset)
        for obj in world.routes
        for host, subset in named(obj)
        if subset and subset not in subset_names(governing(world.rules, host, obj["metadata"]["namespace"]))
    }


# differences


def canonical(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def without(obj, *annotations: str) -> dict:
    """Return an object without annotations of ours, and without an empty place for annotations."""
    left = {key: text for key, text in (obj["metadata"].get("annotations") or {}).items() if key not in annotations}
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    return {**obj, "metadata": {**metadata, **({"annotations": left} if left else {})}}


def everything(world, *annotations: str) -> dict[tuple, str]:
    """Return the whole world as text by object."""
    return {key_of(obj): canonical(without(obj, *annotations)) for obj in (*world.routes, *world.rules)}


def leaves(value, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, json.dumps(value)


def changed(before, after) -> set[str]:
    """Return the paths of the leaves that are not the same in both, to the letter."""
    one, other = dict(leaves(before)), dict(leaves(after))
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def tokens(value) -> set[str]:
    return set(re.findall(r"odd-\d+\b", json.dumps(value)))


def shuffled(value, random):
    """Return the same data with the keys of all objects in another order."""
    if isinstance(value, list):
        return [shuffled(inner, random) for inner in value]
    if isinstance(value, dict):
        keys = list(value)
        random.shuffle(keys)
        return {key: shuffled(value[key], random) for key in keys}
    return value


# which route takes a request


def witness(match) -> dict:
    """Return a request that a match takes, and as few other ones as possible; sure: whether it says all of it."""
    match = match or {}
    request = {"uri": "/zzz", "headers": {}, "queryParams": {}, "match": match, "sure": True}
    uri = match.get("uri") or {}
    if "regex" in uri:
        request["uri"] = "/api/9!" if uri["regex"] == "/api/.*" else "/zzz"
    else:
        prefix = uri.get("prefix") or "/"
        request["uri"] = uri.get("exact") or prefix + ("zzz" if prefix.endswith("/") else "")
    for name in ("headers", "queryParams"):
        for key, value in (match.get(name) or {}).items():
            text = value.get("exact") or (value["prefix"] + "~" if "prefix" in value else "j~n")
            request[name][key] = text
    request["sure"] = "regex" not in uri and set(match) <= PLAIN
    return request


def conditions_of(route) -> int:
    """Return how many conditions the widest match of a plain route has."""
    found = []
    for match in route.get("match") or [{}]:
        uri = (match or {}).get("uri") or {}
        anything = not uri or uri in ({"prefix": "/"}, {"regex": ".*"}, {"regex": "*"}, {"prefix": ""})
        maps = [(match or {}).get(name) or {} for name in ("headers", "queryParams")]
        found.append((0 if anything else 1) + sum(map(len, maps)))
    return min(found)


def is_plain(route) -> bool:
    """Tell whether it is known for every request whether the route takes it."""
    return all(set(match or {}) <= PLAIN for match in route.get("match") or [{}])


def takes(route, request) -> bool:
    return any(_fits(match or {}, request) for match in route.get("match") or [{}])


def _fits(match, request) -> bool:
    if set(match) - PLAIN - {"withoutHeaders", "ignoreUriCase"}:
        return match == request["match"]  # of the rest only the same is known to fit
    texts = [(match.get("uri"), request["uri"])]
    for name in ("headers", "queryParams"):
        texts += [(value, request[name].get(key)) for key, value in (match.get(name) or {}).items()]
    if any(request["headers"].get(key) is not None for key in match.get("withoutHeaders") or ()):
        return False
    return all(_string_fits(*pair) for pair in texts)


def _string_fits(condition, text) -> bool:
    if condition is None:
        return True
    if text is None:
        return False
    if "exact" in condition:
        return text == condition["exact"]
    if "prefix" in condition:
        return text.startswith(condition["prefix"])
    return condition.get("regex", "*") == "*" or re.fullmatch(condition["regex"], text) is not None


# what the API server and istiod refuse (istio/istio pkg/config/validation, and the CRDs)


def problems(obj) -> set[str]:
    """Return the kinds of defects of an object; none when it is valid."""
    if obj["kind"] == "DestinationRule":
        return set(_rule_problems(obj["spec"]))
    if obj["kind"] != "VirtualService":
        return set(_gateway_problems(obj["spec"]))
    return set(_virtual_service_problems(obj["spec"]))


def _rule_problems(spec) -> Iterator[str]:
    if not spec.get("host"):
        yield "a rule without host"
    names = [subset.get("name") or "" for subset in spec.get("subsets") or []]
    if not all(_LABEL.fullmatch(name) for name in names):
        yield "a subset with a bad name"
    if len(names) != len(set(names)):
        yield "a subset twice"


def _gateway_problems(spec) -> Iterator[str]:
    if not 1 <= len(spec.get("rules") or []) <= 16:
        yield "number of rules"
    for rule in spec.get("rules") or []:
        backends = rule.get("backendRefs") or []
        if len(backends) > 16:
            yield "number of backends"
        for backend in backends:
            weight = backend.get("weight", 1)
            if not is_whole(weight) or not 0 <= weight <= 10**6:
                yield "weight of a backend"
            if not backend.get("name") or not 1 <= (backend.get("port") or 0) <= 65535:
                yield "a backend without name or port"


def _virtual_service_problems(spec) -> Iterator[str]:
    delegate = not spec.get("hosts")
    if delegate and (spec.get("gateways") or spec.get("tcp") or spec.get("tls")):
        yield "a delegate with more than http"
    if not any(spec.get(section) for section in ("http", "tcp", "tls")):
        yield "no routes"
    for section in ("tcp", "tls"):
        for route in spec.get(section) or []:
            yield from _destination_problems(route.get("route") or [])
    for route in spec.get("http") or []:
        yield from _http_problems(route, delegate)


def _http_problems(route, delegate: bool) -> Iterator[str]:
    actions = [name for name in ("redirect", "directResponse", "delegate") if route.get(name) is not None]
    if route.get("delegate") is not None and delegate:
        yield "a delegate of a delegate"
    if len(actions) + bool(route.get("route")) != 1:
        yield "not one action"
    if actions and actions != ["delegate"] and (route.get("fault") is not None or route.get("rewrite") is not None):
        yield "fault or rewrite of an action"
    if route.get("mirror") is not None and route.get("mirrors"):
        yield "mirror and mirrors"
    mirrors = route.get("mirrors") or []
    yield from _destination_problems(mirrors, weights=False)
    percentages = [mirror.get("percentage") for mirror in mirrors]
    percentages.append(route.get("mirrorPercentage"))
    fault = route.get("fault")
    if fault is not None:
        yield from _fault_problems(fault)
        percentages += [(fault.get(part) or {}).get("percentage") for part in ("delay", "abort")]
    if not all(0 <= (percentage or {}).get("value", 0) <= 100 for percentage in percentages):
        yield "a percentage"
    retries = route.get("retries")
    if retries is not None:
        attempts = retries.get("attempts") or 0
        others = ("perTryTimeout", "retryOn", "retryRemoteLocalities")
        if attempts < 0 or (not attempts and any(retries.get(name) is not None for name in others)):
            yield "retries without attempts"
        if not _lasts(retries.get("perTryTimeout")):
            yield "perTryTimeout"
    if not _lasts(route.get("timeout")):
        yield "timeout"
    yield from _destination_problems(route.get("route") or [])


def _destination_problems(found: list, weights: bool = True) -> Iterator[str]:
    for entry in found:
        where = entry.get("destination") or {}
        if not where.get("host") or where["host"] == "*":
            yield "no destination"
        if where.get("subset") and not _LABEL.fullmatch(where["subset"]):
            yield "a bad subset"
        if where.get("port") is not None and not 1 <= where["port"].get("number", 0) <= 65535:
            yield "a bad port"
        weight = entry.get("weight")
        if weight is not None and (not is_whole(weight) or not 0 <= weight < 2**31):
            yield "a bad weight"
    total = sum(entry.get("weight") or 0 for entry in found)
    if weights and len(found) > 1 and not 0 < total < 2**31:
        yield "sum of weights"


def _fault_problems(fault) -> Iterator[str]:
    delay, abort = fault.get("delay"), fault.get("abort")
    if delay is None and abort is None:
        yield "a fault of nothing"
    if delay is not None and ("exponentialDelay" in delay or not _lasts(delay.get("fixedDelay"))):
        yield "a bad delay"
    if abort is not None:
        given = [name for name in ("httpStatus", "grpcStatus", "http2Error") if name in abort]
        if len(given) > 1 or "http2Error" in given or not 200 <= abort.get("httpStatus", 200) <= 600:
            yield "a bad abort"


def _lasts(text) -> bool:
    """Tell whether a duration, if one is given, is one of whole milliseconds, at least one."""
    if text is None:
        return True
    parts = _DURATION.findall(text)
    length = sum(Fraction(number) * _MILLISECONDS[unit] for number, unit in parts)
    return "".join(map("".join, parts)) == text and length >= 1 and length.denominator == 1
