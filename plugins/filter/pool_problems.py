# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pool_problems: are these MetalLB address pools safe to hand out?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Union

DOCUMENTATION = r"""
name: pool_problems
short_description: Find address pools that cannot be parsed or overlap something
version_added: 0.1.0
author: meshops maintainers (@meshops)
description:
  - Checks that each address range of MetalLB pools parses,
    and that it overlaps no other range, no node and no network in use.
positional: _input
options:
  _input:
    description: Pools as the role meshops.istio.metallb takes them, dictionaries with C(name) and C(addresses).
    type: list
    elements: dict
    required: true
  nodes:
    description: Address of each node by its name. What is no IP address is passed over.
    type: dict
    default: {}
  networks:
    description: CIDRs in use by what they are, for example C(the pod network). Several of them are separated by commas.
    type: dict
    default: {}
  option:
    description: How the messages call the input.
    type: str
    default: metallb_address_pools
"""

EXAMPLES = r"""
- name: Check the pools
  meshops.istio.preflight:
    problems: "{{ metallb_address_pools | meshops.istio.pool_problems(nodes={'n1': '172.30.0.11'}) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each problem, as the module meshops.istio.preflight takes them.
  type: list
  elements: str
  sample: ["metallb_address_pools[0] 172.30.0.1-172.30.0.20 contains the node n1 (172.30.0.11)."]
"""

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Range = tuple[Address, Address]


def parse(text: str) -> Range:
    """Return first and last address of `a.b.c.d`, a CIDR or `first-last`; ValueError for anything else."""
    first, dash, last = str(text).partition("-")
    if not dash:
        network = ipaddress.ip_network(first.strip(), strict=False)
        return network[0], network[-1]
    ends = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
    if ends[0].version != ends[1].version:
        raise ValueError(f"{text!r} begins and ends in different versions of IP")
    if ends[0] > ends[1]:
        raise ValueError(f"{text!r} ends before it begins")
    return ends


def overlap(one: Range, other: Range) -> bool:
    """Tell whether two ranges have an address in common."""
    return one[0].version == other[0].version and one[0] <= other[1] and other[0] <= one[1]


def problems(pools: Any, nodes: Mapping[str, Any], networks: Mapping[str, Any], option: str) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with the pools."""
    names: list[str] = []
    seen: list[tuple[str, Range]] = []
    for number, pool in enumerate(pools):
        label = f"{option}[{number}]"
        if not (isinstance(pool, Mapping) and pool.get("name") and pool.get("addresses")):
            yield f"{label} needs a name and at least one entry in addresses. Write {{name: ..., addresses: [...]}}."
            continue
        if pool["name"] in names:
            yield f"{label} has the name {pool['name']} of an earlier pool. Give each pool a name of its own."
        names.append(pool["name"])
        for text in pool["addresses"]:
            try:
                span = parse(text)
            except ValueError as error:
                yield f"{label} {text} is no range of addresses ({error}). Write FIRST-LAST or a CIDR."
                continue
            yield from _overlaps(f"{label} {text}", span, seen, nodes, networks)
            seen.append((f"{label} {text}", span))


def _overlaps(
    label: str, span: Range, seen: list[tuple[str, Range]], nodes: Mapping[str, Any], networks: Mapping[str, Any]
) -> Iterator[str]:
    for earlier, other in seen:
        if overlap(span, other):
            yield f"{label} overlaps {earlier}. Give each address to one range only."
    for name, address in nodes.items():
        where = _parsed(address)
        if where and overlap(span, where):
            yield f"{label} contains the node {name} ({address}). Choose addresses that no host uses."
    for what, cidrs in networks.items():
        for cidr in filter(None, (part.strip() for part in str(cidrs or "").split(","))):
            where = _parsed(cidr)
            if where and overlap(span, where):
                yield f"{label} overlaps {what} {cidr}. Choose addresses of the nodes' own network that no host uses."


def _parsed(text: Any) -> Range | None:
    try:
        return parse(text)
    except ValueError:
        return None


def pool_problems(
    pools: Any,
    nodes: Mapping[str, Any] | None = None,
    networks: Mapping[str, Any] | None = None,
    option: str = "metallb_address_pools",
) -> list[str]:
    """Return a sentence for each problem of the pools; [] when all is well."""
    return list(problems(pools, nodes or {}, networks or {}, option))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"pool_problems": pool_problems}
