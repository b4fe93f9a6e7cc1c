# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, networks and ranges, and whether they meet."""

from __future__ import annotations

import ipaddress

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.filter.cidr_overlaps import FilterModule
from ansible_collections.meshops.istio.plugins.module_utils import addresses
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("172.30.0.1-172.30.0.20", "172.30.0.11", True),
        ("172.30.0.200-172.30.0.220", "172.30.0.11", False),
        ("10.244.0.0/16", "10.96.0.0/12", False),
        ("10.96.0.0/12", "10.111.255.255", True),
        ("10.0.0.7/24", "10.0.0.200", True),
        (["10.0.0.1", "10.0.0.9"], ["10.0.0.8", "10.0.0.9/32"], True),
        ("10.0.0.0/8, fd00::/64", "fd00::1-fd00::2", True),
        ("::/0", "10.0.0.1", False),
        ("", "10.0.0.1", False),
        ([], "10.0.0.1", False),
    ],
)
def test_overlaps(left, right, meet):
    assert addresses.overlaps(left, right) is meet
    assert addresses.overlaps(*reversed([left, right])) is meet
    assert FilterModule().filters()["cidr_overlaps"](left, right) is meet


@pytest.mark.parametrize("text", ["n1", "10.0.0.300", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.0/33"])
def test_what_is_no_address(text):
    with pytest.raises(MeshopsError, match="is no address, network or range"):
        addresses.overlaps(text, "10.0.0.1")
    with pytest.raises(AnsibleFilterError, match="is no address"):
        FilterModule().filters()["cidr_overlaps"](text, "10.0.0.1")


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses())
def test_a_network_overlaps_exactly_its_addresses(base, length, address):
    network = ipaddress.ip_network((base, min(length, base.max_prefixlen)), strict=False)
    inside = address.version == network.version and address in network
    assert addresses.overlaps(str(network), str(address)) is inside


def test_is_address():
    assert [addresses.is_address(text) for text in ("fe80::1", "10.0.0.1", "n1", "10.0.0.0/8")] == [
        True,
        True,
        False,
        False,
    ]
