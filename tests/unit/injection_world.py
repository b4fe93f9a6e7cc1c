# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster in memory whose webhooks inject: what a dry-run pod gets follows from the webhooks and labels it has."""

from __future__ import annotations

import copy
import json
import types

from ansible_collections.meshops.istio.plugins.module_utils import injection, injectors, manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube, NotFound, WaitTimeout

ADMISSION = injectors.ADMISSION
NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}
SYSTEM = "istio-system"


def rule(key, operator, *values):
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def selectors(value, unnamed, everywhere=False):
    """The selectors of a revision's or a tag's webhooks, as the charts of 1.24 to 1.32 have them."""
    wanted = rule("sidecar.istio.io/inject", "NotIn", "false")
    neither = [rule("istio.io/rev", "DoesNotExist"), rule("istio-injection", "DoesNotExist")]
    yield (
        "rev.namespace.",
        [rule("istio.io/rev", "In", value), rule("istio-injection", "DoesNotExist")],
        [wanted],
    )
    yield "rev.object.", neither, [wanted, rule("istio.io/rev", "In", value)]
    if unnamed:
        yield "namespace.", [rule("istio-injection", "In", "enabled")], [wanted]
        asked = [rule("sidecar.istio.io/inject", "In", "true"), rule("istio.io/rev", "DoesNotExist")]
        yield "object.", neither, asked
    if everywhere:
        unsaid = [rule("sidecar.istio.io/inject", "DoesNotExist"), rule("istio.io/rev", "DoesNotExist")]
        yield "auto.", [*neither, rule("kubernetes.io/metadata.name", "NotIn", "kube-system")], unsaid


