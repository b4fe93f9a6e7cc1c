# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the modules istio_analyze and istio_precheck, gates that change nothing."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import istioctl, mesh_state, support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import Analysis, Istioctl, IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.istioctl_output import LEVELS, finding
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube

NEVER = "never"
# findings of our own, beside istioctl's IST0000 ones
SKEW, KUBERNETES = "VersionSkew", "KubernetesVersion"
_KUBERNETES_TOO_OLD = "IST0142"
_SHOWN = 3
_SUFFIXES = (".json", ".yaml", ".yml")  # istioctl passes over others
_CORRECT = "Correct them, or name code and object under ignore."
_PREPARE = "Put that right before Istio is installed or upgraded, or set fail_on."
_IDENTITY = ("code", "object", "message")  # lines move, links change with the version


# --- pure ---


def is_ignored(row: Mapping[str, str], rules: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a rule has the finding's code and, where it names one (`*` is any text), its object."""
    return any(
        fnmatch.fnmatchcase(row["code"], rule["code"]) and fnmatch.fnmatchcase(row["object"], rule["object"] or "*")
        for rule in rules
    )


def is_known(row: Mapping[str, str], baseline: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether an earlier run returned the finding."""
    return any(all(row[key] == (old.get(key) or "") for key in _IDENTITY) for old in baseline)


def counts(findings: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Return how many findings there are of each level, with the keys error, warning and info."""
    rows = list(findings)
    return {level.lower(): sum(row["level"] == level for row in rows) for level in reversed(LEVELS)}


def reaching(findings: Iterable[Mapping[str, str]], level: str) -> list[Mapping[str, str]]:
    """Return the findings that are as bad as `level` (error, warning, info) or worse; none for never."""
    if level == NEVER:
        return []
    bad = LEVELS[LEVELS.index(level.capitalize()) :]
    return [row for row in findings if row["level"] in bad or row["level"] not in LEVELS]


def sentence(command: str, bad: list[Mapping[str, str]], next_step: str) -> str:
    """Return what a failed gate says: how many, the first ones, what to do."""
    numbers = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts(bad).items() if count]
    shown = [
        " ".join(filter(None, [row["code"], row["object"], f"({row['reference']})" if row["reference"] else ""]))
        + f": {row['message'].rstrip('.')}"
        for row in bad[:_SHOWN]
    ]
    more = [f"and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
    return f"{command} found {' and '.join(numbers) or len(bad)}: {'; '.join(shown + more)}. {next_step}"


def skew_findings(client: str, planes: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a finding for each control plane that is more than one minor version from istioctl."""
    found = []
    for plane in planes:
        name = f"{plane['namespace']}/{plane['name']}"
        problem = plane["version"] and istioctl.skew_problem(client, plane["version"], name)
        if problem:
            found.append(finding(SKEW, "Error", problem, f"Deployment {name}"))
    return found


def kubernetes_findings(client: str, kubernetes: str, found: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return a finding when this Istio does not support the Kubernetes, unless istioctl has said so already."""
    problem = support.problem(client, kubernetes)
    if not problem or any(row["code"] == _KUBERNETES_TOO_OLD for row in found):
        return []
    return [finding(KUBERNETES, "Error", problem, "Cluster")]


def in_namespaces(row: Mapping[str, str], namespaces: list[str]) -> bool:
    """Tell whether a finding is of one of the namespaces, or of none at all; no namespaces mean all."""
    return not namespaces or row["namespace"] in ("", *namespaces)


# --- modules ---


def analyze(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the result of module istio_analyze; MeshopsError with that result when the gate is shut."""
    files = _files(params["files"] or [])
    if not params["cluster"] and not files:
        raise MeshopsError("There is nothing to analyse: cluster is false and files is empty; give one of them.")
    kube = Kube.connect(params, check_mode) if params["cluster"] else None
    if kube is not None and kube.absent and not files:
        return _result([], [], [f"Nothing was analysed: {kube.reason}"])
    cluster = kube is not None and not kube.absent
    with istioctl.workspace({}) as folder:
        tool = Istioctl(params["istioctl"], kube.kubeconfig if kube else [], kube.context if kube else None, folder)
        version = _version(tool, check_mode)
        if version is None:
            return _result([], [], ["Nothing was analysed, there is no istioctl yet."])
        found = _analyzed(tool, version, params, files, kube if cluster else None)
    warnings = [f"Only the files were analysed: {kube.reason}"] if kube is not None and kube.absent else []
    kept = [row for row in found if not is_ignored(row, params["ignore"] or [])]
    new = [row for row in kept if not is_known(row, params["baseline"] or [])]
    return _gate(_result(kept, new, warnings, version), "istioctl analyze", params["fail_on"], _CORRECT)


def _analyzed(
    tool: Istioctl, version: str, params: Mapping[str, Any], files: list[str], kube: Kube | None
) -> list[dict[str, str]]:
    namespaces, revision = params["namespaces"] or [], params["revision"] or ""
    if revision:
        _refuse(istioctl.unavailable(version, "analyze --revision"))
    planes: list[dict[str, Any]] = []
    if kube is not None:
        for name in namespaces:
            if kube.get("v1", "Namespace", name) is None:
                raise MeshopsError(f"Namespace {name} does not exist, so it cannot be analysed; correct namespaces.")
        wanted = revision or mesh_state.UNNAMED
        found = mesh_state.control_planes(kube.list("apps/v1", "Deployment", None, "app=istiod"))
        planes = [plane for plane in found if plane["revision"] == wanted]
        if revision and not planes:
            there = ", ".join(plane["revision"] for plane in found) or "none"
            raise MeshopsError(f"There is no control plane of revision {revision}: there is {there}; correct revision.")
    # of one namespace istioctl takes files without a namespace to be part, of several it can be asked only for all
    one = namespaces[0] if len(namespaces) == 1 else ""
    rows = tool.analyze(Analysis(files, kube is not None, one, params["istio_namespace"], revision))
    return skew_findings(version, planes) + [row for row in rows if in_namespaces(row, namespaces)]


def precheck(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the result of module istio_precheck; MeshopsError with that result when the gate is shut."""
    kube = Kube.connect(params, check_mode)
    if kube.absent:
        return _precheck_result(None, None, [], [], [f"Nothing was checked: {kube.reason}"])
    kubernetes = kube.version()
    planes = mesh_state.control_planes(kube.list("apps/v1", "Deployment", None, "app=istiod"))
    with istioctl.workspace({}) as folder:
        tool = Istioctl(params["istioctl"], kube.kubeconfig, kube.context, folder)
        version = _version(tool, check_mode)
        if version is None:
            return _precheck_result(None, kubernetes, planes, [], ["Nothing was checked, there is no istioctl yet."])
        _refuse(istioctl.unavailable(version, "x precheck -o json"))
        found = tool.precheck(params["namespace"])
    found = kubernetes_findings(version, kubernetes, found) + skew_findings(version, planes) + found
    return _gate(
        _precheck_result(version, kubernetes, planes, found, []), "istioctl x precheck", params["fail_on"], _PREPARE
    )


def _precheck_result(
    version: str | None, kubernetes: str | None, planes: list[dict], found: list[dict], warnings: list[str]
) -> dict[str, Any]:
    return {
        "changed": False,
        "version": version,
        "kubernetes": kubernetes,
        "control_planes": planes,
        "findings": found,
        "counts": counts(found),
        "warnings": warnings,
    }


def _result(kept: list[dict], new: list[dict], warnings: list[str], version: str | None = None) -> dict[str, Any]:
    return {
        "changed": False,
        "version": version,
        "findings": kept,
        "new": new,
        "counts": counts(new),
        "warnings": warnings,
    }


def _gate(result: dict[str, Any], command: str, fail_on: str, next_step: str) -> dict[str, Any]:
    bad = reaching(result.get("new", result["findings"]), fail_on)
    if not bad:
        return result
    del result["warnings"]
    raise MeshopsError(sentence(command, bad, next_step), result)


def _version(tool: Istioctl, check_mode: bool) -> str | None:
    """Return istioctl's version; None when check mode runs before it is installed."""
    try:
        return tool.version()
    except IstioctlMissing:
        if not check_mode:
            raise
        return None


def _refuse(problem: str | None) -> None:
    if problem:
        raise MeshopsError(problem)


def _files(paths: list[str]) -> list[str]:
    """Return the paths; MeshopsError for one that is not there, or that istioctl would pass over in silence."""
    for text in paths:
        path = Path(text)
        if not path.exists():
            raise MeshopsError(f"{path} of files does not exist; correct files.")
        if not any(file.suffix in _SUFFIXES for file in (path.rglob("*") if path.is_dir() else [path])):
            raise MeshopsError(f"{path} of files has no file that ends in {' or '.join(_SUFFIXES)}, as istioctl wants.")
    return list(paths)
