# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases for the properties of edits: a world with what was done to it before, and what is asked of it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from traffic_asks import MAKERS, NOW, OPPOSITE, TAKING_BACK, Ask, fault
from traffic_checks import key_of
from traffic_worlds import make_world

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Intent, Plan, World, planned

EARLIER = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)
STAMP = Stamp("2026-03-01T12:00:00Z", "somebody")
EXAMPLES = 850
many = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=EXAMPLES,
    phases=[Phase.generate, Phase.shrink],  # to explain a failure every line would be traced
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Case:
    """A world and what is asked of it; past: what was done to it before, in its order."""

    seed: int
    size: int
    odd: int
    world: World
    ask: Ask
    past: tuple[Ask, ...] = ()

    def __repr__(self) -> str:
        return f"make_case({self.seed}, {self.size}, {self.odd}) = {self.ask!r} after {self.past!r}"


def plan_of(world: World, intent: Intent, now: datetime = NOW, tidy: bool = True) -> Plan:
    return planned(world, intent, now, STAMP, tidy=tidy)


def attempt(world: World, intent: Intent, tidy: bool = True) -> Plan | None:
    """Return the plan, None when the intent is refused as a user may see it."""
    try:
        return plan_of(world, intent, tidy=tidy)
    except MeshopsError as refusal:
        text = str(refusal)
        assert "\n" not in text and text.endswith(".") and len(text) < 1200, text
        assert not any(word in text for word in ("None", "Traceback", "Error", "<", "{}")), text
        return None


def carried_out(world: World, steps) -> World:
    """Return the world after the writes, as an API server does them."""
    found = {key_of(obj): obj for obj in (*world.routes, *world.rules)}
    for step in steps:
        key = key_of(step.after if step.after is not None else step.before)
        live = found.get(key)
        assert (step.before is None) == (live is None), f"{step} of what is {'there' if live else 'not there'}"
        if live is not None:
            assert {**live, "metadata": 0} == {**step.before, "metadata": 0}, f"{step} of something else"
        if step.after is None:
            del found[key]
            continue
        after = step.after
        version = live["metadata"].get("resourceVersion") if live else None
        if version and "resourceVersion" not in after["metadata"]:
            after = {**after, "metadata": {**after["metadata"], "resourceVersion": version}}
        found[key] = after
    rules = [obj for obj in found.values() if obj["kind"] == "DestinationRule"]
    return World(world.service, [obj for obj in found.values() if obj["kind"] != "DestinationRule"], rules)


def cases(names: tuple[str, ...] = (), aged: float = 0.4) -> st.SearchStrategy[Case]:
    """Return a strategy of cases; names: the intents to choose from; aged: the share of worlds with a past."""
    # one number, of which hypothesis has no parts to mutate: that would take as long as all of the rest
    return st.integers(0, 2**44).map(lambda n: make_case(n // 12, 1 + n % 3, n // 3 % 4, names, aged))


def make_case(seed: int, size: int, odd: int, names: tuple[str, ...] = (), aged: float = 0.4) -> Case:
    random = Random(seed ^ 0x5EED)
    world = make_world(seed, size, odd)
    name = random.choice(names or tuple(MAKERS))
    past: list[Ask] = []
    if name in TAKING_BACK or random.random() < aged:
        wanted = name if name in TAKING_BACK and random.random() < 0.9 else random.choice(TAKING_BACK)
        ask = _earlier(random, world, wanted)
        world = _done(world, ask, past)
        if random.random() < 0.3:
            world = _done(world, _earlier(random, world, random.choice(TAKING_BACK)), past)
        if name in TAKING_BACK and ask.inverse:
            ask = MAKERS[name](random, world, like=ask)
            return Case(seed, size, odd, world, ask, tuple(past))
    return Case(seed, size, odd, world, MAKERS[name](random, world), tuple(past))


def _earlier(random: Random, world: World, name: str) -> Ask:
    """Return what the intent of this name takes back; a fault's time can be over by now."""
    if name == "no_fault":
        return fault(random, world, EARLIER)
    return MAKERS[OPPOSITE[name]](random, world)


def _done(world: World, ask: Ask, past: list[Ask]) -> World:
    try:
        steps = plan_of(world, ask.intent, EARLIER).steps
    except MeshopsError:
        return world
    past.append(ask)
    return carried_out(world, steps)


def pairs(case, tidy=True):
    """Return the objects that the plan of a case changes, as (before, after); None when it is refused."""
    plan = attempt(case.world, case.ask.intent, tidy)
    if plan is None:
        return None
    after = carried_out(case.world, plan.steps)
    old = {key_of(obj): obj for obj in (*case.world.routes, *case.world.rules)}
    new = {key_of(obj): obj for obj in (*after.routes, *after.rules)}
    keys = [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
    return [(old.get(key), new.get(key)) for key in keys]


def edited(case, tidy=True):
    """Return those of them that were there and still are."""
    return [pair for pair in pairs(case, tidy) or () if None not in pair]


def aligned(case, before, after):
    """Return both objects without the rule that the case is about, which may have come, gone or moved."""
    name = f"meshops-{case.ask.about.get('name')}"

    def rest(obj):
        if not case.ask.name.endswith("rule") or obj["kind"] != "VirtualService":
            return obj
        kept = [route for route in obj["spec"].get("http") or [] if (route or {}).get("name") != name]
        return {**obj, "spec": {**obj["spec"], "http": kept}}

    return rest(before), rest(after)


def expired(case):
    return any(ask.about.get("expires") == "30m" for ask in case.past)
