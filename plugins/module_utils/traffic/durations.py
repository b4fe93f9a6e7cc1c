# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: lengths of time as Istio's objects and Envoy write them. Pure."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Optional

_UNITS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1000),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)", re.ASCII)


def seconds(text: Any) -> Optional[Fraction]:
    """Return the seconds of a duration such as `1h30m`, `0.5s` or `250ms`; None when it is none."""
    if not isinstance(text, str):
        return None
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(
        (Fraction(number if number[0] != "." else f"0{number}") * _UNITS[unit] for number, unit in parts), Fraction(0)
    )
