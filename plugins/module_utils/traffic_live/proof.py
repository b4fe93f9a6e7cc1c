# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: read from the proxies themselves whether what was written is in force.

Neither an object's status nor istiod's view of its proxies shows that, only what Envoy has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Step
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.poll import Poll, Question, Round
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.questions import (
    RoutesGone,
    RoutesInForce,
    SubsetsThere,
    SubsetsUnused,
)

NAMED = 5  # lagging proxies that an error names


def prove(kube: Any, written: Mapping[str, Any], timeout: float, domain: str, warnings: list[str]) -> dict[str, Any]:
    """Wait until all proxies that are to have the routes of the written object have them.

    timeout: seconds; domain: of the cluster. Returns proxies (how many have them), seconds, lagging (none).
    Missing rights end in `warnings`; MeshopsError names the proxies that lag at the deadline.
    """
    what = f"{model.kind_of(written)} {model.label(written)} is written, but"
    result = _ask(kube, RoutesInForce(kube, written, domain), timeout, what, "in force", warnings)
    if not result["proxies"] and not result.pop("refused"):
        warnings.append(f"{what} not proved to be in force: no proxy that is running has a route for its hosts.")
    result.pop("refused", None)
    return result


def prove_gone(kube: Any, deleted: Mapping[str, Any], timeout: float, warnings: list[str]) -> dict[str, Any]:
    """Wait until no proxy has a route of the deleted VirtualService any more; see prove()."""
    what = f"{model.kind_of(deleted)} {model.label(deleted)} is deleted, but"
    result = _ask(kube, RoutesGone(deleted), timeout, what, "gone", warnings)
    result.pop("refused")
    return result


def prove_subsets(  # noqa: PLR0917 - what was written, and how long to wait for it
    kube: Any, rule: Mapping[str, Any], step: Step, timeout: float, domain: str, warnings: list[str]
) -> dict[str, Any]:
    """Wait until the proxies that see the host of a written DestinationRule have its subsets; see prove()."""
    spec = model.spec_of(rule)
    seen = {**rule, "kind": "VirtualService", "spec": {"hosts": [spec.get("host")], "exportTo": spec.get("exportTo")}}
    what = f"DestinationRule {model.label(rule)} is written, but"
    result = _ask(kube, SubsetsThere(kube, seen, step.live, domain), timeout, what, "in force", warnings)
    result.pop("refused")
    return result


def before(kube: Any, step: Step, timeout: float, domain: str, warnings: list[str]) -> None:
    """Wait until a step may be made: its new subsets are live in the proxies, the ones it takes away are unused.

    MeshopsError says what is not written; missing rights end in `warnings`.
    """
    live = tuple(subset for subset in step.live if subset.name or subset.host not in _own_hosts(step, domain))
    if live and step.after is not None:
        _ask_before(kube, SubsetsThere(kube, step.after, live, domain), timeout, step, warnings)
    if step.unnamed:
        question = SubsetsUnused(model.namespace_of(step.obj), step.unnamed)
        _ask_before(kube, question, timeout, step, warnings)


def _ask_before(kube: Any, question: Question, timeout: float, step: Step, warnings: list[str]) -> None:
    told: list[str] = []
    what = f"{step} is not written, because"
    _ask(kube, question, timeout, what, "ready for it", told)
    # whoever may not ask the proxies can still write
    warnings += [text.replace(what, f"{step} is made, but the proxies are", 1) for text in told]


def _own_hosts(step: Step, domain: str) -> set[str]:
    # the mesh sends a host to its whole Service as it is
    spec = model.spec_of(step.after or {})
    namespace = model.namespace_of(step.obj)
    return {model.resolve(host, namespace, domain) for host in model.list_of(spec.get("hosts"))}


def _ask(  # noqa: PLR0917 - the question, and the words for its outcome
    kube: Any, question: Question, timeout: float, what: str, wanted: str, warnings: list[str]
) -> dict[str, Any]:
    started = time.monotonic()
    try:
        last = Poll(kube, question, started + timeout, warnings).until_agreed()
    except Forbidden as error:
        warnings.append(f"{what} not proved to be {wanted}: {error}")
        return {"proxies": 0, "seconds": _since(started), "lagging": [], "refused": 1}
    except KubeError as error:
        raise MeshopsError(f"{what} not proved to be {wanted}: {error}") from error
    if last.lagging:
        raise MeshopsError(f"{what} after {_since(started):g} s not yet {wanted} in {_in_words(last)}")
    if last.refused:
        error = next(iter(last.refused.values()))
        warnings.append(f"{what} not proved to be {wanted} in {len(last.refused)} of the proxies: {error}")
    return {"proxies": len(last.current), "seconds": _since(started), "lagging": [], "refused": len(last.refused)}


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)


def _in_words(last: Round) -> str:
    names = sorted(last.lagging)
    shown = ", ".join(f"{name} ({last.lagging[name]})" for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"{len(names)} of {len(names) + len(last.current)} proxies: {shown}{more};"
        " see whether istiod runs and these pods reach it, or give more time by wait_timeout."
    )
