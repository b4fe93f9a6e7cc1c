# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster with Gateways, their pods and Secrets; key pairs are made anew in each run."""

from __future__ import annotations

import base64
import copy
import subprocess
from dataclasses import replace

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.traffic.gateways import Tls, Wish
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import API_VERSION
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import gateway

PLAIN = Wish("bookinfo", "demo", ("bookinfo.example.com",))
SECURE = replace(PLAIN, tls=Tls("web"), redirect=True)
MUTUAL = replace(PLAIN, tls=Tls("web", "MUTUAL"))
KEY = ("Gateway", "demo", "bookinfo")
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
RSA = ("-newkey", "rsa:2048")


def key_pair(folder, algorithm):
    paths = folder / "certificate.pem", folder / "key.pem"
    argv = ["openssl", "req", "-x509", *algorithm, "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*argv, "-out", str(paths[0]), "-keyout", str(paths[1])], check=True, capture_output=True)
    return tuple(path.read_bytes() for path in paths)


def obj(kind, namespace, name, api_version="v1", labels=None, **content):
    metadata = {"name": name, "namespace": namespace, "resourceVersion": "1", "labels": labels or {}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def pod(namespace="istio-system", **status):
    return obj("Pod", namespace, "gw", labels={"istio": "ingressgateway", "app": "x"}, status=status)


def secret(certificate, key, namespace="istio-system", name="web", **more):
    data = {"tls.crt": certificate, "tls.key": key, **more}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return obj("Secret", namespace, name, type="kubernetes.io/tls", data=encoded)


def somebodys(*servers, name="bookinfo", **spec):
    content = {"selector": {"istio": "ingressgateway"}, "servers": list(servers), **spec}
    return obj("Gateway", "demo", name, API_VERSION, spec=content)


STRANGER = {"port": {"number": 9000, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"], "xNew": {"a": None}}


class FakeKube:
    """Objects by kind, namespace and name; resourceVersion counts writes; `script` runs before a write."""

    absent = False

    def __init__(self, *objects):
        self.objects = {(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}
        self.writes, self.dry_runs, self.script, self.served = [], [], [], True

    def resource(self, api_version, kind):
        assert (api_version, kind) == (API_VERSION, "Gateway")
        return "a resource" if self.served else None

    def get(self, api_version, kind, name, namespace=None):
        assert api_version == (API_VERSION if kind == "Gateway" else "v1")
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def list(self, api_version, kind, namespace=None, label_selector=None):
        wanted = dict(item.split("=") for item in label_selector.split(",")) if label_selector else {}
        return [
            copy.deepcopy(found)
            for key, found in sorted(self.objects.items())
            if key[0] == kind
            and namespace in (None, key[1])
            and wanted.items() <= found["metadata"].get("labels", {}).items()
        ]

    def create(self, obj, dry_run=False):
        return self._write(obj, dry_run, creating=True)

    def replace(self, obj, dry_run=False):
        return self._write(obj, dry_run, creating=False)

    def _write(self, obj, dry_run, creating):
        if self.script and not dry_run:
            self.script.pop(0)(self)
        key = obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]
        live = self.objects.get(key)
        if creating and live is not None:
            raise Conflict("exists", 409)
        if not creating and live is None:
            raise NotFound("is gone", 404)
        if not creating and live["metadata"]["resourceVersion"] != obj["metadata"].get("resourceVersion"):
            raise Conflict("changed", 409)
        (self.dry_runs if dry_run else self.writes).append(("create" if creating else "replace", key))
        result = copy.deepcopy(obj)
        result["metadata"].update(resourceVersion=str(len(self.writes) + 100), uid="u", managedFields=[{}])
        if not dry_run:
            self.objects[key] = result
        return copy.deepcopy(result)

    def delete(self, api_version, kind, name, namespace=None, *, dry_run=False, resource_version=None):
        assert api_version == API_VERSION
        (self.dry_runs if dry_run else self.writes).append(("delete", (kind, namespace, name)))
        return (self.objects.get if dry_run else self.objects.pop)((kind, namespace, name), None) is not None


def apply(kube, wish=PLAIN, present=True, check_mode=False, require_secret=True):
    result = gateway.apply(kube, wish, present, require_secret, check_mode)
    return {**result, "diff": result["diff"]()}


def refusal(*args, **options):
    with pytest.raises(MeshopsError) as caught:
        apply(*args, **options)
    return str(caught.value)
