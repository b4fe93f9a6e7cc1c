# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation of the traffic modules runs on the lab as it stands there."""

from __future__ import annotations

import ast
import contextlib
import subprocess
from base64 import b64encode

import pytest
import yaml

from tests.integration.cases import API, NAMESPACE, destination_rule, entry, service
from tests.integration.load import gateway_address
from tests.integration.playbooks import kept, results, send, warnings_of
from tests.integration.tasks import task
from tests.support import PROJECT, kubectl, kubectl_apply

MODULES = sorted([*(path.stem for path in (PROJECT / "plugins" / "modules").glob("traffic_*.py")), "istio_gateway"])
REVIEWS = {"host": "reviews", "namespace": NAMESPACE}


def examples(module: str) -> str:
    """The text of EXAMPLES of a module."""
    tree = ast.parse((PROJECT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    (text,) = (
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES"
    )
    return text


def istio(kind: str, name: str, spec: dict) -> dict:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


# --- what the examples take for granted ---


def certificate(folder, name: str) -> tuple[bytes, bytes]:
    """A certificate of its own authority and its key, in PEM."""
    paths = [folder / f"{name}.{kind}" for kind in ("crt", "key")]
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    subprocess.run([*argv, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths[0].read_bytes(), paths[1].read_bytes()


def secret(name: str, namespace: str, pair: tuple[bytes, bytes], authority: bool = False) -> dict:
    parts = {"tls.crt": pair[0], "tls.key": pair[1], **({"ca.crt": pair[0]} if authority else {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: b64encode(value).decode() for key, value in parts.items()},
    }


@contextlib.contextmanager
def for_istio_gateway(folder):
    """The Secret of bookinfo, and a namespace sales with a pod of the gateway of the partners and their Secret."""
    gateway = kubectl("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway", "-o", "json")
    image = gateway["items"][0]["spec"]["containers"][0]["image"]
    labels = {"istio": "partners-gateway"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "partners-gateway", "namespace": "sales", "labels": labels},
        "spec": {"containers": [{"name": "sleeps", "image": image, "command": ["sleep", "600"]}]},
    }
    kubectl_apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sales"}})
    kubectl("-n", "sales", "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    pairs = [certificate(folder, name) for name in ("bookinfo.example.com", "partners.example.com")]
    send("create", secret("bookinfo-certificate", "istio-system", pairs[0]))
    send("create", pod, secret("partners-certificate", "sales", pairs[1], authority=True))
    try:
        yield
    finally:
        kubectl("-n", "istio-system", "delete", "secret", "bookinfo-certificate")
        kubectl("delete", "namespace", "sales", "--wait=false")


@contextlib.contextmanager
def for_traffic_probe(_folder):
    """A route whose answers have the header of an application, and one of TCP with a split of 80 to 20."""
    header = {"response": {"set": {"x-app-version": "1.2"}}}
    page = {"match": [{"uri": {"exact": "/api"}}], "rewrite": {"uri": "/productpage"}, "headers": header}
    server = {"port": {"number": 31400, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]}
    split = [entry("probed", "v1", 80), entry("probed", "v2", 20)]
    kubectl_apply(service("probed"), destination_rule("probed"))
    kubectl_apply(
        istio("Gateway", "probed", {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
        istio(
            "VirtualService",
            "probed",
            {
                "hosts": ["*"],
                "gateways": ["bookinfo-gateway"],
                "http": [{**page, "route": [{"destination": {"host": "productpage", "port": {"number": 9080}}}]}],
            },
        ),
        istio(
            "VirtualService",
            "probed-tcp",
            {"hosts": ["*"], "gateways": ["probed"], "tcp": [{"match": [{"port": 31400}], "route": split}]},
        ),
    )
    try:
        for path in ("/api", ":31400/reviews/0"):
            asked = {"url": f"http://{gateway_address()}{path}"}
            wait = {"until": "it is succeeded", "register": "it", "retries": 60, "delay": 0.5}
            results([{"name": f"Wait for {path}", "ansible.builtin.uri": asked, **wait}])
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "service", "probed")


@contextlib.contextmanager
def for_traffic_rollback(_folder):
    """Two changes, the first of which gave a name to the state before it."""
    task("split", **REVIEWS, weights={"v3": 1}, point="before-v3")
    task("split", **REVIEWS, weights={"v1": 1})
    yield


NEEDS = {
    "istio_gateway": for_istio_gateway,
    "traffic_probe": for_traffic_probe,
    "traffic_rollback": for_traffic_rollback,
}


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, tmp_path):
    text = examples(module)
    if module == "traffic_probe":
        text = text.replace("10.0.0.200", gateway_address())
    tasks = yaml.safe_load(text)
    assert tasks
    with kept(), NEEDS.get(module, contextlib.nullcontext)(tmp_path):
        found = results(tasks)
    assert [result["name"] for result in found] == [item["name"] for item in tasks]
    assert any(result["action"] == f"meshops.istio.{module}" for result in found)
    told = {result["name"]: warnings_of(result) for result in found if warnings_of(result)}
    print(f"{module}: {len(found)} examples, warnings: {told}")
    # a warning of an example is one that every reader gets
    assert not told


def test_every_module_was_found():
    assert len(MODULES) == 10
