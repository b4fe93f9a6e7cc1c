# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input on the built lab: one clear sentence each, all at once, and nothing is changed."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.support import kubectl, on, play


def sentence_in(output: str, sentence: str) -> bool:
    """Whether the words stand in the output, however they are wrapped."""
    return re.sub(r"\s+", " ", sentence) in re.sub(r"\s+", " ", output)


def refused(variables: dict, playbook: str = "site.yml") -> str:
    """Runs a playbook with variables that it has to refuse, and returns what it says."""
    run = play(playbook, "-e", json.dumps(variables), code=2)
    assert run.total_changed == 0, run.changed
    return run.output


def test_all_problems_of_all_roles_at_once():
    output = refused(
        {
            "kubeadm_version": "1.36.99",
            "node_min_memory_mb": 9999999,
            "node_min_cpus": 999,
            "node_min_disk_gb": 999999,
            "flannel_network": "10.99.0.0/16",
            "metallb_address_pools": [{"name": "lab", "addresses": ["172.30.0.1-172.30.0.20"]}],
            "containerd_verzion": "2.3.4",
            "istio_profile": "dmeo",
        }
    )
    for sentence in (
        "has no kubelet 1.36.99",
        "MiB of memory, a Kubernetes node needs 9999999",
        "CPU(s), a Kubernetes node needs 999.",
        "contains the node n1 (172.30.0.11). Choose addresses that no host uses.",
        "Did you mean containerd_version?",
        "flannel_network 10.99.0.0/16",
        "istio_profile dmeo is not a profile of Istio. Did you mean demo?",
    ):
        assert sentence_in(output, sentence), (sentence, output[-5000:])
    assert "problems found before anything was changed" in output


def test_kubernetes_that_istio_does_not_support():
    output = refused({"kubeadm_version": "1.29.3", "istio_version": "1.31.1"})
    assert sentence_in(output, "Kubernetes 1.29.3 is not supported by Istio 1.31"), output[-3000:]


@pytest.mark.parametrize("addresses", ["10.244.3.0/24", "10.96.0.0/28", "172.30.0.12/32"])
def test_pool_over_pods_services_or_nodes(addresses):
    output = refused({"metallb_address_pools": [{"name": "lab", "addresses": [addresses]}]})
    assert sentence_in(output, f"metallb_address_pools[0] {addresses}"), output[-3000:]


def test_every_mirror_dead_names_each_and_is_bounded_in_time():
    on("n2", "rm", "-f", "/etc/apt/sources.list.d/meshops-kubernetes.sources")
    started = time.monotonic()
    try:
        dead = ["http://172.30.0.10:9/one", "http://172.30.0.250/two"]
        output = refused({"kubeadm_repositories": dead, "kubeadm_mirror_timeout": 3})
        for url in dead:
            assert url in output.replace("\n", ""), output[-3000:]
        assert time.monotonic() - started < 90
    finally:
        # the next run names the repository again
        assert play("playbooks/nodes.yml", "--limit", "cluster").total_changed >= 1


def test_no_sudo():
    on("n2", "mv", "/etc/sudoers.d/operator", "/root/operator")
    try:
        output = refused({})
        assert sentence_in(output, "ops cannot become root on n2"), output[-3000:]
    finally:
        on("n2", "mv", "/root/operator", "/etc/sudoers.d/operator")


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"v1": 50, "v9": 50}, "names v9, which reviews does not have. It has v1, v2, v3."),
        ({"v1": -1, "v3": 101}, "-1"),
        ({"v1": 0, "v3": 0}, "0"),
    ],
)
def test_weights_that_cannot_be(weights, sentence):
    before = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")["metadata"]["resourceVersion"]
    output = refused({"bookinfo_reviews_weights": weights}, "playbooks/samples.yml")
    assert sentence_in(output, sentence), output[-3000:]
    after = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")["metadata"]["resourceVersion"]
    assert before == after
