# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: is a regular expression one that Envoy (RE2) compiles? Pure, a careful approximation."""

from __future__ import annotations

import re

_MOST_REPEATS = 1000
_CLASS = r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
# tokens of a pattern, so that what is escaped or in a class is not taken for syntax
_TOKENS = re.compile(
    rf"\\Q.*?(?:\\E|$)|\\p\{{\^?\w+\}}|\\.|{_CLASS}|\(\?[^:)]*[:)>=!]?|\{{\d+(?:,\d*)?\}}[+]?|[*+?]\+|.", re.S
)
_LOOKS = ("(?=", "(?!", "(?<=", "(?<!")


def problem(pattern: str) -> str:
    """Return what is wrong with the pattern for RE2 in words, "" when nothing is."""
    plain = []
    for token in _TOKENS.findall(pattern):
        if token.startswith(_LOOKS):
            return "looking ahead or behind is not possible"
        if re.fullmatch(r"\\[1-9]|\\k.*", token) or token.startswith("(?P="):
            return "back references are not possible"
        if token.startswith(("(?>", "(?(")) or re.fullmatch(r"[*+?]\+|\{.*\}\+", token):
            return "atomic groups, conditions and possessive repetition are not possible"
        if any(int(number) > _MOST_REPEATS for number in re.findall(r"\d+", token if token[0] == "{" else "")):
            return f"more than {_MOST_REPEATS} repetitions are not possible"
        plain.append(_for_python(token))
    try:
        re.compile("".join(plain))
    except (re.error, OverflowError) as error:
        return f"it does not compile ({error})"
    return ""


def _for_python(part: str) -> str:
    """Return what stands for a token of RE2 in Python's syntax, where the two differ."""
    if part.startswith("\\Q"):
        return "x"
    if re.fullmatch(r"\\p.*|\\P|\\z|\\C", part):
        return "x" if part != "\\z" else ""
    if re.fullmatch(r"\(\?[imsU-]+\)", part):
        return ""
    if re.fullmatch(r"\(\?[imsU-]+:", part):
        return "(?:"
    if part.startswith("(?<"):
        return "(?P" + part[2:]
    return "x" if re.fullmatch(_CLASS, part) and "[:" in part else part
