# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: read, apply, replace, delete and watch objects of the Kubernetes API.

Objects are plain dicts as the API's JSON has them. Errors are the classes of kube_errors, all MeshopsError.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import kube_paths, kube_wait
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
    WaitTimeout,
    WebhookUnavailable,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube_paths import Resource, describe
from ansible_collections.meshops.istio.plugins.module_utils.kube_transport import Transport, kubeconfig_paths

__all__ = [
    "FIELD_MANAGER",
    "KUBE_ARGS",
    "AbsentKube",
    "Conflict",
    "Forbidden",
    "Invalid",
    "Kube",
    "NotFound",
    "Unauthorized",
    "Unreachable",
    "WaitTimeout",
    "WebhookUnavailable",
]

FIELD_MANAGER = "meshops.istio"
KUBE_ARGS: dict[str, dict[str, Any]] = {"kubeconfig": {"type": "path"}, "context": {"type": "str"}}
_APPLY = "application/apply-patch+yaml"  # JSON is YAML


class Kube:
    """One cluster, as the options `kubeconfig` and `context` name it."""

    absent = False

    def __init__(self, params: Mapping[str, Any], transport: Transport | None = None) -> None:
        self.transport = transport or Transport(params)
        self.kubeconfig = kubeconfig_paths(params)
        self.context = params.get("context")
        self._served: dict[str, dict[str, Resource]] = {}

    @staticmethod
    def connect(params: Mapping[str, Any], check_mode: bool = False) -> Kube | AbsentKube:
        """Return the cluster; in check mode an AbsentKube when there is no kubeconfig yet or nobody answers."""
        if not check_mode:
            return Kube(params)
        try:
            kube = Kube(params)
            kube.transport.waits_for_server = False
            kube.version()
        except Unreachable as error:
            return AbsentKube(str(error), params)
        kube.transport.waits_for_server = True
        return kube

    def version(self) -> str:
        """Return the version of the API server without its `v`, for example 1.36.3."""
        return self.transport.request("GET", "/version", "read the Kubernetes version")["gitVersion"].lstrip("v")

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """Return how the kind is served, None when it is not. Found kinds are remembered, missing ones are not."""
        core = kube_paths.CORE.get((api_version, kind))
        if core:
            return core
        if kind not in self._served.get(api_version, {}):
            what = f"look up the kinds of {api_version}"
            try:
                found = self.transport.request("GET", kube_paths.group_path(api_version), what)
            except NotFound:
                return None
            self._served[api_version] = {
                item["kind"]: Resource(api_version, item["kind"], item["name"], item["namespaced"])
                for item in found.get("resources", [])
                if "/" not in item["name"]
            }
        return self._served[api_version].get(kind)

    def _known(self, api_version: str, kind: str) -> Resource | None:
        """Return how the kind is served if it is, without asking where that is known."""
        return kube_paths.KNOWN.get((api_version, kind)) or self.resource(api_version, kind)

    def _needed(self, api_version: str, kind: str, what: str) -> Resource:
        resource = self._known(api_version, kind)
        if resource is None:
            raise _without_kind(api_version, kind, what)
        return resource

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict | None:
        """Return the object, None when it (or its kind) does not exist."""
        resource = self._known(api_version, kind)
        if resource is None:
            return None
        path = kube_paths.object_path(resource, name, namespace)
        try:
            return self.transport.request("GET", path, f"read {describe(kind, name, namespace)}")
        except NotFound:
            return None

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        *,
        cached: bool = False,
    ) -> list[dict]:
        """Return the objects of one namespace, or of all; [] when the kind does not exist.

        cached: as the API server has them at hand, which costs no wait and may be a moment old.
        """
        resource = self._known(api_version, kind)
        if resource is None:
            return []
        query = {"labelSelector": label_selector} if label_selector else {}
        if cached:
            query["resourceVersion"] = "0"
        path = kube_paths.collection_path(resource, namespace)
        try:
            found = self.transport.request("GET", path, f"list {describe(kind, None, namespace)}", query or None)
        except NotFound:
            return []
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found.get("items") or []]

    def apply(self, obj: dict, dry_run: bool = False, force: bool = True) -> dict:
        """Return the object after (or, by dry run, as it would be after) a server-side apply of `obj`."""
        body = copy.copy(obj)
        body["metadata"] = {
            key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")
        }
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower(), **_dry(dry_run)}
        return self._write("PATCH", "apply", body, query, content_type=_APPLY)

    def create(self, obj: dict, dry_run: bool = False) -> dict:
        """Return the created object; Conflict when it exists."""
        query = {"fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        return self._write("POST", "create", obj, query, repeatable="name" in obj["metadata"])

    def replace(self, obj: dict, dry_run: bool = False) -> dict:
        """Return the object after a PUT; Conflict when it is no longer the `metadata.resourceVersion` of `obj`."""
        return self._write("PUT", "replace", obj, {"fieldManager": FIELD_MANAGER, **_dry(dry_run)})

    def _write(self, method: str, verb: str, obj: dict, query: dict, **options: Any) -> dict:
        meta = obj["metadata"]
        namespace = meta.get("namespace")
        what = f"{verb} {describe(obj['kind'], meta.get('name', meta.get('generateName')), namespace)}"
        resource = self._needed(obj["apiVersion"], obj["kind"], what)
        if method == "POST":
            path = kube_paths.collection_path(resource, namespace or "default")
        else:
            path = kube_paths.object_path(resource, meta["name"], namespace)
        try:
            return self.transport.request(method, path, what, query, obj, **options)
        except NotFound:
            # a kind that was not looked up before may be what is not there
            if self.resource(obj["apiVersion"], obj["kind"]) is None:
                raise _without_kind(obj["apiVersion"], obj["kind"], what) from None
            raise

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        propagation: str = "Background",
        resource_version: str | None = None,
    ) -> bool:
        """Delete the object and tell whether it was there. It may still be ending: see wait().

        resource_version: Conflict when it is another one by now.
        """
        resource = self._known(api_version, kind)
        if resource is None:
            return False
        path = kube_paths.object_path(resource, name, namespace)
        query = {"propagationPolicy": propagation, **_dry(dry_run)}
        body = None
        if resource_version:
            body = {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": propagation,
                "preconditions": {"resourceVersion": resource_version},
                **({"dryRun": ["All"]} if dry_run else {}),
            }
        try:
            self.transport.request("DELETE", path, f"delete {describe(kind, name, namespace)}", query, body)
        except NotFound:
            return False
        return True

    def wait(  # noqa: PLR0917 - the place, then what to wait for
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        predicate: Callable[[dict | None], bool],
        timeout: float,
    ) -> dict:
        """Return the object ({} when absent) as soon as `predicate` holds for it, by a watch; timeout in seconds.

        `predicate` sees None while the object does not exist. Raises WaitTimeout with the object seen last.
        """
        return kube_wait.wait(self, kube_wait.Place(api_version, kind, name, namespace), predicate, timeout)

    def exec(self, namespace: str, pod: str, container: str, argv: list[str], timeout: float = 60.0) -> str:
        """Return the standard output of a command in a container; KubeError when it fails or outlasts `timeout` s."""
        path = kube_paths.object_path(kube_paths.CORE["v1", "Pod"], pod, namespace) + "/exec"
        query = {"container": container, "stdout": "true", "stderr": "true", "stdin": "false", "tty": "false"}
        return self.transport.execute(path, f"run {argv[0]} in pod {namespace}/{pod}", argv, query, timeout)

    def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last `lines` lines of a container's log; previous: of the one that ran before its restart."""
        path = kube_paths.object_path(kube_paths.CORE["v1", "Pod"], pod, namespace) + "/log"
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        return self.transport.text(path, f"read the log of pod {namespace}/{pod}", query)


