# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which subsets a proxy can send to, and which its routes and listeners name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Subset

_CLUSTER = re.compile(r"outbound\|\d*\|(?P<subset>[^|]*)\|(?P<host>[^|]+)")


def missing(document: Any, wanted: Iterable[Subset]) -> Optional[str]:
    """Return in words which subset a proxy has no healthy endpoint of, "" when there is none.

    document: the answer of Envoy's `clusters?format=json`. None when the proxy knows none of the hosts at all: a
    Sidecar object keeps them from it.
    """
    healthy: dict[Subset, int] = {}
    for status in model.list_of(model.dict_of(document).get("cluster_statuses")):
        found = _CLUSTER.fullmatch(str(model.dict_of(status).get("name")))
        if found:
            key = Subset(found["host"], found["subset"])
            healthy[key] = healthy.get(key, 0) + _healthy(status)
    hosts = {subset.host for subset in healthy}
    asked = [subset for subset in wanted if subset.host in hosts]
    if not asked:
        return None
    for subset in asked:
        if not healthy.get(subset):
            what = f"subset {subset.name} of {subset.host}" if subset.name else subset.host
            return f"no healthy endpoint of {what}" if subset in healthy else f"no cluster for {what}"
    return ""


def _healthy(status: Mapping[str, Any]) -> int:
    # a cluster that Envoy resolves by itself, such as one by DNS, has no state from istiod
    states = [model.dict_of(host.get("health_status")) for host in model.list_of(status.get("host_statuses"))]
    return sum(state.get("eds_health_status", "HEALTHY") == "HEALTHY" for state in states)


def named_by_routes(document: Any, subsets: Iterable[Subset]) -> str:
    """Return the first of the subsets that a route or a listener of a proxy names, "" when none does.

    document: the answer of Envoy's `config_dump`; only its routes and listeners are looked at.
    """
    going = set(subsets)
    for section in model.list_of(model.dict_of(document).get("configs")):
        kind = str(model.dict_of(section).get("@type", ""))
        if not kind.endswith(("RoutesConfigDump", "ListenersConfigDump")):
            continue
        for text in _texts(section):
            found = _CLUSTER.fullmatch(text)
            if found and Subset(found["host"], found["subset"]) in going:
                return f"subset {found['subset']} of {found['host']}"
    return ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
