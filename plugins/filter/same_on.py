# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter same_on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def value_at(variables: Any, path: str) -> Any:
    """What lies at a path with dots between the keys; None when a step is missing."""
    for key in path.split("."):
        if not isinstance(variables, Mapping) or key not in variables:
            return None
        variables = variables[key]
    return variables


def same_on(value: Any, hostvars: Any, names: Any, path: str, or_name: bool = False) -> list[str]:
    """Those of the hosts `names` whose variable at `path` equals the value; or_name: an absent one is the name."""
    found = []
    for name in names:
        other = value_at(hostvars[name], path) if name in hostvars else None
        if other is None and or_name:
            other = name
        if value not in (None, "") and other == value:
            found.append(str(name))
    return found


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"same_on": same_on}
