# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter nearest."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.istio.plugins.module_utils import words


def nearest(value: Any, candidates: Any) -> str:
    """The candidate most like the word, or ''."""
    if isinstance(candidates, str):
        raise AnsibleFilterError("nearest wants a list of candidates, not a string.")
    return words.nearest(str(value), [str(word) for word in candidates])


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"nearest": nearest}
