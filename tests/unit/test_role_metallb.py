"""The pools that the role metallb refuses, and the words it uses."""

import pytest

from ansible_collections.meshops.istio.plugins.filter.pool_problems import pool_problems

NODES = {"n1": "172.30.0.11", "n2": "node2.example.com"}
NETWORKS = {"the pod network": "10.244.0.0/16,fd00::/56", "the service network": "10.96.0.0/12"}


def messages(*pools):
    return pool_problems(list(pools), NODES, NETWORKS)


def pool(*addresses, name="lab"):
    return {"name": name, "addresses": list(addresses)}


@pytest.mark.parametrize(
    "addresses",
    [["172.30.0.200-172.30.0.220"], ["172.30.0.200/29", "172.30.0.240 - 172.30.0.250"], ["fd01::1-fd01::9"]],
)
def test_good_pools(addresses):
    assert messages(pool(*addresses)) == []


def test_node_in_pool_is_named():
    assert messages(pool("172.30.0.1-172.30.0.20")) == [
        "metallb_address_pools[0] 172.30.0.1-172.30.0.20 contains the node n1 (172.30.0.11). "
        "Choose addresses that no host uses."
    ]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.244.7.0/24", "overlaps the pod network 10.244.0.0/16"),
        ("fd00::10-fd00::20", "overlaps the pod network fd00::/56"),
        ("10.100.0.1-10.100.0.9", "overlaps the service network 10.96.0.0/12"),
        ("172.30.0.9-172.30.0.1", "ends before it begins"),
        ("172.30.0.9-fd00::1", "different versions of IP"),
        ("172.30.0.300", "is no range of addresses"),
        ("eth0", "is no range of addresses"),
    ],
)
def test_bad_addresses(address, words):
    (message,) = messages(pool(address))
    assert words in message
    assert message.startswith(f"metallb_address_pools[0] {address} ")


def test_pools_overlap_each_other_and_share_a_name():
    found = messages(pool("172.30.0.200-172.30.0.210"), pool("172.30.0.210-172.30.0.220"))
    assert len(found) == 2
    assert "has the name lab of an earlier pool" in found[0]
    assert (
        "metallb_address_pools[1] 172.30.0.210-172.30.0.220 overlaps metallb_address_pools[0] 172.30.0.200" in found[1]
    )


@pytest.mark.parametrize("broken", [{}, {"name": "lab"}, {"name": "lab", "addresses": []}, "172.30.0.200-172.30.0.210"])
def test_pool_of_a_wrong_form(broken):
    (message,) = messages(broken)
    assert message.startswith("metallb_address_pools[0] needs a name")
