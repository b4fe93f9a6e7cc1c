# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main job leaves behind, asked from the machines and the cluster themselves."""

from __future__ import annotations

import ipaddress
import json
import re
import sys
import urllib.request
from pathlib import Path

import pytest
import testinfra

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support import KUBECONFIG, audit_position, kubectl, play, writes_since

NODES = ["n1", "n2", "n3"]
PACKAGES = {"kubelet": "1.36.3", "kubeadm": "1.36.3", "kubectl": "1.36.3", "containerd.io": "2.3.4"}


@pytest.fixture(params=NODES, scope="module")
def node(request):
    # past Ansible: what a run says of itself is no proof
    return testinfra.get_host(f"docker://meshops-{request.param}")


@pytest.fixture(scope="module")
def gateway_address():
    service = kubectl("-n", "istio-system", "get", "service", "istio-ingressgateway", "-o", "json")
    return service["status"]["loadBalancer"]["ingress"][0]["ip"]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_has_its_version_and_is_held(node, name):
    assert node.package(name).version.startswith(PACKAGES[name])
    assert name in node.check_output("apt-mark showhold").split()


@pytest.mark.parametrize("name", ["containerd", "kubelet"])
def test_service_runs_and_starts_at_boot(node, name):
    assert node.service(name).is_running
    assert node.service(name).is_enabled


def test_swap_is_off(node):
    assert node.file("/proc/swaps").content_string.count("\n") == 1
    assert not re.search(r"^[^#].*\sswap\s", node.file("/etc/fstab").content_string, re.MULTILINE)


@pytest.mark.parametrize("key", ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"])
def test_sysctl(node, key):
    assert node.sysctl(key) == 1


def test_every_node_knows_every_name(node):
    for name in NODES:
        assert node.check_output("getent ahostsv4 %s", name).startswith("172.30.0.1")


def test_nodes_are_ready():
    nodes = kubectl("get", "nodes", "-o", "json")["items"]
    assert sorted(item["metadata"]["name"] for item in nodes) == NODES
    for item in nodes:
        conditions = {condition["type"]: condition["status"] for condition in item["status"]["conditions"]}
        assert conditions["Ready"] == "True"


def test_all_pods_run():
    pods = kubectl("get", "pods", "-A", "-o", "json")["items"]
    assert len(pods) > 20
    for pod in pods:
        ready = all(status["ready"] for status in pod["status"].get("containerStatuses", []))
        assert pod["status"]["phase"] == "Running" and ready, pod["metadata"]["name"]


def test_bookinfo_is_injected():
    for pod in kubectl("-n", "bookinfo", "get", "pods", "-o", "json")["items"]:
        names = [c["name"] for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])]
        assert "istio-proxy" in names, pod["metadata"]["name"]


def test_gateway_address_is_in_the_pool(gateway_address):
    first, last = (ipaddress.ip_address(f"172.30.0.{number}") for number in (200, 220))
    assert first <= ipaddress.ip_address(gateway_address) <= last


def test_title_through_the_gateway(gateway_address):
    with urllib.request.urlopen(f"http://{gateway_address}/productpage", timeout=10) as page:
        assert "<title>Simple Bookstore App</title>" in page.read().decode()


def test_split_is_written_and_seen(gateway_address):
    service = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")
    (route,) = service["spec"]["http"]
    assert {d["destination"]["subset"]: d["weight"] for d in route["route"]} == {"v1": 50, "v3": 50}
    seen = set()
    for _ in range(60):  # that one of two equal versions stays away has a chance of 2^-59
        with urllib.request.urlopen(f"http://{gateway_address}/productpage", timeout=10) as page:
            seen |= set(re.findall(r"reviews-(v\d)-", page.read().decode()))
    assert seen == {"v1", "v3"}


def test_secrets_are_not_readable_by_others(node):
    for path in ("/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/ca.key"):
        if node.file(path).exists:
            assert node.file(path).mode & 0o077 == 0, path
    assert KUBECONFIG.stat().st_mode & 0o077 == 0


def resource_versions() -> dict[str, str]:
    kinds = (
        "deployments,daemonsets,services,configmaps,virtualservices,destinationrules,gateways,ipaddresspools,namespaces"
    )
    kinds += ",mutatingwebhookconfigurations,validatingwebhookconfigurations,customresourcedefinitions,clusterroles"
    found = json.loads(json.dumps(kubectl("get", kinds, "-A", "-o", "json")))["items"]
    return {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": json.dumps(
            [item["metadata"].get("generation"), item.get("spec"), item.get("data")], sort_keys=True
        )
        for item in found
        # leader elections renew these by themselves
        if not item["metadata"]["name"].endswith("-leader")
    }


def test_second_run_changes_nothing_and_writes_nothing():
    before, position = resource_versions(), audit_position()
    run = play("site.yml")
    assert run.total_changed == 0, run.changed
    assert writes_since(position) == []
    assert resource_versions() == before


def test_check_mode_on_a_built_site_changes_nothing():
    position = audit_position()
    run = play("site.yml", "--check", "--diff")
    assert run.total_changed == 0, run.changed
    assert writes_since(position) == []
