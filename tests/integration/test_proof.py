# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task says when the mesh does not take over what was written, and that a gateway serves what it is told to."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.load import gateway_address
from tests.integration.tasks import task
from tests.support import kubectl, kubectl_apply, on

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError  # isort: skip - after tasks

REVIEWS = {"host": "reviews", "namespace": "bookinfo"}
CRDS = "github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.0/experimental-install.yaml"


@pytest.fixture(autouse=True)
def reviews_as_it_was():
    task("split", **REVIEWS, weights={"v1": 50, "v3": 50})
    yield
    task("split", **REVIEWS, weights={"v1": 50, "v3": 50})


def refused(**options) -> MeshopsError:
    with pytest.raises(MeshopsError) as refusal:
        task("split", **REVIEWS, **options)
    assert refusal.value.result["changed"]
    return refusal.value


def test_a_proxy_that_refuses_its_configuration_is_named_at_once():
    # Envoy refuses a cluster with an impossible window; istiod passes it on
    patch = {"operation": "MERGE", "value": {"route": {"max_stream_duration": {"max_stream_duration": "-1s"}}}}
    spec = {
        "workloadSelector": {"labels": {"app": "productpage"}},
        "configPatches": [{"applyTo": "HTTP_ROUTE", "match": {"context": "SIDECAR_OUTBOUND"}, "patch": patch}],
    }
    name = {"name": "broken", "namespace": "bookinfo"}
    kubectl_apply({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": name, "spec": spec})
    try:
        started = time.monotonic()
        error = refused(weights={"v1": 30, "v3": 70}, wait_timeout=60.0)
        assert "is written, but" in str(error) and "not yet in force in 1 of" in str(error)
        assert "bookinfo/productpage-" in str(error) and "refused its RouteConfiguration" in str(error)
        assert time.monotonic() - started < 30
    finally:
        kubectl("-n", "bookinfo", "delete", "envoyfilter", "broken")


def test_without_istiod_a_split_is_written_and_not_called_in_force():
    kubectl("-n", "istio-system", "scale", "deployment", "istiod", "--replicas=0")
    kubectl("-n", "istio-system", "wait", "--for=delete", "pod", "-l", "app=istiod", "--timeout=90s")
    webhook = json.dumps([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}])
    validator = "validatingwebhookconfiguration"
    for one in ("istio-validator-istio-system", "istiod-default-validator"):
        kubectl("patch", validator, one, "--type=json", "-p", webhook)
    try:
        error = refused(weights={"v1": 20, "v3": 80}, wait_timeout=3.0)
        assert re.search(r"is written, but after [\d.]+ s not yet in force in (\d+) of \1 proxies", str(error))
    finally:
        kubectl("-n", "istio-system", "scale", "deployment", "istiod", "--replicas=1")
        kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", "--timeout=120s")
    # the same task after that: it is written, and the next change is proved again
    assert task("split", **REVIEWS, weights={"v1": 21, "v3": 79}, wait_timeout=90.0)["proof"]["proxies"] > 3


@pytest.fixture
def certificate(tmp_path: Path):
    """A certificate for shop.example.com as a Secret beside the gateway's pods; returns its file."""
    files = [str(tmp_path / name) for name in ("key.pem", "cert.pem")]
    subject = ["-subj", "/CN=shop.example.com", "-addext", "subjectAltName=DNS:shop.example.com"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-keyout",
            *files[:1],
            "-out",
            files[1],
        ]
        + subject,
        check=True,
        capture_output=True,
    )
    data = {"tls.key": Path(files[0]).read_text(), "tls.crt": Path(files[1]).read_text()}
    metadata = {"name": "shop-certificate", "namespace": "istio-system"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata,
        "stringData": data,
    }
    kubectl_apply(secret)
    yield files[1]
    kubectl("-n", "istio-system", "delete", "secret", "shop-certificate")


