# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which firewall rules Kubernetes left behind, and how only those go. Pure.

Everybody else's rules stay untouched: nothing is flushed or rewritten, our chains and the jumps to them are deleted.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_OURS = re.compile(r"^(KUBE|FLANNEL|CNI)-")
_JUMP = re.compile(r"(?:^|\s)(?:-j|-g|--jump|--goto)\s+(\S+)")
# flannel before 0.23 marked its rules by comment instead of keeping them in chains of its own
_COMMENT = re.compile(r'--comment "?flanneld (?:masq|forward)"?(?:\s|$)')
_NFT_TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", "cni_hostport", "cni_plugins_masquerade")


class Removal(NamedTuple):
    """text: input for `iptables-restore --noflush`, "" when nothing is ours; chains and rules: how many go."""

    text: str
    chains: int
    rules: int


def _table(name: str, chains: list[str], rules: list[str]) -> Removal:
    """rules: lines "-A CHAIN ..." of this table as iptables-save printed them."""
    ours = [chain for chain in chains if _OURS.match(chain)]
    foreign, inside = [], 0
    for rule in rules:
        if _OURS.match(rule.split()[1]):
            inside += 1
            continue
        jump = _JUMP.search(rule)
        if (jump and _OURS.match(jump.group(1))) or _COMMENT.search(rule):
            foreign.append(rule)
    if not ours and not foreign:
        return Removal("", 0, 0)
    # Declaring a chain empties it, so that no rule refers to another of our chains when these are deleted.
    lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in ours)]
    lines += [f"-D{rule[2:]}" for rule in foreign]
    lines += [*(f"-X {chain}" for chain in ours), "COMMIT"]
    return Removal("\n".join(lines) + "\n", len(ours), inside + len(foreign))


def removal(saved: str) -> Removal:
    """What `iptables-save` printed -> what removes the chains KUBE-*, FLANNEL-*, CNI-* and the rules leading there."""
    parts, name, chains, rules = [], "", [], []
    for line in saved.splitlines():
        if line.startswith("*"):
            name, chains, rules = line[1:].strip(), [], []
        elif line.startswith(":"):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            rules.append(line)
        elif line.strip() == "COMMIT":
            parts.append(_table(name, chains, rules))
    return Removal("".join(part.text for part in parts), sum(p.chains for p in parts), sum(p.rules for p in parts))


def nft_tables(listing: str) -> list[tuple[str, str]]:
    """`nft -j list tables` -> (family, name) of the tables of kube-proxy, flannel and the CNI plugins."""
    try:
        entries = json.loads(listing or "{}").get("nftables", [])
    except ValueError:
        return []
    tables = [entry["table"] for entry in entries if "table" in entry]
    return [(table["family"], table["name"]) for table in tables if table["name"] in _NFT_TABLES]
