# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the routes of a proxy, wanted and seen, and the difference in words. Pure.

A route of Envoy is described by a Route: what it matches, in words that are the same for the same condition however
it is written, and what it does. The wanted ones are made by envoy_expected, the seen ones by envoy_observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Optional

_CLUSTER = re.compile(r"outbound\|(\d+)\|([^|]*)\|([^|]+)")


@dataclass(frozen=True)
class Cluster:
    """An outbound cluster: the Service `host` at a port, all of it when `subset` is ""."""

    host: str
    port: int
    subset: str = ""

    def __str__(self) -> str:
        return f"outbound|{self.port}|{self.subset}|{self.host}"


@dataclass(frozen=True)
class Route:
    """What a proxy does with the requests of one kind.

    shares: name of a cluster -> share of the requests, none for a redirect or a direct response; mirrors: name of a
    cluster -> share of the requests copied to it; fault: in words, "" for none; timeout: in seconds, 0 for none;
    retries: attempts after the first one, None where the mesh decides.
    """

    match: str
    shares: Mapping[str, Fraction]
    mirrors: Mapping[str, Fraction] = field(default_factory=dict)
    fault: str = ""
    timeout: Fraction = Fraction(0)
    retries: Optional[int] = None
    name: str = ""


def parse_cluster(name: Any) -> Optional[Cluster]:
    """Return the outbound cluster with this name, None when the name is that of another kind."""
    found = _CLUSTER.fullmatch(name) if isinstance(name, str) else None
    return Cluster(found[3], int(found[1]), found[2]) if found else None


def difference(expected: Iterable[Route], observed: Iterable[Route]) -> list[str]:
    """Return one sentence for each way in which the observed routes are not the expected ones; [] when they are.

    The order counts, as the first route that matches a request is taken.
    """
    wanted, seen = list(expected), list(observed)
    if [route.match for route in wanted] != [route.match for route in seen]:
        return _other_routes([route.match for route in wanted], [route.match for route in seen])
    return [text for pair in zip(wanted, seen) for text in _other_action(*pair)]


def _other_routes(wanted: list[str], seen: list[str]) -> list[str]:
    missing = [f"no route for {match}" for match in wanted if match not in seen]
    surplus = [f"still a route for {match}" for match in seen if match not in wanted]
    if missing or surplus:
        return missing + surplus
    return [f"the routes in the order {', '.join(seen)} instead of {', '.join(wanted)}"]


def _other_action(wanted: Route, seen: Route) -> list[str]:
    found = []
    if wanted.shares != seen.shares:
        found.append(f"{in_words(seen.shares) or 'no cluster'} instead of {in_words(wanted.shares) or 'no cluster'}")
    if wanted.mirrors != seen.mirrors:
        found.append(f"mirror {in_words(seen.mirrors) or 'nowhere'} instead of {in_words(wanted.mirrors) or 'nowhere'}")
    if wanted.fault != seen.fault:
        found.append(f"{seen.fault or 'no fault'} instead of {wanted.fault or 'no fault'}")
    if wanted.timeout != seen.timeout:
        found.append(f"timeout {float(seen.timeout):g} s instead of {float(wanted.timeout):g} s")
    if wanted.retries is not None and wanted.retries != (seen.retries or 0):
        found.append(f"{seen.retries or 0} retries instead of {wanted.retries}")
    return [f"{text} for {wanted.match}" for text in found]


def in_words(shares: Mapping[str, Fraction]) -> str:
    """Return `v1 of reviews.bookinfo 90 %, ...` for the shares of clusters."""
    return ", ".join(f"{_short(name)} {round(float(share * 100), 2):g} %" for name, share in sorted(shares.items()))


def _short(name: str) -> str:
    cluster = parse_cluster(name)
    if cluster is None:
        return name
    host = cluster.host.split(".svc.", 1)[0]
    return f"{cluster.subset} of {host}" if cluster.subset else host


def required_clusters(routes: Iterable[Route]) -> set[str]:
    """Return the clusters that have to be in a proxy before it may have these routes."""
    return {name for route in routes for name in (*route.shares, *route.mirrors)}


def missing_clusters(routes: Iterable[Route], present: Iterable[str]) -> list[str]:
    """Return those clusters of the routes that a proxy with the clusters `present` does not have, by name."""
    return sorted(required_clusters(routes) - set(present))


def named_clusters(document: Any) -> set[Cluster]:
    """Return all outbound clusters that a proxy's configuration names: routes, mirrors, tcp proxies, in any notation.

    document: JSON of routes and listeners (the listeners have the tcp routes).
    """
    return {cluster for text in _strings(document) if (cluster := parse_cluster(text))}


def unnamed_subsets(host: str, subsets: Iterable[str], documents: Iterable[Any]) -> list[str]:
    """Return those subsets of the host that no route in any of the documents names: they may be dropped."""
    named = {cluster.subset for doc in documents for cluster in named_clusters(doc) if cluster.host == host}
    return [subset for subset in subsets if subset not in named]


def _strings(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