def test_a_gateway_ends_tls_and_redirects_to_it(certificate: str):
    gateway = {"name": "shop", "namespace": "bookinfo"}
    tls = {"credential": "shop-certificate", "min_protocol": "tls1_3"}
    assert task("gateway", **gateway, hosts=["shop.example.com"], tls=tls, redirect=True)["changed"]
    route = {
        "hosts": ["shop.example.com"],
        "gateways": ["shop"],
        "http": [{"route": [{"destination": {"host": "productpage"}}]}],
    }
    metadata = {"name": "shop", "namespace": "bookinfo"}
    kubectl_apply(
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": route}
    )
    try:
        assert not task("gateway", **gateway, hosts=["shop.example.com"], tls=tls, redirect=True)["changed"]
        assert _page(certificate, 30.0)
        status, location = _redirect()
        assert (status, location) == (301, "https://shop.example.com/productpage")
        assert task("gateway", **gateway, state="absent")["after"] == {}
    finally:
        kubectl("-n", "bookinfo", "delete", "virtualservice/shop", "gateway/shop", "--ignore-not-found")


def _page(certificate: str, timeout: float) -> bool:
    """Whether the page comes over TLS with the certificate, before the timeout."""
    deadline = time.monotonic() + timeout
    argv = [
        "curl",
        "-sS",
        "--cacert",
        certificate,
        "--resolve",
        f"shop.example.com:443:{gateway_address()}",
        "--max-time",
        "5",
    ]
    while True:
        done = subprocess.run(
            [*argv, "https://shop.example.com/productpage"], capture_output=True, text=True, check=False
        )
        if "Simple Bookstore App" in done.stdout:
            return True
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.5)


def _redirect() -> tuple[int, str]:
    request = urllib.request.Request(f"http://{gateway_address()}/productpage", headers={"Host": "shop.example.com"})

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args):
            return None

    opener = urllib.request.build_opener(Stay(), urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Location"]


def test_a_split_of_the_gateway_api():
    with pytest.raises(MeshopsError, match=r"no kind HTTPRoute in gateway\.networking\.k8s\.io/v1"):
        task("split", **REVIEWS, weights={"reviews-one:9080": 1}, api="gateway")
    manifest = on("depot", "cat", f"/srv/content/files/{CRDS}")
    on_n1 = ["docker", "exec", "-i", "meshops-n1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
    apply = [*on_n1, "apply", "--server-side", "-f", "-"]
    subprocess.run(apply, input=manifest, text=True, check=True, capture_output=True)
    services = [_service(f"reviews-{word}", version) for word, version in (("one", "v1"), ("two", "v2"))]
    kubectl_apply(*services, _service("split", None))
    split = {"host": "split", "namespace": "bookinfo", "api": "gateway"}
    try:
        _wait_for_kind()
        made = task("split", **split, weights={"reviews-one:9080": 3, "reviews-two:9080": 1}, wait_timeout=60.0)
        assert made["changed"] and made["proof"]["proxies"] > 3
        assert made["after"]["kind"] == "HTTPRoute"
        again = task("split", **split, weights={"reviews-one:9080": 75, "reviews-two:9080": 25})
        assert not again["changed"]
        moved = task("split", **split, weights={"reviews-one:9080": 1, "reviews-two:9080": 9})
        assert moved["proof"]["proxies"] == made["proof"]["proxies"]
        (route,) = task("info", host="split", namespace="bookinfo")["objects"]
        assert route["routes"][0]["effective"] == {"reviews-one.bookinfo": 10, "reviews-two.bookinfo": 90}
        assert not route["edited_by_hand"]
        assert task("split", **split, state="absent")["changed"]
        assert kubectl("-n", "bookinfo", "get", "httproutes", "-o", "json")["items"] == []
    finally:
        kubectl("-n", "bookinfo", "delete", "service", "reviews-one", "reviews-two", "split")
        subprocess.run(
            [*on_n1, "delete", "--wait=false", "-f", "-"], input=manifest, text=True, check=True, capture_output=True
        )


def _service(name: str, version: str | None) -> dict:
    selector = {"app": "reviews", **({"version": version} if version else {})}
    spec = {"ports": [{"name": "http", "port": 9080}], "selector": selector}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bookinfo"}, "spec": spec}


def _wait_for_kind() -> None:
    kubectl("wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=60s")
