# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module istio_info: what mesh there is, and what is not in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import (
    injectors,
    istio_profiles,
    istioctl,
    mesh_gateways,
    mesh_state,
    proxy_status,
    rollout,
    support,
)
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import Istioctl, IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, model

_NAMES_SHOWN = 3
_BAD_STATES = {
    proxy_status.REFUSED: "refused the configuration that istiod sent",
    proxy_status.STALE: "did not confirm the configuration that istiod sent",
    proxy_status.NOT_SENT: "got no configuration from istiod",
    proxy_status.NOT_CONNECTED: "is connected to no istiod",
}


class Cluster(NamedTuple):
    """The objects of a cluster that tell about its mesh."""

    namespaces: list[dict]
    deployments: list[dict]
    webhooks: list[dict]
    services: list[dict]
    pods: list[dict]
    nodes: list[dict]


def core(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return what is known of the mesh; nothing is written."""
    kube = Kube.connect(params, check_mode)
    client, problems = _client(params["istioctl"], kube)
    folder = istio_profiles.folder(params["manifests"], params["istioctl"])
    profile = istio_profiles.dump(folder, params["profile"]) if params["profile"] else None
    seen = read(kube)
    planes = mesh_state.control_planes(seen.deployments)
    about = {"client": client, "profiles": istio_profiles.names(folder), "profile": profile, "changed": False}
    warnings = [f"The cluster was not looked at: {kube.reason}"] if kube.absent else []
    if not planes:
        return {**about, "installed": False, **described(seen, [], {}), "problems": problems, "warnings": warnings}
    connected, trouble = _proxies(kube, params["proxies"])
    found = described(seen, planes, connected)
    problems += [*version_problems(client, kube.version(), planes), *_unready(kube, seen.deployments)]
    problems += [*trouble, *wrong(found, planes)]
    return {**about, "installed": True, **found, "problems": problems, "warnings": warnings}


def read(kube: Any) -> Cluster:
    """Read the objects; Forbidden names the missing right."""
    return Cluster(
        kube.list("v1", "Namespace"),
        kube.list("apps/v1", "Deployment"),
        kube.list(injectors.ADMISSION, "MutatingWebhookConfiguration", None, injectors.REVISION),
        kube.list("v1", "Service"),
        kube.list("v1", "Pod"),
        kube.list("v1", "Node"),
    )


def _client(path: str, kube: Any) -> tuple[str | None, list[str]]:
    """Return istioctl's version, None without one, and why one that is there cannot be used."""
    with istioctl.workspace({}) as folder:
        try:
            return Istioctl(path, kube.kubeconfig, kube.context, folder).version(), []
        except IstioctlMissing:
            return None, []
        except MeshopsError as error:
            return None, [str(error)]


def _proxies(kube: Any, wanted: bool) -> tuple[dict[str, dict] | None, list[str]]:
    """Return the connected proxies, None when they are not known, and why not."""
    if not wanted:
        return None, []
    try:
        return proxy_status.read(kube), []
    except KubeError as error:
        return None, [f"Which proxies are connected is not known: {error}"]


def _unready(kube: Any, deployments: Iterable[dict]) -> Iterator[str]:
    for obj in deployments:
        if mesh_state.is_control_plane(obj) and not rollout.ready(obj):
            yield f"Control plane {model.label(obj)} is not ready: {rollout.explain(kube, obj)}."


# --- pure ---


def described(seen: Cluster, planes: list[dict], connected: Mapping[str, dict] | None) -> dict[str, Any]:
    """Return control planes, revisions, tags, namespaces, gateways and proxies; `connected` None: not asked."""
    serving = injectors.injectors(seen.webhooks)
    rows = proxies(seen.pods, connected)
    return {
        "control_planes": planes,
        "revisions": sorted({plane["revision"] for plane in planes}),
        "tags": mesh_state.tags(serving, seen.services, seen.namespaces),
        "namespaces": namespaces(seen, serving),
        "gateways": mesh_gateways.gateways(seen.services, seen.deployments, seen.pods, seen.nodes),
        "data_plane": dict(sorted(Counter(row["version"] for row in rows if row["version"]).items())),
        "proxies": rows,
    }


def namespaces(seen: Cluster, serving: list[injectors.Injector]) -> list[dict[str, Any]]:
    """Return the injection of each namespace whose labels speak of it, or that has pods with a proxy."""
    counted = mesh_state.proxy_counts(seen.pods, seen.namespaces, serving)
    found = []
    for obj in sorted(seen.namespaces, key=model.name_of):
        row = mesh_state.injection(obj, serving)
        row.update(counted.get(row["name"], {"with_proxy": 0, "without_proxy": 0}))
        if row["injection"] != mesh_state.UNSET or row["asked"] or row["ambient"] or row["with_proxy"]:
            found.append(row)
    return found


def proxies(pods: Iterable[dict], connected: Mapping[str, dict] | None) -> list[dict[str, Any]]:
    """Return each proxy: those of running pods, and those that are connected without a pod, as on virtual machines."""
    rest = dict(connected or {})
    found = []
    for pod in filter(mesh_state.is_running, pods):
        kind = consumers.proxy_kind(pod)
        if not kind or model.dict_of(pod.get("status")).get("phase") != "Running":
            continue
        row = rest.pop(model.label(pod), None)
        sidecar = injectors.sidecar(pod)
        version = sidecar.version if sidecar else ""
        if row is None:
            state = proxy_status.UNKNOWN if connected is None else proxy_status.NOT_CONNECTED
            row = {"type": kind, "version": version, "state": state, "detail": "", "revision": None, "istiod": None}
        found.append(_proxy(model.label(pod), {**row, "version": row["version"] or version}))
    found += [_proxy(label, row) for label, row in rest.items()]
    return sorted(found, key=lambda row: (row["namespace"], row["name"]))


def _proxy(label: str, row: Mapping[str, Any]) -> dict[str, Any]:
    namespace, _slash, name = label.partition("/")
    return {"name": name, "namespace": namespace, **row}


def version_problems(client: str | None, kubernetes: str, planes: list[dict]) -> Iterator[str]:
    """Yield which versions do not go together: istioctl, Kubernetes, control planes."""
    for plane in planes:
        where = f"{plane['namespace']}/{plane['name']}"
        if plane["version"] is None:
            yield f"The version of control plane {where} is not known: it has no label for it and its image no tag."
            continue
        if client:
            yield from filter(None, [istioctl.skew_problem(client, plane["version"], where)])
        try:
            support.minor(plane["version"])
        except ValueError:
            continue  # a hand-made tag says nothing about its version
        yield from filter(None, [support.problem(plane["version"], kubernetes)])


def wrong(found: Mapping[str, Any], planes: list[dict]) -> Iterator[str]:
    """Yield what is not in order with tags, namespaces, gateways and proxies."""
    revisions = ", ".join(found["revisions"])
    for row in found["tags"]:
        if row["revision"] not in found["revisions"]:
            yield (
                f"Tag {row['tag']} names revision {row['revision']}, which has no control plane; there is {revisions}."
            )
    for row in found["namespaces"]:
        yield from _namespace_problems(row, revisions)
    for row in found["gateways"]:
        yield from _gateway_problems(row)
    yield from proxy_problems(found["proxies"])
    yield from _versions_apart(found["proxies"], planes)


def _namespace_problems(row: Mapping[str, Any], revisions: str) -> Iterator[str]:
    if row["asked"] and row["revision"] is None:
        yield (
            f"Namespace {row['name']} asks for injection by {row['asked']}, which no webhook serves; the control"
            f" planes are {revisions}."
        )
    elif row["without_proxy"]:
        yield (
            f"{row['without_proxy']} of {row['without_proxy'] + row['with_proxy']} pods of namespace {row['name']}"
            " have no sidecar; restart their workloads."
        )
    elif row["injection"] == mesh_state.OFF and row["with_proxy"]:
        yield (
            f"{row['with_proxy']} pods of namespace {row['name']} have a sidecar though injection is off there;"
            " restart their workloads."
        )


def _gateway_problems(row: Mapping[str, Any]) -> Iterator[str]:
    name = f"{row['namespace']}/{row['name']}"
    if row["pending"]:
        yield (
            f"Service {name} of type LoadBalancer has no address; install a load balancer such as MetalLB, or use"
            " type NodePort."
        )
    if not row["ready_pods"]:
        yield f"Gateway {name} has no ready pod."


def proxy_problems(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one sentence for each state that is wrong, with the first names and the reason of the first."""
    by_state: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_state.setdefault(row["state"], []).append(row)
    for state, words in _BAD_STATES.items():
        bad = by_state.get(state, [])
        if bad:
            reason = f" ({bad[0]['detail']})" if bad[0]["detail"] else ""
            yield f"{_named('Proxy', bad)} {words if len(bad) == 1 else _plural(words)}{reason}."


def _versions_apart(rows: Iterable[Mapping[str, Any]], planes: list[dict]) -> Iterator[str]:
    """Yield the proxies of a version that no control plane has: what was not restarted after an upgrade."""
    theirs = sorted({plane["version"] for plane in planes if plane["version"]})
    by_version: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if theirs and row["version"] and row["version"] not in theirs and row["type"] != "ztunnel":
            by_version.setdefault(row["version"], []).append(row)
    for version, bad in sorted(by_version.items()):
        verb = "runs" if len(bad) == 1 else "run"
        yield (
            f"{_named('Proxy', bad)} {verb} version {version}, the control plane is {' and '.join(theirs)};"
            " restart the workloads."
        )


def _plural(text: str) -> str:
    return text.replace("is connected", "are connected", 1)


def _named(kind: str, rows: list[Mapping[str, Any]]) -> str:
    names = [f"{row['namespace']}/{row['name']}" for row in rows[:_NAMES_SHOWN]]
    if len(rows) == 1:
        return f"{kind} {names[0]}"
    more = f" and {len(rows) - _NAMES_SHOWN} more" if len(rows) > _NAMES_SHOWN else ""
    return f"{len(rows)} proxies ({', '.join(names)}{more})"
