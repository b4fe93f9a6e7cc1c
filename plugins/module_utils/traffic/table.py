# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is wanted, written and seen of the traffic of many hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import words
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, model

_HEADS = ("host", "route", "wanted", "effective", "observed")
# the keys of an entry of traffic_hosts and the types of their values
_TYPES: dict[str, type] = {
    "host": str,
    "namespace": str,
    "virtual_service": str,
    "route": str,
    "between": str,
    "subsets": list,
    "policy": dict,
    "mirror": dict,
    "weights": dict,
    "rules": list,
    "fault": dict,
    "probe": dict,
}
_WORDS = {str: "a text", list: "a list", dict: "a dictionary"}
# the options of the modules that the parts of an entry are handed to, by the key of the part
PARTS: dict[str, tuple[str, ...]] = {
    "subsets": ("name", "labels", "traffic_policy", "state"),
    "policy": ("timeout", "retries"),
    "mirror": ("destination", "percent"),
    "rules": (
        *("name", "uri", "method", "scheme", "authority", "headers", "without_headers", "query_params"),
        *("source_labels", "source_namespace", "gateways", "port", "ignore_uri_case"),
        *("destination", "weights", "before", "after"),
    ),
    "fault": ("delay", "abort", "expires"),
    "probe": (
        *("url", "resolve", "headers", "validate_certs", "new_connections"),
        *("version_pattern", "version_header", "version_field"),
    ),
}


def problems(hosts: Any) -> list[str]:
    """Return a sentence for each thing in the variable traffic_hosts that cannot be meant."""
    if not isinstance(hosts, list):
        return [f"traffic_hosts is {hosts!r}. Make it a list with an entry for each host."]
    found = []
    for number, entry in enumerate(hosts):
        where = f"traffic_hosts[{number}]"
        if not isinstance(entry, dict) or not entry.get("host"):
            found.append(f"{where} has no host. Give it the name of a Service.")
        if isinstance(entry, dict):
            name = f"{where} ({entry['host']})" if entry.get("host") else where
            found += _unknown(name, entry, tuple(_TYPES))
            found += [f"{name}: {text}" for text in _wrong(entry)]
    return found


def _unknown(where: str, given: Mapping[str, Any], known: Sequence[str]) -> Iterable[str]:
    for key in sorted(map(str, set(given) - set(known))):
        guess = words.nearest(key, known)
        hint = f"Did you mean {guess}?" if guess else f"Use {', '.join(known)}."
        yield f"{where} has the key {key}, which is unknown. {hint}"


def _wrong(entry: Mapping[str, Any]) -> Iterable[str]:
    fitting = {key: entry[key] for key, kind in _TYPES.items() if isinstance(entry.get(key), kind)}
    for key in sorted(_TYPES.keys() & entry.keys() - fitting.keys()):
        yield f"{key} is {entry[key]!r}. Make it {_WORDS[_TYPES[key]]}."
    if fitting.get("between", "subsets") not in ("subsets", "services"):
        yield f"between is {fitting['between']!r}. Use subsets or services."
    if "probe" in fitting and not fitting["probe"].get("url"):
        yield "probe has no url. Say where its requests go."
    for key, known in PARTS.items():
        value = fitting.get(key, {})
        yield from _in_list(key, value) if isinstance(value, list) else _unknown(key, value, known)
    if entry.get("host") and "host" in fitting:
        try:
            model.service_of(entry["host"], fitting.get("namespace"))
        except MeshopsError as error:
            yield str(error)
    for weights in (fitting.get("weights"), *(rule.get("weights") for rule in _dicts(fitting.get("rules")))):
        try:
            edit.parse_weights(weights if isinstance(weights, dict) and weights else {"any": 1})
        except MeshopsError as error:
            yield str(error)


def _in_list(key: str, items: Sequence[Any]) -> Iterable[str]:
    names = [item.get("name") for item in _dicts(items)]
    for number, item in enumerate(items):
        where = f"{key}[{number}]"
        if not isinstance(item, dict):
            yield f"{where} is {item!r}. Make it a dictionary."
            continue
        if not item.get("name"):
            yield f"{where} has no name. Give it one."
        yield from _unknown(f"{where} ({item['name']})" if item.get("name") else where, item, PARTS[key])
        if item.get("state", "present") not in ("present", "absent"):
            yield f"{where} has the state {item['state']!r}. Use present or absent."
    yield from (
        f"{key} has the name {name} twice. Remove one."
        for name in sorted({n for n in names if n and names.count(n) > 1})
    )


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in model.list_of(value) if isinstance(item, dict)]


