# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter traffic_rows; documented in traffic_rows.yml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic import table


def traffic_rows(hosts: list[dict], infos: list[dict], probes: list[dict]) -> list[dict[str, Any]]:
    """Compare what is wanted, written and seen of the traffic of hosts."""
    return table.rows(hosts, infos, probes)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"traffic_rows": traffic_rows}
