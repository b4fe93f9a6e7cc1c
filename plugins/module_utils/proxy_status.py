# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which proxies are connected to istiod, and whether they have what it sent.

Asked from istiod itself, by a command in its pod: istioctl has it as JSON only since 1.30, and would need a port.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.mesh_state import revision_of
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, model

SYNCED, STALE, NOT_SENT, REFUSED = "synced", "stale", "not_sent", "refused"
NOT_CONNECTED, UNKNOWN = "not_connected", "unknown"
_READ = ["pilot-discovery", "request", "GET", "/debug/syncz"]
_SECONDS = 10.0
_AGAIN_SECONDS = 0.5
# a proxy may be told nothing of the other types for as long as there is nothing to tell
_NEEDED = ("Cluster", "Listener")
_WORST_LAST = (SYNCED, NOT_SENT, STALE, REFUSED)
# istiod before 1.23 has only these, not `resources`
_OLD = {
    "Cluster": "cluster",
    "Listener": "listener",
    "RouteConfiguration": "route",
    "ClusterLoadAssignment": "endpoint",
}


def read(kube: Any, patience: float = 5.0) -> dict[str, dict[str, Any]]:
    """Return all connected proxies by `namespace/pod`, as parse() has them, with `revision` and `istiod` beside.

    Asks again for up to `patience` seconds while a proxy has not confirmed what it was sent a moment ago.
    Raises KubeError when an istiod cannot be asked, the one for missing rights included.
    """
    deadline = time.monotonic() + patience
    while True:
        found: dict[str, dict[str, Any]] = {}
        for pod in filter(consumers.is_ready, kube.list("v1", "Pod", None, "app=istiod")):
            name, namespace = model.name_of(pod), model.namespace_of(pod)
            text = kube.exec(namespace, name, "discovery", _READ, timeout=_SECONDS)
            about = {"revision": revision_of(pod), "istiod": f"{namespace}/{name}"}
            for label, row in _parsed(text, f"{namespace}/{name}").items():
                merge(found, label, {**row, **about})
        moving = any(row["state"] in (STALE, NOT_SENT) for row in found.values())
        if not moving or time.monotonic() + _AGAIN_SECONDS > deadline:
            return found
        time.sleep(_AGAIN_SECONDS)


def _parsed(text: str, istiod: str) -> dict[str, dict[str, Any]]:
    try:
        return parse(text)
    except ValueError as error:
        raise KubeError(
            f"Cannot read which proxies are connected: istiod {istiod} answered no list ({text[:100]!r});"
            " see whether ENABLE_DEBUG_ON_HTTP is off."
        ) from error


def merge(found: dict[str, dict[str, Any]], label: str, row: dict[str, Any]) -> None:
    """Add a proxy to those found; one that has just moved to another istiod is seen twice, its better state counts."""
    known = found.get(label)
    if known is None or _WORST_LAST.index(row["state"]) < _WORST_LAST.index(known["state"]):
        found[label] = row


def parse(text: str) -> dict[str, dict[str, Any]]:
    """Return type, version, state and detail of each proxy in the answer of /debug/syncz, by `namespace/pod`.

    `detail` says which resources are not as they should be, and why. ValueError for what is no such answer.
    """
    document = json.loads(text)
    if not isinstance(document, list):
        raise ValueError("no list")
    found: dict[str, dict[str, Any]] = {}
    for entry in map(model.dict_of, document):
        name, _dot, namespace = str(entry.get("proxy") or "").rpartition(".")
        if name:
            state, detail = judged(entry)
            row = {
                "type": str(entry.get("proxy_type") or ""),
                "version": str(entry.get("istio_version") or ""),
                "state": state,
                "detail": detail,
            }
            merge(found, f"{namespace}/{name}", row)
    return found


def judged(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return the worst state of a proxy's resources, and what is wrong in words."""
    states = {kind: _state(kind, resource) for kind, resource in _resources(entry).items()}
    worst = max((state for state, _error in states.values()), key=_WORST_LAST.index, default=NOT_SENT)
    detail = [f"{kind}: {error}" if error else kind for kind, (state, error) in states.items() if state == worst]
    return worst, "" if worst == SYNCED else ", ".join(detail)


def _resources(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    listed = model.dict_of(entry.get("resources"))
    if listed:
        return {str(url).rpartition(".")[2]: model.dict_of(listed[url]) for url in sorted(listed)}
    return {
        kind: {"sent": entry.get(f"{word}_sent"), "acked": entry.get(f"{word}_acked")} for kind, word in _OLD.items()
    }


def _state(kind: str, resource: Mapping[str, Any]) -> tuple[str, Optional[str]]:
    """As istiod itself judges (istio/istio pilot/pkg/xds/statusgen.go), but that not every type has to be sent."""
    if resource.get("lastError"):
        return REFUSED, " ".join(str(resource["lastError"]).split())[:300]
    if not resource.get("sent"):
        return (NOT_SENT if kind in _NEEDED else SYNCED), None
    return (SYNCED if resource.get("acked") == resource["sent"] else STALE), None