def webhook(revision="default", tag="", *, off=False, everywhere=False, service=None, annotations=None):
    """The MutatingWebhookConfiguration of a revision, or of a tag that points to it."""
    suffix = "" if revision == "default" else f"-{revision}"
    name = f"istio-revision-tag-{tag}" if tag else f"istio-sidecar-injector{suffix}"
    to = {"service": {"name": service or f"istiod{suffix}", "namespace": SYSTEM, "path": "/inject", "port": 443}}
    value, unnamed = tag or revision, (tag or revision) == "default"
    hooks = [
        {
            "name": f"{prefix}sidecar-injector.istio.io",
            "clientConfig": to,
            "namespaceSelector": NEVER if off else {"matchExpressions": spaces},
            "objectSelector": NEVER if off else {"matchExpressions": pods},
        }
        for prefix, spaces, pods in selectors(value, unnamed, everywhere)
    ]
    labels = {"istio.io/rev": revision, "app": "sidecar-injector", **({"istio.io/tag": tag} if tag else {})}
    metadata = {"name": name, "labels": labels, **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": ADMISSION, "kind": "MutatingWebhookConfiguration", "metadata": metadata, "webhooks": hooks}


def usual():
    """What `istioctl install` leaves: the injector switched off, the tag default in its place."""
    return [webhook(off=True), webhook(tag="default")]


def namespace(name, **labels):
    named = {"kubernetes.io/metadata.name": name, **{key.replace("__", "/"): value for key, value in labels.items()}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": named}}


def proxied(pod, revision, version, native=False):
    """A pod or template with a sidecar, as the webhook leaves it."""
    pod = copy.deepcopy(pod)
    place = "initContainers" if native else "containers"
    pod["spec"].setdefault(place, []).append({"name": "istio-proxy", "image": f"docker.io/istio/proxyv2:{version}"})
    status = json.dumps({"containers": ["istio-proxy"], "revision": revision})
    pod["metadata"].setdefault("annotations", {})["sidecar.istio.io/status"] = status
    return pod


class World:
    """The part of Kube that injection, tags and restarts use.

    versions: version of the proxies by revision, "" a revision whose istiod puts in nothing; down: revisions whose
    webhook does not answer; script: functions of this world, each run before one wait.
    """

    absent = False
    kubeconfig = ()
    context = None

    def __init__(self, *objects, **versions):
        self.objects, self.counter = {}, 0
        self.versions = {key.replace("_", "-"): value for key, value in versions.items()} or {"default": "1.31.1"}
        self.writes, self.probes, self.script, self.errors = [], [], [], {}
        self.transport = types.SimpleNamespace(webhook_timeout=30.0, request=self._request)
        for obj in objects:
            self.put(obj)

    def put(self, obj):
        obj = copy.deepcopy(obj)
        obj["metadata"].setdefault("uid", f"{obj['kind']}-{obj['metadata']['name']}")
        self.objects[manifests.identity(obj)] = obj
        return obj

    def live(self, kind, name, space="demo"):
        return next(
            (
                item
                for key, item in self.objects.items()
                if (key.kind, key.name) == (kind, name) and key.namespace in ("", space)
            ),
            None,
        )

    def remove(self, obj):
        self.objects.pop(manifests.identity(obj), None)

    # --- what a Kube does ---

    def resource(self, api_version, kind):
        return types.SimpleNamespace(api_version=api_version, kind=kind, plural=kind, namespaced=kind != "Namespace")

    def get(self, api_version, kind, name, space=None):
        return copy.deepcopy(self.objects.get(manifests.Identity(api_version, kind, space or "", name)))

    def list(self, _api_version, kind, space=None, label_selector=None):
        wanted = dict(item.split("=") for item in (label_selector or "").split(",") if item)
        return [
            copy.deepcopy(item)
            for key, item in sorted(self.objects.items())
            if key.kind == kind
            and space in (None, key.namespace)
            and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def delete(self, api_version, kind, name, space=None):
        self.writes.append(f"delete {kind} {name}")
        return self.objects.pop(manifests.Identity(api_version, kind, space or "", name), None) is not None

    def create(self, pod, dry_run=False):
        assert dry_run
        where = pod["metadata"]["namespace"]
        self.probes.append((where, pod["metadata"]["name"]))
        if where in self.errors:
            raise self.errors[where]
        return self.injected(pod)

    def wait(self, api_version, kind, name, space, predicate, timeout):  # noqa: PLR0917 - as Kube has it
        assert timeout >= 0
        for step in [*self.script]:
            self.script.remove(step)
            step(self)
            found = self.get(api_version, kind, name, space)
            if predicate(found):
                return found or {}
        found = self.get(api_version, kind, name, space)
        if predicate(found):
            return found or {}
        raise WaitTimeout(f"{kind} {name} was not as wanted within {timeout:.0f} s.", found)

    # ---

    def injected(self, pod):
        """The pod as the webhooks make it."""
        space = self.live("Namespace", pod["metadata"]["namespace"])
        if space is None:
            raise NotFound("no such namespace", 404)
        found = injectors.injectors(self.list(ADMISSION, "MutatingWebhookConfiguration"))
        taking = injectors.injector_of(found, space["metadata"]["name"], space["metadata"].get("labels") or {}, pod)
        version = self.versions.get(taking.revision, "") if taking else ""
        return proxied(pod, taking.revision, version) if version else copy.deepcopy(pod)

    def _request(self, method, path, what, query, body, *, content_type):
        assert (method, content_type) == ("PATCH", "application/merge-patch+json")
        assert query == {"fieldManager": "meshops.istio"}
        kind, name = path.split("/")[-2:]
        obj = self.live(kind, name)
        if obj is None:
            raise NotFound(what, 404)
        self.writes.append(f"patch {kind} {name}")
        merged = manifests.merge(obj, body)
        if kind != "Namespace":
            merged["metadata"]["generation"] = obj["metadata"].get("generation", 0) + 1
        merged = self.put(merged)
        if kind in rollout.WORKLOADS:
            self.began(merged)
        return copy.deepcopy(merged)

    def began(self, obj):
        """The rollout of a workload ends at the next wait, with new pods as the webhooks make them."""
        self.script.append(lambda world: world.rolled(obj["kind"], obj["metadata"]["name"]))

    def rolled(self, kind, name):
        obj = self.live(kind, name)
        for pod in self.list("v1", "Pod"):
            if pod["metadata"]["labels"].get("app") == name:
                self.remove(pod)
        self.counter += 1
        _dummy, *made = workload(kind, name, template=obj["spec"]["template"], turn=str(self.counter), world=self)
        for item in made:
            self.put(item)
        obj["status"] = status_of(kind, obj["metadata"].get("generation", 1), str(self.counter))
        if kind == "Deployment":
            obj["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(self.counter)}


def status_of(kind, generation, turn):
    done = {"observedGeneration": generation}
    if kind == "DaemonSet":
        return {**done, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
    if kind == "StatefulSet":
        hashes = {"updateRevision": f"h{turn}", "currentRevision": f"h{turn}"}
        return {**done, **hashes, "updatedReplicas": 2, "readyReplicas": 2}
    conditions = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {**done, **counts, "conditions": conditions}


def workload(kind, name, *, template=None, turn="0", world=None, sidecar=None, space="demo", **spec):
    """A workload that is rolled out, and what its controller made of it: two pods with the sidecar (or the world's)."""
    base = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "x/app:1"}]}}
    template = copy.deepcopy(template or base)
    meta = {"name": name, "namespace": space, "uid": f"{kind}-{name}", "generation": 1}
    obj = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
        "status": status_of(kind, 1, turn),
    }
    yield obj
    owner = {"kind": kind, "name": name, "uid": meta["uid"], "controller": True}
    made = {"name": f"{name}-{turn}", "namespace": space, "uid": f"made-{name}-{turn}", "ownerReferences": [owner]}
    labels = {"controller-revision-hash": f"h{turn}"}
    if kind == "Deployment":
        meta["annotations"] = made["annotations"] = {"deployment.kubernetes.io/revision": turn}
        yield {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": made}
        owner = {"kind": "ReplicaSet", "name": made["name"], "uid": made["uid"], "controller": True}
        labels = {"pod-template-hash": f"h{turn}"}
    else:
        yield {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {**made, "labels": labels},
            "revision": int(turn),
        }
    for number in range(2):
        one = pod(f"{name}-{turn}-{number}", owner, template, space, **labels)
        if world is not None:
            one = world.injected(one)
        yield proxied(one, *sidecar) if sidecar else one


def pod(name, owner=None, template=None, space="demo", **labels):
    template = copy.deepcopy(template or {"spec": {"containers": [{"name": "app", "image": "x/app:1"}]}})
    meta = template.get("metadata") or {}
    meta = {**meta, "labels": {**(meta.get("labels") or {}), **labels}, "name": name, "namespace": space}
    if owner:
        meta["ownerReferences"] = [owner]
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"phase": "Running"}}
    return {**found, "spec": template["spec"]}


def budget(name, allowed, space="demo", **match):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": space},
        "spec": {"selector": {"matchLabels": match}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2},
    }


def run(monkeypatch, world, mode="on", check=False, **options):
    """istio_injection on the namespace demo of a world; the diff is made."""
    monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: world))
    given = {"namespace": "demo", "mode": mode, "revision": None, "restart": False, "timeout": 1, **options}
    result = injection.core(given, check)
    result["diff"] = result["diff"]() if "diff" in result else []
    return result


FREE = namespace("default")
