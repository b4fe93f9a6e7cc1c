# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_info: read, describe, look at the proxies once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import describe, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.consumers import is_ready
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import World, concerns
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.poll import Poll
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.questions import RoutesInForce
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.reading import Reader

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    "proxies": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30},
}


def core(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return what is known of the traffic of one Service; nothing is written."""
    service = args.service_of(params)
    warnings: list[str] = []
    kube = Kube.connect(params, check_mode)
    world, live = Reader(kube, service, check_mode, warnings).world()
    now = datetime.now(timezone.utc)
    concerned = [obj for obj in world.routes if concerns(obj, service)]
    objects = []
    for obj in concerned:
        found = describe.describe(obj, service, now)
        if params["proxies"] and not kube.absent:
            found["proxies"] = _proxies(kube, obj, params, warnings)
        objects.append(found)
        warnings += [
            f"The fault of {route['name'] or route['route']} of {found['kind']} {model.label(obj)} was to be over"
            f" {route['fault']['expires']}. Any traffic task on {service} removes it."
            for route in found["routes"]
            if route.get("fault", {}).get("expired")
        ]
    return {
        "changed": False,
        "host": service.fqdn,
        "objects": objects,
        "subsets": _subsets(kube, world, live),
        "warnings": warnings,
    }


def _proxies(kube: Any, obj: Mapping[str, Any], params: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    if any(model.spec_of(obj).get(section) for section in ("tcp", "tls")) and not model.spec_of(obj).get("http"):
        return {"current": [], "lagging": {}}  # these routes are not read from the proxies
    question = RoutesInForce(kube, obj, params["cluster_domain"])
    try:
        seen = Poll(kube, question, time.monotonic() + params["timeout"], warnings).round(everyone=True)
    except Forbidden as error:
        warnings.append(f"Which proxies have {model.kind_of(obj)} {model.label(obj)} is not known: {error}")
        return {"current": [], "lagging": {}}
    warnings += list(dict.fromkeys(seen.refused.values()))
    return {"current": sorted(seen.current), "lagging": dict(sorted(seen.lagging.items()))}


def _subsets(kube: Any, world: World, live: Any) -> dict[str, Any]:
    service = world.service
    found = model.subsets_of(model.governing_rules(list(world.rules), service, service.namespace))
    selector = model.dict_of(model.spec_of(live or {}).get("selector"))
    pods = []
    if found and selector:
        chosen = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = [pod for pod in kube.list("v1", "Pod", service.namespace, chosen) if is_ready(pod)]
    return {
        name: {
            "labels": dict(labels),
            "ready_pods": sum(labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in pods),
        }
        for name, labels in found.items()
    }