def rows(
    hosts: Sequence[Mapping[str, Any]], infos: Sequence[Mapping[str, Any]], probes: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each route of each host.

    infos, probes: the results of traffic_info and traffic_probe, in the order of the hosts; probes may be skipped ones.
    """
    found = []
    for number, entry in enumerate(hosts):
        info = infos[number] if number < len(infos) else {}
        probe = probes[number] if number < len(probes) else {}
        host = str(info.get("host") or entry["host"]).partition(".svc.")[0]
        routes = [(obj, route) for obj in info.get("objects") or [] for route in obj["routes"]]
        defaults = [route for _obj, route in routes if _is_default(route)]
        if not routes:
            wanted = _wanted(entry, {"rule": "", "default": True})
            found.append(_row(host, "none", wanted, "any pod of the Service", _answers(probe)))
        for obj, route in routes:
            mine = _is_default(route)
            name = "default" if [route] == defaults and not route["name"] else route["name"] or route["route"]
            effective = filter(None, [_shares(route["effective"]) or route.get("action", ""), *_extras(route)])
            seen = filter(None, [_proxies(obj), _answers(probe) if mine else ""])
            found.append(
                _row(host, route["rule"] or name, _wanted(entry, route), ", ".join(effective), "; ".join(seen))
            )
    return found


def _row(*cells: str) -> dict[str, str]:
    return dict(zip(_HEADS, cells))


def _is_default(route: Mapping[str, Any]) -> bool:
    return bool(route["default"] and not route["rule"])


def _wanted(entry: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    if route["rule"]:
        rule: Optional[Mapping[str, Any]] = next(
            (item for item in _dicts(entry.get("rules")) if item.get("name") == route["rule"]), None
        )
        weights = ({rule["destination"]: 1} if rule.get("destination") else rule.get("weights")) if rule else None
    else:
        weights = entry.get("weights") if route["default"] else None
    return _shares(edit.percentages(edit.parse_weights(weights))) if weights else ""


def _shares(percent: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {share:g} %" for name, share in percent.items() if share)


def _extras(route: Mapping[str, Any]) -> Iterable[str]:
    fault = model.dict_of(route.get("fault"))
    parts = [_injected(kind, part) for kind, part in model.dict_of(fault.get("what")).items()]
    if parts:
        until = f" until {fault['expires']}" if fault.get("expires") else ""
        yield f"{' and '.join(parts)}{until}"
    if route.get("mirror"):
        yield f"copies to {_destination(route['mirror'])}"
    for mirror in _dicts(route.get("mirrors")):
        yield f"copies to {_destination(mirror.get('destination'))}{_percent(mirror)}"
    if route.get("timeout"):
        yield f"timeout {route['timeout']}"
    if "attempts" in model.dict_of(route.get("retries")):
        yield f"retries {route['retries']['attempts']}"


def _injected(kind: str, part: Any) -> str:
    values = model.dict_of(part)
    value = next((f" {values[key]}" for key in ("fixedDelay", "httpStatus", "grpcStatus") if key in values), "")
    return f"{kind}{value}{_percent(values)}"


def _destination(where: Any) -> str:
    return str(model.dict_of(where).get("subset") or model.dict_of(where).get("host"))


def _percent(part: Mapping[str, Any]) -> str:
    share = model.dict_of(part.get("percentage")).get("value")
    return "" if share in (None, 100) else f" ({share:g} %)"


def _proxies(obj: Mapping[str, Any]) -> str:
    proxies = obj.get("proxies")
    if not proxies:
        return ""
    lagging = f", not yet in {len(proxies['lagging'])}" if proxies["lagging"] else ""
    number = len(proxies["current"])
    return f"in {number} {'proxy' if number == 1 else 'proxies'}{lagging}"


def _answers(probe: Mapping[str, Any]) -> str:
    if not probe.get("requests"):
        return ""
    errors = sum((probe.get("errors") or {}).values())
    shares = _shares(probe.get("percent") or {}) or "no version"
    return f"{shares} of {probe['requests']} requests, errors {errors}"


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a table with a head, columns parted by two blanks."""
    lines = [_HEADS, *([str(row.get(head, "")) for head in _HEADS] for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
