# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what was done to an object, and how to undo it: one bounded annotation. Pure.

The annotation is a list of changes, oldest first, in JSON. Nothing is taken out by an undo: it is a change itself,
which names the change it went back before. So the undone ones are known, and a second undo goes one further.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import marks, model

ANNOTATION = model.BOOKKEEPING[0]
LIMIT = 10  # changes; the first one is kept beside the last nine, as it has the object as it was
SIZE_LIMIT = 96 * 1024  # bytes of the annotation; all annotations of an object share 256 KiB
_SPEC_LIMIT = 4 * 1024 * 1024  # bytes of a spec that is unpacked


@dataclass(frozen=True)
class Stamp:
    """When, as text, and by whom something is done."""

    when: str
    by: str


@dataclass(frozen=True)
class Change:
    """One change of an object.

    number: counts from 1; when: time as text; what: in words; by: who; point: a name for the state before it, or "";
    packed: the spec before, zlib and base64, "" when the object was created; before, after: sha256 of the specs;
    marks: our marks before, as text; result: the spec after, packed likewise, of the last change only;
    back: for an undo the number of the oldest change that it undid, else 0.
    """

    number: int
    when: str
    what: str
    by: str
    after: str
    before: str = ""
    packed: str = ""
    point: str = ""
    back: int = 0
    marks: str = ""
    result: str = ""


def digest(spec: Any) -> str:
    """Return the sha256 of a spec as canonical JSON."""
    return hashlib.sha256(_canonical(spec)).hexdigest()


def _canonical(spec: Any) -> bytes:
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(obj: Mapping[str, Any]) -> list[Change]:
    """Return the changes, oldest first; [] when there is no journal. MeshopsError when it is damaged."""
    text = _annotations(obj).get(ANNOTATION)
    if text is None:
        return []
    try:
        changes = [Change(**item) for item in json.loads(text)]
        sound = all(isinstance(change.number, int) and isinstance(change.back, int) for change in changes)
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise MeshopsError(
            f"The journal of {model.kind_of(obj)} {model.label(obj)} is damaged."
            f" Remove its annotation {ANNOTATION}; the changes before can then not be undone."
        )
    return changes


def record(
    before: Optional[Mapping[str, Any]], after: Mapping[str, Any], what: str, stamp: Stamp, point: str = ""
) -> Mapping[str, Any]:
    """Return `after` with one more change in its journal, which goes on from that of `before` (None: created).

    The very same object comes back when the specs are equal: nothing was done.
    """
    if before is not None and digest(before.get("spec")) == digest(after.get("spec")):
        return after
    return _append(before, after, {**asdict(stamp), "what": what, "point": point})


def _append(
    before: Optional[Mapping[str, Any]], after: Mapping[str, Any], fields: Mapping[str, Any]
) -> Mapping[str, Any]:
    changes = read(before) if before is not None else []
    former = {}
    if before is not None:
        former = {
            "before": digest(before.get("spec")),
            "packed": _pack(before.get("spec")),
            "marks": str(_annotations(before).get(marks.ANNOTATION) or ""),
        }
    number = changes[-1].number + 1 if changes else 1
    changes = [replace(change, result="") for change in changes]
    spec = after.get("spec")
    changes.append(Change(number=number, after=digest(spec), result=_pack(spec), **former, **fields))
    return _with_journal(after, _bounded(changes))


def _bounded(changes: list[Change]) -> list[Change]:
    if len(changes) > LIMIT:
        changes = [changes[0], *changes[len(changes) - LIMIT + 1 :]]
    while len(changes) > 1 and len(_text(changes)) > SIZE_LIMIT:
        changes = [changes[0], *changes[2:]] if len(changes) > 2 else changes[1:]
    return changes


def _text(changes: list[Change]) -> str:
    kept = [{key: value for key, value in asdict(change).items() if value not in ("", 0)} for change in changes]
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def _with_journal(obj: Mapping[str, Any], changes: list[Change]) -> dict[str, Any]:
    return _with_annotation(obj, ANNOTATION, _text(changes))


def _with_annotation(obj: Mapping[str, Any], name: str, text: str) -> dict[str, Any]:
    edited = copy.deepcopy(dict(obj))
    metadata = edited.setdefault("metadata", {})
    annotations = {**(metadata.get("annotations") or {}), name: text}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key != name or text}
    if not metadata["annotations"]:
        del metadata["annotations"]
    return edited


def _pack(spec: Any) -> str:
    return base64.b64encode(zlib.compress(_canonical(spec), 9)).decode()


