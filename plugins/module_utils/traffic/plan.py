# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from one task's wish to its ordered writes: tidy up, change, record, order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, journal, model, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change, Step, Subset, order

ROUTE_KINDS = ("VirtualService", *model.GATEWAY_KINDS)


@dataclass(frozen=True)
class World:
    """What is there for one Service: all objects with routes, and all DestinationRules."""

    service: Service
    routes: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]]

    def after(self, changes: Sequence[Change]) -> World:
        """Return the world with the changes made."""
        return replace(self, routes=_applied(self.routes, changes, False), rules=_applied(self.rules, changes, True))


class Wish(NamedTuple):
    """What a task wants of a world.

    changes: of any objects, in any order; main: the change of the object that the task is about, in them or not;
    needs: where requests are sent by it; what: the change in words; effective: the result in words of the task;
    takes_back: whether it only takes away what was put there before.
    """

    changes: Sequence[Change]
    main: Change
    needs: Sequence[Subset] = ()
    what: str = ""
    effective: Optional[Mapping[str, Any]] = None
    takes_back: bool = False


Intent = Callable[[World], Wish]


@dataclass(frozen=True)
class Plan:
    """The writes of a task in a safe order; `main`: the object that it is about, as it is and as it will be.

    needs: subsets and Services that have to have a ready pod; expired: what was removed because its time is over.
    """

    steps: tuple[Step, ...]
    main: Change
    world: World
    needs: tuple[Subset, ...] = ()
    expired: tuple[str, ...] = ()
    effective: Optional[Mapping[str, Any]] = None
    takes_back: bool = False

    @property
    def changes(self) -> list[Change]:
        """The objects that are changed, as they are and as they will be."""
        return _merged([Change(step.before, step.after) for step in self.steps])


def planned(  # noqa: PLR0917 - the wish, then who makes it when
    world: World, intent: Intent, now: datetime, stamp: Stamp, point: str = "", tidy: bool = True
) -> Plan:
    """Return what has to be written so that the intent holds; no steps when it does. MeshopsError when it is refused.

    Faults of ours whose time is over are removed with it from the objects of the Service. The objects with routes
    get an entry in their journal; point: a name there for the state before; tidy: whether to remove such faults.
    """
    world = world.after(())  # without what is no object at all
    tidied, expired = _tidied(world, now) if tidy else ([], [])
    wish = intent(world.after(tidied))
    changes = _merged([*tidied, *wish.changes])
    recorded = [_recorded(change, wish.what, stamp, point, wish.changes) for change in changes]
    steps = order(recorded, world.routes, world.rules, world.service.domain)
    main = next((c for c in recorded if _identity(c) == _identity(wish.main)), wish.main)
    return Plan(steps, main, world, tuple(wish.needs), tuple(expired), wish.effective, wish.takes_back)


def _tidied(world: World, now: datetime) -> tuple[list[Change], list[str]]:
    changes, told = [], []
    for obj in world.routes:
        if model.kind_of(obj) == "VirtualService" and concerns(obj, world.service):
            found = faults.expired(obj, now)
            if found:
                changes.append(Change(obj, faults.remove_expired(obj, now)))
                told += [f"{fault.route} of VirtualService {model.label(obj)} ({fault.expires})" for fault in found]
    return changes, told


def concerns(obj: Mapping[str, Any], service: Service) -> bool:
    """Tell whether an object routes the requests of the Service or sends requests to it."""
    # the host * of a gateway is not the Service
    if targets.takers([obj], service):
        return True
    return any(
        where is not None and where.host == service.fqdn
        for _section, _at, route in model.routes_of(obj)
        for where in (model.destination(obj, entry, service.domain) for entry in model.entries_of(obj, route))
    )


def _recorded(change: Change, what: str, stamp: Stamp, point: str, wished: Sequence[Change]) -> Change:
    if change.after is None or model.kind_of(change.after) not in ROUTE_KINDS or "kind" not in change.after:
        return change
    if journal.is_undo(change.before, change.after):
        return change
    mine = any(_identity(change) == _identity(other) and other.before != other.after for other in wished)
    return Change(
        change.before,
        journal.record(change.before, change.after, what if mine else "expired faults removed", stamp, point),
    )


def _identity(change: Change) -> tuple[str, str]:
    obj = change.after or change.before or {}
    return model.kind_of(obj), model.label(obj)


def _merged(changes: Sequence[Change]) -> list[Change]:
    """Return one change for each object: from its first state to its last."""
    found: dict[tuple[str, str], Change] = {}
    for change in changes:
        if change.before is None and change.after is None:
            continue
        first = found.get(_identity(change), change)
        found[_identity(change)] = Change(first.before, change.after)
    return [change for change in found.values() if change.before != change.after]


def _applied(objects: Sequence[Mapping[str, Any]], changes: Sequence[Change], rules: bool) -> list[Mapping[str, Any]]:
    """Return the objects with the changes of those of their sort made, each in its place and new ones at the end."""
    made = {
        _identity(change): change.after
        for change in _merged(changes)
        if ((change.after or change.before or {}).get("kind") == "DestinationRule") is rules
    }
    kept = []
    for obj in filter(model.is_object, objects):
        key = model.kind_of(obj), model.label(obj)
        after = made.pop(key, obj)
        kept += [after] if after is not None else []
    return [*kept, *(obj for obj in made.values() if obj is not None)]
