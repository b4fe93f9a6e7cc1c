# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter istio_support_problem."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.istio.plugins.module_utils import support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


def istio_support_problem(value: Any, kubernetes_version: Any) -> str:
    """A sentence when this Istio does not support this Kubernetes, else ''."""
    try:
        return support.problem(str(value), str(kubernetes_version)) or ""
    except MeshopsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"istio_support_problem": istio_support_problem}
