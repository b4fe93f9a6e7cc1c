# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster and an istioctl that are a few lines each, for the tests of control_plane*.py."""

from __future__ import annotations

import copy
import json
import re

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, kube_paths, manifests
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import NotFound, WaitTimeout

ADMISSION = "admissionregistration.k8s.io/v1"
NEVER = {"matchLabels": {"istio.io/deactivated": "never-match"}}
SYSTEM = "istio-system"


def obj(kind, name, namespace=None, api_version="v1", **rest):
    labels = rest.pop("labels", None)
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), **({"labels": labels} if labels else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def injector(selector=None, bundle=None, name="istio-sidecar-injector", **labels):
    config = {
        "service": {"name": "istiod", "namespace": SYSTEM},
        **({"caBundle": bundle} if bundle else {}),
    }
    hook = {"name": "rev.object", "clientConfig": config, "namespaceSelector": selector or {"matchLabels": {"a": "b"}}}
    return obj("MutatingWebhookConfiguration", name, None, ADMISSION, webhooks=[hook], labels=labels)


def validator(policy, bundle=None, **labels):
    config = {"service": {"name": "istiod"}, **({"caBundle": bundle} if bundle else {})}
    hook = {"name": "rev.validation", "clientConfig": config, "failurePolicy": policy}
    return obj("ValidatingWebhookConfiguration", "istio-validator", None, ADMISSION, webhooks=[hook], labels=labels)


def istiod(image="docker.io/istio/pilot:1.31.1", replicas=None, name="istiod", **labels):
    spec = {"template": {"spec": {"containers": [{"name": "discovery", "image": image}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    found = obj("Deployment", name, SYSTEM, "apps/v1", spec=spec)
    if labels:
        found["metadata"]["labels"] = {"operator.istio.io/version": labels["version"]}
    return found


def gateway(name="istio-ingressgateway"):
    labels = {"app": name}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "istio-proxy"}]}},
    }
    return obj("Deployment", name, SYSTEM, "apps/v1", spec=spec)


def gateway_pod(name="istio-ingressgateway", **status):
    return obj("Pod", f"{name}-1", SYSTEM, labels={"app": name}, status={"phase": "Running", **status})


def istiod_pod():
    conditions = [{"type": "Ready", "status": "True"}]
    labels = {"app": "istiod", "istio.io/rev": "default"}
    return obj("Pod", "istiod-1", SYSTEM, labels=labels, status={"phase": "Running", "conditions": conditions})


def crd(plural="virtualservices", kind="VirtualService", group="networking.istio.io", version="v1", **meta):
    made = obj("CustomResourceDefinition", f"{plural}.{group}", None, "apiextensions.k8s.io/v1")
    made["metadata"].update(meta)
    made["spec"] = {
        "group": group,
        "names": {"kind": kind, "plural": plural},
        "versions": [{"name": "v1beta1"}, {"name": version, "storage": True}],
    }
    return made


HPA = obj(
    "HorizontalPodAutoscaler",
    "istiod",
    SYSTEM,
    "autoscaling/v2",
    spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "istiod"}},
)
MESH = obj("ConfigMap", "istio", SYSTEM, data={"mesh": "1"})
RENDERED = [injector(), validator("Ignore"), istiod(), HPA, MESH]


def default_tag(revision="default"):
    labels = {"app": "sidecar-injector", "istio.io/tag": "default", "istio.io/rev": revision}
    kept = {"install.operator.istio.io/owning-resource-not-pruned": "true", "operator.istio.io/component": "Pilot"}
    found = injector(name=compare.DEFAULT_TAG_WEBHOOK)
    found["metadata"]["labels"] = {**labels, **kept, "install.operator.istio.io/owning-resource-namespace": SYSTEM}
    return found


def params(**options):
    given = {
        "kubeconfig": None,
        "context": None,
        "istioctl": "istioctl",
        "profile": "default",
        "hub": "docker.io/istio",
        "tag": None,
        "revision": None,
        "manifests": None,
        "files": None,
        "spec": None,
        "values": None,
        "set": None,
        "namespace": SYSTEM,
        "timeout": 1,
        "state": "present",
        "purge": False,
        "confirm_purge": False,
        "save_to": None,
    }
    return {**given, **options}


def selected(item, selector):
    """Tell whether the object's labels fit `a=b`, `a` and `a in (b,c)`, all of them."""
    labels = item["metadata"].get("labels") or {}
    for part in re.split(r",(?![^(]*\))", selector or ""):
        within = re.fullmatch(r"(\S+) in \((.*)\)", part)
        key, equals, value = part.partition("=")
        if within and labels.get(within[1]) not in within[2].split(","):
            return False
        if not within and equals and labels.get(key) != value:
            return False
        if not within and not equals and part and part not in labels:
            return False
    return True


def refuse(error: Exception) -> None:
    """Raise what a test wants to be raised."""
    raise error


