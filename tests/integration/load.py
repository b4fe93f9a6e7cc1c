# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Constant load on the lab's mesh, from a pod with a sidecar and through the gateway; failed requests are counted."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

import urllib3

from tests.support import kubectl, kubectl_apply

NAMESPACE, POD = "load", "client"
IMAGE = "docker.io/meshops/load:0.1.0"
PORT = 9099
CONNECTIONS = 4
RETRIES_OFF = {"x-envoy-max-retries": "0"}


def gateway_address() -> str:
    """The address of the ingress gateway."""
    service = kubectl("-n", "istio-system", "get", "service", "istio-ingressgateway", "-o", "json")
    return service["status"]["loadBalancer"]["ingress"][0]["ip"]


def client_pod(name: str, url: str) -> None:
    """Starts a pod with a sidecar that asks for the address over and over, and waits until it has had answers."""
    labels = {"name": NAMESPACE, "labels": {"istio-injection": "enabled"}}
    arguments = ["-url", url, "-connections", str(CONNECTIONS), "-port", str(PORT)]
    spec = {"containers": [{"name": "client", "image": IMAGE, "args": arguments}], "terminationGracePeriodSeconds": 1}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    kubectl_apply({"apiVersion": "v1", "kind": "Namespace", "metadata": labels})
    kubectl("-n", NAMESPACE, "delete", "pod", name, "--ignore-not-found", "--wait")
    kubectl_apply(pod)
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
    deadline = time.monotonic() + 30
    while counts_of(name)["200"] < 50:
        assert time.monotonic() < deadline, counts_of(name)
        time.sleep(0.2)


def counts_of(name: str) -> Counter[str]:
    """How many answers of each class the pod has had so far."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:{PORT}/proxy/"
    return Counter(json.loads(kubectl("get", "--raw", path)))


class Watched:
    """What came of the requests while a block ran; `good` and `failed` are filled at its end."""

    def __init__(self) -> None:
        self.good, self.failed = 0, Counter[str]()

    def table(self) -> str:
        """The classes of all requests, one a line."""
        return "\n".join([f"{'200':<40} {self.good}", *(f"{name:<40} {count}" for name, count in self.failed.items())])


@contextlib.contextmanager
def through_the_sidecar(url: str) -> Iterator[Watched]:
    """Has a pod with a sidecar ask for the address while the block runs, and counts what its requests come to."""
    client_pod(POD, url)
    before, watched = counts_of(POD), Watched()
    try:
        yield watched
        seen = counts_of(POD) - before
        watched.good = seen.pop("200", 0)
        watched.failed = seen
    finally:
        kubectl("-n", NAMESPACE, "delete", "pod", POD, "--wait=false")


@contextlib.contextmanager
def through_the_gateway(path: str, wanted: bytes, host: str | None = None) -> Iterator[Watched]:
    """Asks the gateway over and over on kept connections; an answer without `wanted` in it is a failed one."""
    watched, stop, lock = Watched(), threading.Event(), threading.Lock()
    headers = {**RETRIES_OFF, **({"Host": host} if host else {})}
    pool = urllib3.HTTPConnectionPool(gateway_address(), 80, maxsize=CONNECTIONS, block=True, timeout=10)

    def ask() -> None:
        while not stop.is_set():
            try:
                answer = pool.request("GET", path, headers=headers, retries=False, redirect=False)
                good = answer.status == 200 and wanted in answer.data
                seen = "" if good else f"{answer.status} {answer.data[:60]!r}"
            except urllib3.exceptions.HTTPError as error:
                seen = type(error).__name__
            with lock:
                if seen:
                    watched.failed[seen] += 1
                else:
                    watched.good += 1
            stop.wait(0.01)

    threads = [threading.Thread(target=ask) for _number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield watched
    finally:
        stop.set()
        for thread in threads:
            thread.join()
