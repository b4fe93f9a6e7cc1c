# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the known word that a mistyped one is nearest to. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.75  # from here on two words are taken for the same one with a slip of the finger


def nearest(word: str, candidates: Iterable[str], cutoff: float = 0.6) -> str:
    """The candidate most like `word`, or '' when none is alike (ratio of difflib from 0 to 1)."""
    found = difflib.get_close_matches(word, sorted(candidates), n=1, cutoff=cutoff)
    return found[0] if found else ""


def owner(name: str, roles: Iterable[str]) -> str:
    """The role that a variable belongs to by its name: the longest role name it begins with; '' for none."""
    return max((role for role in roles if name.startswith(f"{role}_")), key=len, default="")


def unknown_options(role: str, names: Iterable[str], options: Iterable[str], roles: Iterable[str]) -> list[str]:
    """One sentence for each variable that looks like a mistyped option of the role.

    names: variables in force; options: what the role documents; roles: all roles of the collection, so that an
    option of istio_addons is not taken for one of istio. A variable that is like no option belongs to somebody else.
    """
    known, everyone = set(options), [*roles, role]
    problems = []
    for name in sorted(set(names) - known):
        if owner(name, everyone) != role:
            continue
        tails = {option[len(role) + 1 :]: option for option in known if option.startswith(f"{role}_")}
        guess = nearest(name[len(role) + 1 :], tails, ALIKE)
        if guess:
            problems.append(f"{name} is not an option of the role {role}. Did you mean {tails[guess]}?")
    return problems
