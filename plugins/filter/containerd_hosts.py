# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter containerd_hosts."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.istio.plugins.module_utils import containerd


def containerd_hosts(value: Any) -> list[dict[str, Any]]:
    """Files for containerd's certs.d, from a list like containerd_registry_mirrors."""
    try:
        return containerd.hosts_files(value)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"containerd_hosts wants a list of registry and endpoints ({error}).") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"containerd_hosts": containerd_hosts}
