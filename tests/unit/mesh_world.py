# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the modules that look at a mesh share: an istioctl that is a shell script, a few objects."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube

RECORDED = Path(__file__).parent / "recorded"
READY = [{"type": "Ready", "status": "True"}]
GATEWAY = {"istio": "ingressgateway"}


def obj(kind, name, namespace=None, labels=None, annotations=None, **rest):
    meta = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **rest}


def pod(name, namespace, labels=None, proxy="", *, ready=True, phase="Running", **spec):
    containers = [{"name": "app", "image": "x"}]
    if proxy:
        kind, _colon, version = proxy.partition(":")
        image = f"docker.io/istio/proxyv2:{version or '1.32.0-lab.1'}"
        containers.append({"name": "istio-proxy", "image": image, "args": ["proxy", kind]})
    status = {"phase": phase, "conditions": READY if ready else []}
    return obj("Pod", name, namespace, labels, status=status, spec={"containers": containers, **spec})


def webhook(name, revision, selector, tag=""):
    labels = {"istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {})}
    hook = {"name": "namespace.sidecar-injector.istio.io", "namespaceSelector": {"matchLabels": selector}}
    return obj("MutatingWebhookConfiguration", name, None, labels, webhooks=[hook])


def service(name, namespace, selector, kind="LoadBalancer", *, ip=None, ports=None, **spec):
    ports = ports or [
        {"name": "status-port", "port": 15021, "nodePort": 30021},
        {"name": "http2", "port": 80, "nodePort": 30080},
        {"name": "https", "port": 443, "nodePort": 30443},
        {"name": "tcp", "port": 31400, "nodePort": 31400},
    ]
    status = {"loadBalancer": {"ingress": [{"ip": ip}]} if ip else {}}
    return obj(
        "Service", name, namespace, spec={"type": kind, "selector": selector, "ports": ports, **spec}, status=status
    )


def node(name, ready=True, **addresses):
    listed = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return obj("Node", name, status={"conditions": READY if ready else [], "addresses": listed})


def istiod(version="1.32.0-lab.1", revision="default", name="istiod"):
    labels = {"app": "istiod", "istio.io/rev": revision, "operator.istio.io/version": version}
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    container = {"name": "discovery", "image": f"docker.io/istio/pilot:{version}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels, "generation": 1},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
        "status": status,
    }


class Cluster:
    """The part of Kube that the modules read."""

    absent = False
    kubeconfig = ("/k",)
    context = None

    def __init__(self, *objects, kubernetes="1.36.3"):
        self.objects, self.kubernetes = list(objects), kubernetes
        self.answers = {}

    def version(self):
        return self.kubernetes

    def get(self, _api_version, kind, name, namespace=None):
        for obj in self.list(None, kind, namespace):
            if obj["metadata"]["name"] == name:
                return obj
        return None

    def list(self, _api_version, kind, namespace=None, label_selector=None, **_how):
        key, equals, value = (label_selector or "").partition("=")
        found = [obj for obj in self.objects if obj["kind"] == kind]
        for_labels = [(obj, obj["metadata"].get("labels") or {}) for obj in found]
        return [
            obj
            for obj, labels in for_labels
            if (namespace is None or obj["metadata"].get("namespace") == namespace)
            and (not key or (labels.get(key) == value if equals else key in labels))
        ]

    def exec(self, namespace, pod, container, argv, timeout):
        assert (container, argv) == ("discovery", ["pilot-discovery", "request", "GET", "/debug/syncz"])
        answer = self.answers[f"{namespace}/{pod}"]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def no_cluster():
    return AbsentKube("there is no kubeconfig")


def use(monkeypatch, cluster):
    monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: cluster))
    return cluster


def program(tmp_path, version="1.32", script="exit 3", log="/dev/null"):
    """Returns the path of an istioctl that answers `version` with a recorded answer and runs the script otherwise."""
    path = tmp_path / "istioctl"
    answer = RECORDED / f"istioctl_version_{version}.json"
    path.write_text(f'#!/bin/sh\nif [ "$1" = version ]; then exec cat {answer}; fi\necho "$@" >> {log}\n{script}\n')
    path.chmod(0o755)
    return str(path)
