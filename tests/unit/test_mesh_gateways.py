# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Services are gateways, and by which URLs they are reached."""

from __future__ import annotations

import pytest
from mesh_world import GATEWAY, istiod, node, pod, service

from ansible_collections.meshops.istio.plugins.module_utils import mesh_gateways

ROUTER = pod("gw", "mesh", GATEWAY, "router")


def gateways(svc, *nodes, deployments=(), pods=(ROUTER,)):
    return mesh_gateways.gateways([svc], deployments, pods, nodes)


NODES = [
    node("n1", InternalIP="10.0.0.1", ExternalIP="1.2.3.4"),
    node("n2", InternalIP="10.0.0.2"),
    node("n3", False, InternalIP="10.0.0.3"),
]


@pytest.mark.parametrize(
    ("svc", "addresses", "urls"),
    [
        (service("gw", "mesh", GATEWAY, ip="::1"), ["::1"], ["http://[::1]", "https://[::1]"]),
        (
            service("gw", "mesh", GATEWAY, "NodePort"),
            ["1.2.3.4", "10.0.0.2"],
            ["http://1.2.3.4:30080", "https://1.2.3.4:30443", "http://10.0.0.2:30080", "https://10.0.0.2:30443"],
        ),
        (
            service("gw", "mesh", GATEWAY, externalIPs=["9.9.9.9"]),
            ["9.9.9.9"],
            ["http://9.9.9.9", "https://9.9.9.9"],
        ),
        (service("gw", "mesh", GATEWAY, "ClusterIP"), [], []),
        (
            service(
                "gw",
                "mesh",
                GATEWAY,
                ip="h",
                ports=[
                    {"name": "http-x", "port": 8080},
                    {"name": "http3", "port": 443, "protocol": "UDP"},
                    {"name": "tls", "port": 15443},
                ],
            ),
            ["h"],
            ["http://h:8080"],
        ),
    ],
)
def test_addresses_and_urls(svc, addresses, urls):
    (found,) = gateways(svc, *NODES)
    assert (found["addresses"], found["urls"]) == (addresses, urls)


def test_a_pending_load_balancer_is_reached_by_the_nodes():
    (found,) = gateways(service("gw", "mesh", GATEWAY), NODES[1])
    assert found["pending"]
    assert found["urls"] == ["http://10.0.0.2:30080", "https://10.0.0.2:30443"]


def deployment(annotations=None, proxy=None):
    containers = [{"name": "istio-proxy", "image": "auto", "args": ["proxy", proxy]}] if proxy else []
    template = {"metadata": {"labels": GATEWAY, "annotations": annotations or {}}, "spec": {"containers": containers}}
    return {**istiod(name="gw"), "metadata": {"name": "gw", "namespace": "mesh"}, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("template", "count"),
    [
        (deployment({"inject.istio.io/templates": "gateway"}), 1),
        (deployment(proxy="router"), 1),
        (deployment(proxy="waypoint"), 0),
        (deployment(), 0),
    ],
)
def test_a_gateway_without_pods_is_known_by_its_template(template, count):
    assert len(gateways(service("gw", "mesh", GATEWAY), deployments=[template], pods=[])) == count


@pytest.mark.parametrize(
    ("svc", "pods"),
    [
        (service("gw", "other", GATEWAY), [ROUTER]),
        (service("gw", "mesh", {}), [ROUTER]),
        (service("gw", "mesh", GATEWAY), [pod("gw", "mesh", GATEWAY, "sidecar")]),
    ],
)
def test_services_that_are_no_gateways(svc, pods):
    assert gateways(svc, pods=pods) == []
