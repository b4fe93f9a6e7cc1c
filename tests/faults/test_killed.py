# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml killed with SIGKILL at three moments and simply started again: the same end, then changed=0."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import kubectl, lab, on, play, play_killed, runs_on


@pytest.fixture(scope="module", autouse=True)
def bare_machines():
    lab("up", "--fresh")


def istio_is_being_installed() -> bool:
    """istioctl runs on the controller, and has written something already."""
    if subprocess.run(["pgrep", "-f", "istioctl install"], capture_output=True, check=False).returncode:
        return False
    found = kubectl("get", "deployments", "-A", "-o", "json")["items"]
    return any(item["metadata"]["name"] == "istiod" for item in found)


def ca() -> str:
    return on("n1", "sha256sum", "/etc/kubernetes/pki/ca.crt")


def test_killed_three_times_and_started_again():
    # in the middle of packages
    play_killed("site.yml", when=lambda: runs_on("n1", "dpkg.*(unpack|configure)"))
    # in the middle of kubeadm init, when there is an authority but no working API server
    play_killed("site.yml", when=lambda: runs_on("n1", "kubeadm init") and has("/etc/kubernetes/manifests/etcd.yaml"))
    authority = ca()
    # what ran on is stopped too: the machine is left as a crash leaves it
    on("n1", "pkill", "-9", "-f", "kubeadm init", check=False)
    # in the middle of the Istio installation
    play_killed("site.yml", when=istio_is_being_installed)
    play("site.yml")
    assert ca() == authority, "a second certificate authority was made"
    assert play("site.yml").total_changed == 0
    pods = kubectl("get", "pods", "-A", "-o", "json")["items"]
    for pod in pods:
        if pod["metadata"]["namespace"] == "bookinfo":
            names = [c["name"] for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])]
            assert "istio-proxy" in names, pod["metadata"]["name"]
    tokens = on("n1", "kubeadm", "token", "list", "-o", "json")
    assert '"description": "meshops' not in tokens


def has(path: str) -> bool:
    return bool(on("n1", "ls", path, check=False))
