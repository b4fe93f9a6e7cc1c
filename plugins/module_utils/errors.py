# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the one exception that modules turn into a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


class MeshopsError(Exception):
    """Something the user has to know: one sentence that names the object, the cause and the next step."""

    def __init__(self, message: str, result: Optional[Mapping[str, Any]] = None) -> None:
        """Take what the failed task returns beside the sentence, if anything."""
        super().__init__(message)
        self.result = dict(result or {})
