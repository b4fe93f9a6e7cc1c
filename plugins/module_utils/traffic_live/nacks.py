# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: ask istiod which proxies refused the configuration that it sent (a NACK)."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.consumers import is_ready

_READ = ["pilot-discovery", "request", "GET", "/debug/syncz"]
_SECONDS = 5.0


def refusals(kube: Any, proxies: Collection[str]) -> dict[str, str]:
    """Return in words what each of the proxies (`namespace/name` of the pod) refused last, {} when that is not known.

    What cannot be asked is not known: the wait goes on to its deadline.
    """
    found: dict[str, str] = {}
    try:
        pods = kube.list("v1", "Pod", model.ROOT_NAMESPACE, "app=istiod", cached=True)
        for pod in filter(is_ready, pods):
            text = kube.exec(model.namespace_of(pod), model.name_of(pod), "discovery", _READ, timeout=_SECONDS)
            found.update(refused_in(json.loads(text)))
    except (KubeError, ValueError):
        return {}
    return {label: text for label, text in found.items() if label in proxies}


def refused_in(document: Any) -> dict[str, str]:
    """Return the refusals in the answer of istiod's /debug/syncz, by `namespace/name` of the pod.

    It is a list with an entry for each proxy, which is named `pod.namespace` and has the last error of each type of
    resource, empty after the next one that it took (istio/istio pilot/pkg/xds/debug.go SyncStatus).
    """
    found: dict[str, str] = {}
    for entry in map(model.dict_of, model.list_of(document)):
        name, _dot, namespace = str(entry.get("proxy") or "").rpartition(".")
        for kind, resource in sorted(model.dict_of(entry.get("resources")).items()):
            error = model.dict_of(resource).get("lastError")
            if error and name:
                short = str(kind).rpartition(".")[2]
                found[f"{namespace}/{name}"] = (
                    f"it refused its {short} from istiod: {' '.join(str(error).split())[:300]}"
                )
    return found