class Cluster:
    """The part of Kube that control_plane*.py use, over a dictionary.

    denied: pairs of verb and plural that the user may not; proxies: what istiod answers for /debug/syncz;
    logs: by pod and container, what was said before a restart.
    """

    absent = False
    kubeconfig = ()
    context = None

    def __init__(self, *objects, version="1.36.3", probe=None):
        self.objects = {manifests.identity(item): copy.deepcopy(item) for item in objects}
        self.writes, self.deletes = [], []
        self.kubernetes = version
        self.probe = probe or {"spec": {"containers": [{"name": "istio-proxy"}]}}
        self.denied, self.proxies, self.logs, self.conflicts = set(), [], {}, []

    def put(self, *items):
        for item in items:
            self.objects[manifests.identity(item)] = copy.deepcopy(item)

    def version(self):
        return self.kubernetes

    def resource(self, api_version, kind):
        core = kube_paths.CORE.get((api_version, kind))
        return core or kube_paths.Resource(api_version, kind, f"{kind.lower()}s", True)

    def get(self, api_version, kind, name, namespace=None):
        return copy.deepcopy(self.objects.get(manifests.Identity(api_version, kind, namespace or "", name)))

    def list(self, api_version, kind, namespace=None, label_selector=None):
        return [
            copy.deepcopy(item)
            for name, item in self.objects.items()
            if (name.api_version, name.kind) == (api_version, kind)
            and namespace in (None, name.namespace)
            and selected(item, label_selector)
        ]

    def apply(self, wanted, dry_run=False):
        result = manifests.merge(self.objects.get(manifests.identity(wanted), {}), wanted)
        if not dry_run:
            self.writes.append((wanted["kind"], wanted["metadata"]["name"], (wanted.get("data") or {}).get("state")))
            self.put(result)
        return copy.deepcopy(result)

    def replace(self, wanted):
        if self.conflicts:
            raise self.conflicts.pop()
        self.writes.append((wanted["kind"], wanted["metadata"]["name"], None))
        self.put(wanted)

    def create(self, wanted, dry_run=False):
        if wanted["kind"] == "SelfSubjectAccessReview":
            asked = wanted["spec"]["resourceAttributes"]
            return {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}}
        assert dry_run
        if isinstance(self.probe, Exception):
            raise self.probe
        return self.probe

    def delete(self, api_version, kind, name, namespace=None, propagation="Background"):
        self.deletes.append((kind, name))
        gone = self.objects.pop(manifests.Identity(api_version, kind, namespace or "", name), None)
        if kind == "CustomResourceDefinition" and gone:
            of = (f"{gone['spec']['group']}/v1", gone["spec"]["names"]["kind"])
            self.objects = {key: value for key, value in self.objects.items() if (key.api_version, key.kind) != of}
        if kind == "Namespace":
            self.objects = {key: value for key, value in self.objects.items() if key.namespace != name}
        return gone is not None

    def wait(self, api_version, kind, name, namespace, *how):
        live = self.get(api_version, kind, name, namespace)
        predicate, _timeout = how
        if not predicate(live):
            raise WaitTimeout("not yet", live)
        return live or {}

    def exec(self, _namespace, _pod, container, argv, timeout):
        assert (container, argv[0], timeout > 0) == ("discovery", "pilot-discovery", True)
        if isinstance(self.proxies, Exception):
            refuse(self.proxies)
        return json.dumps(
            [
                {"proxy": name, "istio_version": version, "cluster_sent": "a", "cluster_acked": "a"}
                for name, version in self.proxies
            ]
        )

    def log(self, namespace, pod, container, lines, *, previous=False):
        if (pod, container, previous) not in self.logs:
            raise NotFound(f"Cannot read the log of pod {namespace}/{pod}", 404)
        return "\n".join(self.logs[pod, container, previous].splitlines()[-lines:])


class Tool:
    """An istioctl that puts what it renders into the cluster, as the real one and istiod together leave it."""

    def __init__(self, cluster, rendered, version="1.31.1"):
        self.cluster, self.rendered, self.called = cluster, rendered, version
        self.installs, self.uninstalls = 0, []
        self.document = None
        self.failure, self.stuck = None, False

    def __call__(self, *_args):
        return self

    def version(self):
        if self.called is None:
            raise IstioctlMissing("There is no istioctl at istioctl")
        return self.called

    def render(self, cluster):
        if isinstance(self.rendered, Exception):
            raise self.rendered
        return copy.deepcopy(self.rendered)

    def labels(self):
        return {
            "operator.istio.io/managed": "Reconcile",
            "operator.istio.io/version": self.called,
            "operator.istio.io/component": "Pilot",
            "istio.io/rev": "default",
            "install.operator.istio.io/owning-resource-namespace": SYSTEM,
        }

    def install(self, seconds):
        self.installs += 1
        for item in self.rendered:
            made = copy.deepcopy(item)
            made["metadata"]["labels"] = {**(made["metadata"].get("labels") or {}), **self.labels()}
            if item["kind"] == "Deployment" and not self.stuck:
                made["status"] = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
            self.cluster.put(manifests.merge(self.cluster.objects.get(manifests.identity(item), {}), made))
            if self.failure:
                raise MeshopsError(self.failure)
        self.prune()
        if any(item["kind"] == "MutatingWebhookConfiguration" for item in self.rendered):
            changed = [
                default_tag(),
                injector(NEVER, "bundle", **self.labels()),
                validator("Fail", "bundle", **self.labels()),
            ]
            self.cluster.put(*changed)

    def prune(self):
        kept = {manifests.identity(item) for item in self.rendered}
        selector = ",".join(f"{key}={value}" for key, value in self.labels().items())
        for name, item in list(self.cluster.objects.items()):
            if name not in kept and name.kind != "CustomResourceDefinition" and selected(item, selector):
                del self.cluster.objects[name]

    def uninstall(self, revision, namespace, seconds):
        self.uninstalls.append((revision, namespace))
        if self.failure:
            raise MeshopsError(self.failure)
        selector = f"istio.io/rev={revision}" if revision else "operator.istio.io/component"
        for name, item in list(self.cluster.objects.items()):
            if selected(item, selector + ",operator.istio.io/component") and name.kind != "NetworkPolicy":
                self.cluster.objects.pop(name, None)


def run(check=False, **options):
    """Run the module's core, its diff made."""
    result = control_plane.core(params(**options), check)
    result["diff"] = result["diff"]() if "diff" in result else []
    return result