def spec_before(change: Change, obj: Mapping[str, Any]) -> Any:
    """Return the spec that the change found; MeshopsError when its record is damaged."""
    spec = _unpack(change.packed, change.before)
    if spec is not None:
        return spec
    raise MeshopsError(
        f"The journal of {model.kind_of(obj)} {model.label(obj)} has change {change.number} damaged."
        " Go back to another point."
    )


def last_written(obj: Mapping[str, Any]) -> Any:
    """Return the spec as the last change in the journal left it, None when that is not known."""
    changes = read(obj)
    return _unpack(changes[-1].result, changes[-1].after) if changes else None


def _unpack(packed: str, checksum: str) -> Any:
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), _SPEC_LIMIT)
        return json.loads(content) if hashlib.sha256(content).hexdigest() == checksum else None
    except (binascii.Error, zlib.error, ValueError):
        return None


def in_effect(obj: Mapping[str, Any]) -> list[Change]:
    """Return the changes that are not undone, oldest first."""
    found: list[Change] = []
    for change in read(obj):
        if change.back:
            found = [earlier for earlier in found if earlier.number < change.back]
        else:
            found.append(change)
    return found


def is_undo(before: Optional[Mapping[str, Any]], after: Mapping[str, Any]) -> bool:
    """Tell whether `after` was made of `before` by undo(), which has recorded itself."""
    known = read(before) if before is not None else []
    changes = read(after)
    return len(changes) > 0 and changes[-1:] != known[-1:] and changes[-1].back > 0


def hand_edit(obj: Mapping[str, Any]) -> bool:
    """Tell whether somebody changed the spec past the journal after the last change in it."""
    changes = read(obj)
    return bool(changes) and changes[-1].after != digest(obj.get("spec"))


def undo(
    obj: Mapping[str, Any], stamp: Stamp, steps: int = 1, point: str = "", force: bool = False
) -> Optional[Mapping[str, Any]]:
    """Return the object as it was before its last `steps` changes, or at the named point, with the undo recorded.

    The very same object when it is like that already; None when it did not exist then: it is to be deleted.
    MeshopsError when the journal does not go back so far, or when somebody edited the spec by hand since and `force`
    is not set. Only the spec and our marks go back: labels and other annotations stay as they are.
    """
    target = _target(obj, steps, point)
    if target is None:
        return obj
    if hand_edit(obj) and not force:
        last = read(obj)[-1]
        raise MeshopsError(
            f"{model.kind_of(obj)} {model.label(obj)} was edited by hand after change {last.number} ({last.what},"
            f" {last.when}). Set force to drop that edit too, or change the object by hand."
        )
    if not target.packed:
        return None
    spec = spec_before(target, obj)
    if point and digest(spec) == digest(obj.get("spec")):
        return obj
    what = f"back to {point}" if point else f"back before change {target.number}"
    gone_back = _with_annotation({**obj, "spec": spec}, marks.ANNOTATION, target.marks)
    return _append(obj, gone_back, {**asdict(stamp), "what": what, "back": target.number})


def _target(obj: Mapping[str, Any], steps: int, point: str) -> Optional[Change]:
    """Return the oldest change to undo; None when the object is at the point already."""
    changes = in_effect(obj)
    named = f"{model.kind_of(obj)} {model.label(obj)}"
    if point:
        return _at_point(obj, point, changes, named)
    if steps < 1:
        raise MeshopsError(f"steps is {steps}. Give the number of changes to undo, 1 or more.")
    reach = [change for change in changes if _known_since(obj, change)]
    if steps > len(reach):
        raise MeshopsError(
            f"{named} has {len(reach)} changes to undo, not {steps}. Use a smaller number of steps, or a named point."
        )
    return reach[-steps]


def _known_since(obj: Mapping[str, Any], first: Change) -> bool:
    """Tell whether the journal has dropped none of the changes after this one."""
    numbers = {change.number for change in read(obj)}
    return numbers.issuperset(range(first.number, max(numbers)))


def _at_point(obj: Mapping[str, Any], point: str, changes: list[Change], named: str) -> Optional[Change]:
    known = [change for change in read(obj) if change.point]
    found = next((change for change in reversed(changes) if change.point == point), None)
    if found:
        return found
    undone = next((change for change in reversed(known) if change.point == point), None)
    # gone back before it: there already, unless something was done since
    if undone and undone.before == digest(obj.get("spec")):
        return None
    offered = ", ".join(dict.fromkeys(change.point for change in changes if change.point)) or "none"
    raise MeshopsError(f"The journal of {named} has no point {point} (points: {offered}). Correct it, or use steps.")


def origin(obj: Mapping[str, Any]) -> Optional[Change]:
    """Return the first change that the journal knows: its spec before is the object as it was; None without journal."""
    changes = read(obj)
    return changes[0] if changes else None


def _annotations(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return model.dict_of(model.dict_of(obj.get("metadata")).get("annotations"))
