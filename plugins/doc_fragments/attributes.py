# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection promises of itself."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description:
      - Can run in C(check_mode) and return the changed status and the diff of the real run without modifying anything.
    support: full
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in C(diff) mode.
    support: full
  idempotent:
    description: A second run with the same input changes nothing and sends no write.
    support: full
"""
