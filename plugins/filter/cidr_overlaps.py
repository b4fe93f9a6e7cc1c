# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter cidr_overlaps."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.istio.plugins.module_utils.addresses import overlaps
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


def cidr_overlaps(value: Any, other: Any) -> bool:
    """Do two sets of addresses have one in common?"""
    try:
        return overlaps(value, other)
    except MeshopsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"cidr_overlaps": cidr_overlaps}
