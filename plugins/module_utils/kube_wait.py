# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: wait for one object by a watch that survives being cut off."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import kube_paths
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import (
    RETRIABLE,
    KubeError,
    Unreachable,
    WaitTimeout,
)

if TYPE_CHECKING:
    from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube

_AGAIN_SECONDS = 0.2  # between two tries where no watch is possible: the kind is not served yet, a watch was cut off


class Place(NamedTuple):
    """Where an object is; `namespace` is None for what has none."""

    api_version: str
    kind: str
    name: str
    namespace: str | None


def wait(kube: Kube, place: Place, predicate: Callable[[dict | None], bool], timeout: float) -> dict:
    """Return the object ({} when absent) once `predicate` holds; WaitTimeout after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    last: dict | None = None
    while True:
        for last in _states(kube, place, deadline):
            if predicate(last):
                return last or {}
            if time.monotonic() >= deadline:
                break
        if time.monotonic() + _AGAIN_SECONDS >= deadline:
            what = kube_paths.describe(place.kind, place.name, place.namespace)
            raise WaitTimeout(f"{what} was not as wanted within {timeout:.0f} s.", last)
        time.sleep(_AGAIN_SECONDS)


def _states(kube: Kube, place: Place, deadline: float) -> Iterator[dict | None]:
    """Yield the object as it is, then after each event, until the watch ends for whatever reason."""
    resource = kube.resource(place.api_version, place.kind)
    if resource is None:
        yield None
        return
    path = kube_paths.collection_path(resource, (place.namespace or "default") if resource.namespaced else None)
    what = f"watch {kube_paths.describe(place.kind, place.name, place.namespace)}"
    query = {"fieldSelector": f"metadata.name={place.name}"}
    found = kube.transport.request("GET", path, what, query)
    items = found.get("items") or []
    yield {"apiVersion": place.api_version, "kind": place.kind, **items[0]} if items else None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        return
    query.update(
        watch="true",
        resourceVersion=found["metadata"]["resourceVersion"],
        timeoutSeconds=str(max(1, math.ceil(seconds))),
    )
    try:
        for event in kube.transport.stream(path, what, query, seconds):
            if event["type"] == "ERROR":  # usually 410: too old, read again
                return
            yield None if event["type"] == "DELETED" else event["object"]
    except KubeError as error:
        if not isinstance(error, Unreachable) and error.status not in (*RETRIABLE, 410):
            raise
