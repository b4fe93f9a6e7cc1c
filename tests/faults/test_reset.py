# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/reset.yml: nothing without the word, nothing left with it; a site can be built again, and grow."""

from __future__ import annotations

import re

import pytest

from tests.support import INVENTORY, KUBECONFIG, kubectl, lab, on, play

NODES = ["n1", "n2", "n3"]
# rules of kube-proxy, flannel and the CNI plugins begin with these
CHAINS = re.compile(r"(KUBE-|FLANNEL|CNI-|CNI_)")


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """The lab's inventory without its third node."""
    folder = tmp_path_factory.mktemp("inventory") / "lab"
    folder.mkdir()
    hosts = (INVENTORY / "hosts.yml").read_text()
    lines = hosts.splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.strip() == "n3:")
    (folder / "hosts.yml").write_text("".join(lines[:at] + lines[at + 2 :]))
    (folder / "group_vars").symlink_to(INVENTORY / "group_vars")
    return folder


def uids() -> dict[str, str]:
    found = kubectl("get", "pods,services,deployments,nodes", "-A", "-o", "json")["items"]
    return {item["metadata"]["uid"]: item["metadata"]["name"] for item in found}


def test_without_the_word_nothing_is_changed():
    before = uids()
    run = play("playbooks/reset.yml")
    assert run.total_changed == 0, run.changed
    assert "confirm_reset=yes" in run.output
    assert "/var/lib/etcd" in run.output
    assert uids() == before


def test_with_the_word_nothing_is_left():
    play("playbooks/reset.yml", "-e", "confirm_reset=yes")
    for node in NODES:
        assert "kubelet" not in on(node, "ps", "-e")
        assert on(node, "dpkg-query", "-f", "${db:Status-Abbrev}", "-W", "kubelet", check=False).strip() in ("", "un")
        links = on(node, "ip", "-o", "link")
        assert "cni0" not in links and "flannel" not in links, links
        for save in ("iptables-save", "ip6tables-save", "iptables-legacy-save"):
            assert not CHAINS.search(on(node, save)), save
        assert not CHAINS.search(on(node, "nft", "list", "ruleset"))
        for folder in ("/var/lib/etcd", "/var/lib/kubelet", "/etc/kubernetes", "/etc/cni/net.d", "/var/lib/cni"):
            assert on(node, "sh", "-c", f"ls -A {folder} 2>/dev/null || true") == "", f"{node}:{folder}"
    assert not KUBECONFIG.exists()


def test_again_nothing_is_changed():
    run = play("playbooks/reset.yml", "-e", "confirm_reset=yes")
    assert run.total_changed == 0, run.output[-4000:]


def test_site_works_again_with_two_nodes(two_nodes):
    play("site.yml", inventory=two_nodes)
    assert sorted(node["metadata"]["name"] for node in kubectl("get", "nodes", "-o", "json")["items"]) == ["n1", "n2"]


def test_one_more_worker_joins_and_nothing_else_is_touched():
    lab("up", "--fresh", "n3")
    before = uids()
    run = play("site.yml")
    after = uids()
    assert sorted(node["metadata"]["name"] for node in kubectl("get", "nodes", "-o", "json")["items"]) == NODES
    assert set(before) <= set(after), {before[uid] for uid in set(before) - set(after)}
    # the other nodes learn the new name in /etc/hosts, and nothing more; n1 makes a join token as well, and deletes it
    assert run.changed["n1"] <= 3 and run.changed["n2"] <= 1, run.changed
    assert play("site.yml").total_changed == 0
