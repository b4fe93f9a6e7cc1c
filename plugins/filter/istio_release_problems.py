# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter istio_release_problems."""

from __future__ import annotations

from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import istio_release


def istio_release_problems(
    version: Any, system: str, machine: str, *, client_only: bool = False, file: str = "", prefix: str = ""
) -> list[str]:
    """Sentences that say why this release cannot be had for this machine, or contradicts the name of the file."""
    wish = istio_release.Wish(str(version), system, machine, client_only, prefix)
    return istio_release.problems(wish) + (istio_release.file_problems(file, wish) if file else [])


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"istio_release_problems": istio_release_problems}
