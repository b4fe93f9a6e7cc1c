# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: IP addresses, networks and ranges as users write them. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, Union

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


class Span(NamedTuple):
    """First and last address, as numbers, of one IP version (4 or 6)."""

    version: int
    first: int
    last: int


def span(text: str) -> Span:
    """'10.0.0.1', '10.0.0.0/24' or '10.0.0.1-10.0.0.9' (also IPv6) -> Span. Raises MeshopsError."""
    try:
        left, dash, right = str(text).partition("-")
        if dash:
            first, last = ipaddress.ip_address(left.strip()), ipaddress.ip_address(right.strip())
            if first.version != last.version or int(first) > int(last):
                raise ValueError("the first address must come before the last")
            return Span(first.version, int(first), int(last))
        network = ipaddress.ip_network(left.strip(), strict=False)
    except ValueError as error:
        raise MeshopsError(
            f"'{text}' is no address, network or range ({error}). "
            "Write it as 10.0.0.1, 10.0.0.0/24 or 10.0.0.1-10.0.0.9."
        ) from error
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


def spans(value: Union[str, list[str]]) -> list[Span]:
    """Spans of a string with commas between, or of a list. Empty strings are none."""
    texts = value.split(",") if isinstance(value, str) else [str(item) for item in value]
    return [span(text) for text in texts if text.strip()]


def overlaps(left: Union[str, list[str]], right: Union[str, list[str]]) -> bool:
    """Do two sets of addresses have one in common? Raises MeshopsError for what is no address."""
    return any(
        a.version == b.version and a.first <= b.last and b.first <= a.last for a in spans(left) for b in spans(right)
    )


def is_address(text: str) -> bool:
    """Is this one IP address, and not a name?"""
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True
