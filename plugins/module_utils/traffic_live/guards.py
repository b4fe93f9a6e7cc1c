# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what refuses a planned change before its first write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model, owners, shadows
from ansible_collections.meshops.istio.plugins.module_utils.traffic.consumers import is_ready
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Plan
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Subset

_MOVERS = ("Flagger", "Argo Rollouts")


def refuse_managed(plan: Plan, live: Optional[Mapping[str, Any]]) -> None:
    """Refuse to edit what another tool manages; `live` is the Service."""
    touched = [change.before for change in plan.changes if change.before]
    for obj in [*touched, *([live] if live and plan.changes else [])]:
        tool = owners.manager_of(obj)
        # the Service itself is not edited: only who moves its traffic is in the way
        if tool and (obj is not live or tool.startswith(_MOVERS)):
            raise MeshopsError(
                f"{obj.get('kind', 'Service')} {model.label(obj)} is managed by {tool}, which would undo this change or"
                " work against it. Make it there, or set force to true."
            )


def refuse_without_effect(plan: Plan) -> None:
    """Refuse to put something into a VirtualService that another one keeps from having effect."""
    after = plan.main.after
    if plan.takes_back or after is None or after.get("kind") != "VirtualService":
        return
    problem = shadows.problem(after, plan.world.after(plan.changes).routes, plan.world.service.domain)
    if problem:
        raise MeshopsError(problem)


def refuse_unready(kube: Any, plan: Plan, live: Optional[Mapping[str, Any]]) -> None:
    """Refuse to send requests to a subset or a Service without a ready pod; Services without selector are passed."""
    if not plan.steps:
        return
    rules = plan.world.after(plan.changes).rules
    for subset in plan.needs:
        service = _service(kube, subset, live, plan)
        selector = model.dict_of(model.spec_of(service or {}).get("selector"))
        if not selector:
            continue  # its endpoints are not chosen by labels of pods, or it is not there yet in check mode
        namespace = model.namespace_of(service)
        labels = _labels(subset, rules, plan)
        chosen = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        # what is at hand mostly suffices; only a refusal has to be sure
        if not any(
            _has_ready(kube.list("v1", "Pod", namespace, chosen, cached=cached), labels) for cached in (True, False)
        ):
            raise MeshopsError(_unready(subset, labels or selector, plan))


def _service(kube: Any, subset: Subset, live: Optional[Mapping[str, Any]], plan: Plan) -> Optional[Mapping[str, Any]]:
    service = plan.world.service
    if subset.host == service.fqdn:
        return live
    name, namespace = subset.host.split(".")[:2]
    found = kube.get("v1", "Service", name, namespace)
    if found is None and not kube.absent:
        raise MeshopsError(
            f"There is no Service {name} in namespace {namespace}, requests sent there would fail. Correct weights."
        )
    return found


def _labels(subset: Subset, rules: Sequence[Mapping[str, Any]], plan: Plan) -> Mapping[str, str]:
    if not subset.name:
        return {}
    name, namespace = subset.host.split(".")[:2]
    service = model.Service(name, namespace, plan.world.service.domain)
    main = plan.main.after or plan.main.before or {}
    governing = model.governing_rules(list(rules), service, model.namespace_of(main))
    return model.subsets_of(governing).get(subset.name, {})


def _has_ready(pods: list[dict], labels: Mapping[str, str]) -> bool:
    return any(labels.items() <= model.dict_of(pod["metadata"].get("labels")).items() for pod in pods if is_ready(pod))


def _unready(subset: Subset, labels: Mapping[str, str], plan: Plan) -> str:
    shown = ", ".join(f"{key}={value}" for key, value in labels.items())
    name, namespace = subset.host.split(".")[:2]
    what = f"Subset {subset.name} of {name}.{namespace}" if subset.name else f"Service {name}.{namespace}"
    return (
        f"{what} ({shown}) has no ready pod, requests sent there would fail."
        " Start one, or set its weight to 0, or require_ready to false."
    )
