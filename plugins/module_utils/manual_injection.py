# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: sidecars put into a manifest by istioctl kube-inject, and the result applied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import apply, injectors, manifests
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import (
    Istioctl,
    IstioctlMissing,
    version_problem,
    workspace,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube

ARGS: dict[str, dict[str, Any]] = {
    "src": {"type": "path", "required": True},
    "namespace": {"type": "str"},
    "image_prefixes": {"type": "dict"},
    "istioctl": {"type": "str", "default": "istioctl"},
    "revision": {"type": "str"},
    "wait": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
}
INJECTABLE = frozenset({"CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"})
_COMMAND_SECONDS = 120.0


class InjectTool(Istioctl):
    """istioctl with kube-inject."""

    def inject(self, path: str, revision: str, namespace: str) -> str:
        """Return the objects of a file as YAML, with sidecars."""
        return self._run(argv_inject(self._path, path, revision, namespace, self._context), _COMMAND_SECONDS)


def argv_inject(path: str, file: str, revision: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that puts sidecars into the objects of a file, as istiod of the revision has it."""
    argv = [path, "kube-inject", "-f", file, "--revision", revision, "--istioNamespace", namespace]
    return [*argv, *(["--context", context] if context else [])]


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module istio_kube_inject for its options."""
    if check_mode and not Path(params["src"]).exists():
        return {"changed": True, "objects": [], "injected": []}  # an earlier task would have put it there
    plain = {**params, "definition": None, "overlays": None}
    objects = apply.read(plain)
    kube = Kube.connect(params, check_mode)
    revision = params["revision"] or injectors.DEFAULT
    problem, system = control_plane(kube, revision)
    if problem and not check_mode:
        raise MeshopsError(problem)
    if problem:
        warning = f"{problem} In check mode this is no error, an earlier task may install it."
        return {"changed": True, "objects": [], "injected": [], "warnings": [] if kube.absent else [warning]}
    objects = apply.with_namespace(kube, objects, params["namespace"])
    with workspace({}) as folder:
        tool = InjectTool(params["istioctl"], kube.kubeconfig, kube.context, folder)
        try:
            version = tool.version()
        except IstioctlMissing:
            if not check_mode:
                raise
            return {"changed": True, "objects": [], "injected": []}
        if version_problem(version):
            raise MeshopsError(version_problem(version))
        objects = inject(tool, folder, objects, revision, system)
    names = injected(objects, params["src"])
    definition = {"src": None, "definition": objects, "image_prefixes": None, "state": "present"}
    return {**apply.core({**plain, **definition}, check_mode), "injected": names}


def control_plane(kube: Any, revision: str) -> tuple[str, str]:
    """Return why the revision cannot be asked ("" when it can), and the namespace of its control plane."""
    found = injectors.injectors(kube.list(injectors.ADMISSION, "MutatingWebhookConfiguration"))
    for item in found:
        if item.revision == revision and not item.tag:
            return "", (item.hooks[0]["clientConfig"].get("service") or {}).get("namespace") or "istio-system"
    listed = ", ".join(injectors.revisions(found)) or "none"
    return f"There is no control plane of revision {revision} to ask for its sidecars; there are: {listed}.", ""


def inject(tool: InjectTool, folder: str, objects: list[dict], revision: str, system: str) -> list[dict]:
    """Return the objects, those with pods as kube-inject gives them back; all others are not shown to it."""
    chosen = [number for number, obj in enumerate(objects) if obj["kind"] in INJECTABLE]
    if not chosen:
        return objects
    path = Path(folder) / "manifest.yaml"
    path.touch(mode=0o600)
    path.write_text("---\n".join(manifests.dump(objects[number]) for number in chosen), encoding="utf-8")
    back = manifests.load(tool.inject(str(path), revision, system), "the output of istioctl kube-inject")
    if [manifests.identity(obj) for obj in back] != [manifests.identity(objects[number]) for number in chosen]:
        raise MeshopsError(f"istioctl kube-inject gave back {len(back)} other objects than the {len(chosen)} it got.")
    result = list(objects)
    for number, obj in zip(chosen, back):
        result[number] = stable(obj)
    return result


def stable(obj: Mapping[str, Any]) -> dict:
    """Return an object without what the command's typed form adds: nulls, the empty status, empty strategies."""
    plain = without_nulls(obj)
    plain.pop("status", None)
    for key in ("strategy", "updateStrategy"):
        if (plain.get("spec") or {}).get(key) == {}:
            del plain["spec"][key]
    return plain


def without_nulls(node: Any) -> Any:
    """Return data without keys whose value is null, at any depth."""
    if isinstance(node, Mapping):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(item) for item in node] if isinstance(node, list) else node


def pod_of(obj: Mapping[str, Any]) -> dict:
    """Return the pod or pod template of an object."""
    if obj["kind"] == "Pod":
        return dict(obj)
    spec = obj["spec"]["jobTemplate"]["spec"] if obj["kind"] == "CronJob" else obj["spec"]
    return spec.get("template") or {}


def injected(objects: list[dict], origin: str) -> list[str]:
    """Return the objects that have a sidecar now; MeshopsError when there are pods, and none of them has."""
    workloads = [obj for obj in objects if obj["kind"] in INJECTABLE]
    names = [manifests.describe(obj) for obj in workloads if injectors.sidecar(pod_of(obj))]
    if workloads and not names:
        raise MeshopsError(
            f"istioctl kube-inject put no sidecar into anything of {origin}: its pods refuse one"
            " (sidecar.istio.io/inject or hostNetwork), or istiod's policy is to inject nothing unasked."
        )
    return names
