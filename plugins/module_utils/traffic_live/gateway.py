# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module istio_gateway: read, edit, check, write, again on a conflict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import certificates, manifests
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    KUBE_ARGS,
    Conflict,
    Forbidden,
    Kube,
    NotFound,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, credentials, gateways, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.gateways import KIND, Tls, Wish
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Step
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import lost

CONFLICT_DEADLINE = 30.0  # seconds
ARGS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "hosts": {"type": "list", "elements": "str"},
    "http_port": {"type": "int", "default": 80},
    "https_port": {"type": "int", "default": 443},
    "tls": {
        "type": "dict",
        "options": {
            "credential": {"type": "str", "required": True, "no_log": False},
            "mode": {"type": "str", "choices": ["simple", "mutual"], "default": "simple"},
            "min_protocol": {"type": "str", "choices": ["tls1_2", "tls1_3"]},
        },
    },
    "redirect": {"type": "bool", "default": False},
    "selector": {"type": "dict"},
    "require_secret": {"type": "bool", "default": True},
    **KUBE_ARGS,
}
REQUIRED_IF = [("state", "present", ["hosts"])]
_MIN_PROTOCOLS = {None: None, "tls1_2": "TLSV1_2", "tls1_3": "TLSV1_3"}


def core(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the Gateway to what params say (in check mode: find out what that would change) and return the result."""
    wish = wish_of(params)
    present = params["state"] == "present"
    if present:
        gateways.set_servers(None, wish)  # wrong options are told before a cluster is asked
    kube = Kube.connect(params, check_mode)
    return apply(kube, wish, present, params["require_secret"], check_mode)


def wish_of(params: Mapping[str, Any]) -> Wish:
    """Return what the options ask for."""
    tls = params["tls"]
    return Wish(
        params["name"],
        params["namespace"],
        tuple(params["hosts"] or ()),
        params["http_port"] or None,
        params["https_port"],
        tls and Tls(tls["credential"], tls["mode"].upper(), _MIN_PROTOCOLS[tls["min_protocol"]]),
        params["redirect"],
        params["selector"],
    )


def apply(kube: Any, wish: Wish, present: bool, require_secret: bool, check_mode: bool) -> dict[str, Any]:
    """Read, edit, check and write until no conflict is left; `kube` is a Kube or an AbsentKube."""
    deadline = time.monotonic() + CONFLICT_DEADLINE
    pause = 0.1
    while True:
        warnings: list[str] = []
        served = _served(kube, wish, present, check_mode, warnings)
        before = kube.get(model.API_VERSION, KIND, wish.name, wish.namespace) if served else None
        after = gateways.set_servers(before, wish) if present else gateways.remove_servers(before)
        if present and after is not None and not kube.absent:
            needed = require_secret and wish.tls is not None
            _check(kube, wish, after, _Strictness(needed, check_mode, after is not before), warnings)
        try:
            written = write(kube, wish, before, after, check_mode)
        except Conflict:
            if time.monotonic() + pause > deadline:
                raise
            # somebody wrote in between: his change is read and kept
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
            continue
        return _result(before, written, after is not before, warnings)


def write(
    kube: Any, wish: Wish, before: Optional[Mapping[str, Any]], after: Optional[Mapping[str, Any]], check_mode: bool
) -> Optional[Mapping[str, Any]]:
    """Return the Gateway as the API server has it after (or, in check mode, would have it), None when it is gone.

    Nothing is sent when `after` is `before` itself. Conflict when the object is no longer `before`.
    """
    if after is before:
        return before
    try:
        if after is None:
            version = model.dict_of((before or {}).get("metadata")).get("resourceVersion")
            place = (model.API_VERSION, KIND, wish.name, wish.namespace)
            kube.delete(*place, dry_run=check_mode, resource_version=version)
            return None
        if before is None:
            return kube.create(after, dry_run=check_mode)
        return kube.replace(after, dry_run=check_mode)
    except NotFound as error:
        if before is not None:
            raise Conflict(str(error), error.status) from error
        if not check_mode:
            raise
        return after  # its namespace or kind comes with an earlier task
    except KubeError as error:
        if check_mode:
            raise
        return lost.made_anyway(kube, Step(before, after), error)


def _served(kube: Any, wish: Wish, present: bool, check_mode: bool, warnings: list[str]) -> bool:
    if kube.resource(model.API_VERSION, KIND) is not None:
        return True
    if present and not kube.absent:
        problem = (
            f"{wish} cannot be written to namespace {wish.namespace}: the cluster has no Gateway of"
            " networking.istio.io/v1: install Istio first."
        )
        if not check_mode:
            raise MeshopsError(problem)
        warnings.append(f"{problem} The check goes on as if an earlier task did.")
    return False


# --- what the Gateway needs around it ---


class _Strictness:
    """Whether a problem of the Secret is refused: not when none is needed, or nothing is to be written."""

    def __init__(self, needed: bool, check_mode: bool, changes: bool) -> None:
        self.wrong = needed and changes
        # an earlier task may be to make it
        self.missing = self.wrong and not check_mode


def _check(kube: Any, wish: Wish, after: Mapping[str, Any], strictness: _Strictness, warnings: list[str]) -> None:
    selector = gateways.selector_of(after)
    try:
        pods = _pods(kube, wish, selector, warnings)
    except Forbidden as error:
        _report(f"{error} Without that the pods and the Secret of {wish} are not found.", strictness.wrong, warnings)
        return
    if not pods:
        labels = f"the labels {_shown(selector)}" if selector else "a proxy of the kind router"
        unseen = f" Secret {wish.tls.credential} was not looked for." if wish.tls else ""
        warnings.append(
            f"{wish} is served by nobody: no gateway pod has {labels}. Install a gateway, or correct selector.{unseen}"
        )
    for namespace in sorted({model.namespace_of(pod) for pod in pods}) if wish.tls else ():
        _check_secret(kube, wish, namespace, strictness, warnings)
    try:
        warnings += gateways.overlaps(after, _list(kube, KIND, wish.namespace, warnings), pods)
    except Forbidden as error:
        warnings.append(f"{error} Without that {wish} is not compared with others for the same pods.")


def _shown(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _pods(kube: Any, wish: Wish, selector: Mapping[str, str], warnings: list[str]) -> list[dict]:
    found = _list(kube, "Pod", wish.namespace, warnings, _shown(selector) or None, "v1")
    return [
        pod
        for pod in found
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and not pod["metadata"].get("deletionTimestamp")
        and (selector or consumers.proxy_kind(pod) == "router")
    ]


def _list(  # noqa: PLR0917 - what, and where when not everywhere
    kube: Any,
    kind: str,
    namespace: str,
    warnings: list[str],
    labels: Optional[str] = None,
    api_version: str = model.API_VERSION,
) -> list[dict]:
    try:
        return kube.list(api_version, kind, None, labels)
    except Forbidden:
        found = kube.list(api_version, kind, namespace, labels)
        warnings.append(f"Only the {kind}s of namespace {namespace} may be read, those of others are not considered.")
        return found


def _check_secret(kube: Any, wish: Wish, namespace: str, strictness: _Strictness, warnings: list[str]) -> None:
    try:
        secret = kube.get("v1", "Secret", wish.tls.credential, namespace)
        problem = _secret_problem(kube, wish.tls, namespace, secret)
    except Forbidden as error:
        problem, secret = f"{error} Without that the Secret of {wish} is not checked.", {}
    if problem:
        _report(problem, strictness.missing if secret is None else strictness.wrong, warnings)


def _report(problem: str, refuse: bool, warnings: list[str]) -> None:
    if refuse:
        raise MeshopsError(f"{problem} To go on without it, set require_secret to false.")
    warnings.append(problem)


def _secret_problem(kube: Any, tls: Tls, namespace: str, secret: Optional[Mapping[str, Any]]) -> str:
    authority = None
    if secret is not None and tls.mode == credentials.MUTUAL:
        authority = kube.get("v1", "Secret", f"{tls.credential}{credentials.CA_SUFFIX}", namespace)
    problem = credentials.secret_problem(secret, tls.credential, namespace, tls.mode, authority)
    pair = None if problem else credentials.pair_of(secret or {})
    reason = certificates.pair_problem(*pair) if pair else ""
    if reason:
        return f"Secret {namespace}/{tls.credential} cannot be used: {reason}. Create it again from a pair that fits."
    return problem


def _result(
    before: Optional[Mapping[str, Any]], after: Optional[Mapping[str, Any]], changed: bool, warnings: list[str]
) -> dict[str, Any]:
    return {
        "changed": changed,
        "before": manifests.diff_view(before),
        "after": manifests.diff_view(after),
        "warnings": warnings,
        "diff": lambda: [manifests.diff_entry(before, after)] if changed else [],
    }
