# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task of each traffic module, there and back, each on a Service of its own in front of the pods of reviews."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.integration.playbooks import kept
from tests.support import kubectl, kubectl_apply

NAMESPACE = "bookinfo"
API = "networking.istio.io/v1"
OTHER = "check-other"  # a Service beside those of the cases
VERSIONS = ("v1", "v2", "v3")


@dataclass(frozen=True)
class Case:
    """A module, its options to make something (`present`) and to take it back (`absent`, None when it has no way).

    routed: the http routes of a VirtualService of somebody else that is there before, with a DestinationRule for it.
    """

    module: str
    present: dict[str, Any]
    absent: dict[str, Any] | None = None
    routed: Sequence[dict[str, Any]] = ()


def entry(name: str, subset: str | None = None, weight: int | None = None) -> dict[str, Any]:
    """A destination of a route as somebody writes it."""
    where = {"host": name, **({"subset": subset} if subset else {})}
    return {"destination": where, **({} if weight is None else {"weight": weight})}


def _split(name: str) -> dict[str, Any]:
    return {"timeout": "10s", "route": [entry(name, "v1", 50), entry(name, "v3", 50)]}


_NONE: dict[str, Any] = {"state": "absent"}
_JASON = {"name": "jason", "headers": {"end-user": {"exact": "jason"}}}
_CHECK = {"name": "check", "namespace": NAMESPACE}
# by the name of the Service
CASES: dict[str, Case] = {
    "check-split": Case("traffic_split", {"weights": {"v1": 80, "v3": 20}}, _NONE, [_split("check-split")]),
    "check-new": Case("traffic_split", {"weights": {"v1": 1, "v2": 3}}, _NONE),
    "check-services": Case(
        "traffic_split",
        {"weights": {"check-services": 9, OTHER: 1}, "between": "services"},
        {"between": "services", **_NONE},
    ),
    "check-match": Case(
        "traffic_match", {**_JASON, "destination": "v2"}, {"name": "jason", **_NONE}, [_split("check-match")]
    ),
    "check-mirror": Case("traffic_mirror", {"destination": "v3", "percent": 10}, _NONE),
    "check-fault": Case("traffic_fault", {"delay": {"duration": "1s", "percent": 5}, "expires": "30m"}, _NONE),
    "check-policy": Case(
        "traffic_policy", {"timeout": "3s", "retries": {"attempts": 2}}, _NONE, [_split("check-policy")]
    ),
    "check-subset": Case(
        "traffic_subset",
        {"name": "v2", "traffic_policy": {"connectionPool": {"tcp": {"maxConnections": 100}}}},
        {"name": "v2", **_NONE},
    ),
    "check-rollback": Case("traffic_rollback", {"point": "start"}, None, [_split("check-rollback")]),
    "check-info": Case("traffic_info", {}, None, [_split("check-info")]),
    "check-gateway": Case(
        "istio_gateway", {**_CHECK, "hosts": ["check.example.com"], "http_port": 8080}, {**_CHECK, **_NONE}
    ),
}


def options_of(name: str, phase: str) -> dict[str, Any] | None:
    """The options of a case, None when it has no such phase; phase: present or absent."""
    case = CASES[name]
    options = case.present if phase == "present" else case.absent
    if options is None or case.module == "istio_gateway":
        return options
    return {"host": name, "namespace": NAMESPACE, **options}


def tasks(phase: str) -> list[dict[str, Any]]:
    """A task for each case that has this phase, with the name of the case."""
    return [
        {"name": name, f"meshops.istio.{case.module}": options}
        for name, case in CASES.items()
        if (options := options_of(name, phase)) is not None
    ]


def service(name: str) -> dict[str, Any]:
    """A Service in front of the pods of reviews."""
    spec = {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def virtual_service(name: str, routes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A VirtualService of somebody else for a Service."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": API,
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {"hosts": [name], "http": list(routes)},
    }


def destination_rule(name: str) -> dict[str, Any]:
    """A DestinationRule of somebody else with the three versions of reviews."""
    subsets = [{"name": version, "labels": {"version": version}} for version in VERSIONS]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": API,
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": {"host": name, "subsets": subsets},
    }


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """The Services and what somebody else wrote for them; all of it is gone after the block."""
    from tests.integration.tasks import task  # noqa: PLC0415 - the path of the collection comes with it

    services = [service(name) for name in (*CASES, OTHER)]
    with kept():
        try:
            kubectl_apply(*services)
            for name, case in CASES.items():
                if case.routed:
                    kubectl_apply(destination_rule(name), virtual_service(name, case.routed))
            options = {"host": "check-rollback", "namespace": NAMESPACE}
            task("split", **options, weights={"v3": 1}, point="start")
            yield
        finally:
            kubectl("-n", NAMESPACE, "delete", "service", *CASES, OTHER, "--ignore-not-found")
