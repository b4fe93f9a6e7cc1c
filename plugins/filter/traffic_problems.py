# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter traffic_problems; documented in traffic_problems.yml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic import table


def traffic_problems(hosts: Any) -> list[str]:
    """Say what is wrong with the variable traffic_hosts."""
    return table.problems(hosts)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"traffic_problems": traffic_problems}
