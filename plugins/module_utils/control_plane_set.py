# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: `path=value` as istioctl's --set has it, worked into a spec. Pure.

istioctl itself refuses a value with `=` before 1.31, and shows what it is given in the process list.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Union

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

# where istioctl takes a value as text whatever it looks like: operator/pkg/values/map.go, 1.24 to 1.32
_TEXTS = (
    "tag",
    "compatibilityVersion",
    "values.compatibilityVersion",
    "values.global.tag",
    "meshConfig.defaultConfig.proxyMetadata.",
    "values.meshConfig.defaultConfig.proxyMetadata.",
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLS = {
    **dict.fromkeys(("t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("f", "F", "FALSE", "false", "False"), False),
}


class Item(NamedTuple):
    """One item of a list, by its number or by the value of one of its keys."""

    number: int = -1
    key: str = ""
    value: str = ""


Step = Union[str, Item]


def apply(spec: dict, entries: list[str]) -> None:
    """Set every entry in `spec`, in order; MeshopsError names the first that cannot be set."""
    for number, entry in enumerate(entries):
        path, equals, text = entry.partition("=")
        steps = steps_of(path.strip())
        if not equals or not steps:
            raise MeshopsError(
                f"set[{number}] {entry!r} is not of the form path=value, like meshConfig.enableTracing=true."
            )
        problem = _set(spec, steps, parsed(path.strip(), text.strip()))
        if problem:
            raise MeshopsError(f"set[{number}] {path.strip()} cannot be set: {problem}.")


def parsed(path: str, text: str) -> Any:
    """Return the value that istioctl makes of a text: integer, float, boolean, else the text with `\\,` as `,`."""
    if path.startswith(_TEXTS):
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return _BOOLS.get(text, text.replace("\\,", ","))


def steps_of(path: str) -> list[Step]:
    """Return the keys and list items of a path: `a.b`, `a\\.b`, `a[0]`, `a.[0]`, `a.[name:x]`."""
    steps: list[Step] = []
    for part in re.split(r"(?<!\\)\.", path):
        name = part.replace("\\.", ".")
        cut = name.find("[")
        for piece in (name[:cut], name[cut:]) if cut > 0 else (name,):
            if piece:
                steps.append(_step(piece))
    return steps


def _step(piece: str) -> Step:
    if not (piece.startswith("[") and piece.endswith("]")):
        return piece
    inner = piece[1:-1]
    if re.fullmatch(r"-?[0-9]+", inner):
        return Item(number=int(inner))
    key, colon, value = inner.partition(":")
    return Item(key=key, value=value) if colon else piece


def _set(node: Any, steps: list[Step], value: Any) -> str | None:
    """Set the value below `node`, which is changed; return why it cannot be, None when it could."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, Item):
        return _set_item(node, step, rest, value)
    if not isinstance(node, dict):
        return f"there is no key {step} in a {type(node).__name__}"
    if not rest:
        node[step] = value
        return None
    if node.get(step) is None:
        node[step] = [] if isinstance(rest[0], Item) else {}
    return _set(node[step], rest, value)


def _set_item(node: Any, item: Item, rest: list[Step], value: Any) -> str | None:
    if not isinstance(node, list):
        return "it names an item of what is no list"
    index = item.number
    if item.key:
        found = [at for at, entry in enumerate(node) if isinstance(entry, dict) and entry.get(item.key) == item.value]
        if not found:
            return f"no item has {item.key}: {item.value}"
        index = found[0]
    if not 0 <= index < len(node):  # as istioctl does: a new item
        node.append({} if rest else value)
        index = len(node) - 1
    if not rest:
        node[index] = value
        return None
    return _set(node[index], rest, value)