class AbsentKube:
    """Stands in for a cluster that check mode cannot reach (yet): everything is absent and every write would work."""

    absent = True

    def __init__(self, reason: str = "", params: Mapping[str, Any] | None = None) -> None:
        self.reason = reason
        self.kubeconfig = kubeconfig_paths(params or {})
        self.context = (params or {}).get("context")

    def version(self) -> str | None:
        return None

    def resource(self, api_version: str, kind: str) -> Resource | None:
        return kube_paths.CORE.get((api_version, kind))

    def get(self, *_args: Any, **_kwargs: Any) -> None:
        return None

    def list(self, *_args: Any, **_kwargs: Any) -> list[dict]:
        return []

    def apply(self, obj: dict, dry_run: bool = False, force: bool = True) -> dict:
        return obj

    def create(self, obj: dict, dry_run: bool = False) -> dict:
        return obj

    def replace(self, obj: dict, dry_run: bool = False) -> dict:
        return obj

    def delete(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    def wait(self, *_args: Any, **_kwargs: Any) -> dict:
        return {}

    def exec(self, *_args: Any, **_kwargs: Any) -> str:
        return ""


def _without_kind(api_version: str, kind: str, what: str) -> NotFound:
    return NotFound(f"Cannot {what}: the cluster has no kind {kind} in {api_version}; install its CRD first.", 404)


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
