# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic objects that several tests are about, and a plan made of them without a cluster."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone

from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import API_VERSION, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import World, planned
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

REVIEWS = Service("reviews", "bookinfo")
OURS = {"app.kubernetes.io/managed-by": "meshops.istio"}
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
STAMP = Stamp("2026-01-01T00:00:00Z", "t")


def service(name="reviews", namespace="bookinfo", selector=True, **metadata):
    spec = {"ports": [{"port": 9080}], **({"selector": {"app": name}} if selector else {})}
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def pod(name, namespace="bookinfo", *, ready="True", proxy="", native=False, labels=None, **metadata):
    """A pod; proxy: what its istio-proxy was started as, "" for none; native: as an init container."""
    container = {"name": "istio-proxy", "args": ["proxy", proxy]}
    spec = {"containers": [{"name": "app"}] if native or not proxy else [{"name": "app"}, container]}
    if native:
        spec["initContainers"] = [{"name": "istio-init"}, container]
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}, **metadata}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def version(name, app="reviews", **options):
    """A pod of one version of an app."""
    return pod(f"{app}-{name}", labels={"app": app, "version": name}, **options)


def to(subset=None, weight=None, host="reviews"):
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def vs(*http, name="reviews", namespace="bookinfo", labels=None, annotations=None, created=None, **spec):
    """A VirtualService of somebody else with these http routes."""
    metadata = {
        "name": name,
        "namespace": namespace,
        **({"labels": labels} if labels else {}),
        **({"annotations": annotations} if annotations else {}),
        **({"creationTimestamp": created} if created else {}),
    }
    spec = {"hosts": ["reviews"], **({"http": list(http)} if http else {}), **spec}
    return {"apiVersion": API_VERSION, "kind": "VirtualService", "metadata": metadata, "spec": spec}


def dr(*subsets, name="reviews", namespace="bookinfo", host="reviews", labels=None, **spec):
    """A DestinationRule of somebody else with subsets by version."""
    listed = [{"name": subset, "labels": {"version": subset}} for subset in subsets]
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    spec = {"host": host, **({"subsets": listed} if listed else {}), **spec}
    return {"apiVersion": API_VERSION, "kind": "DestinationRule", "metadata": metadata, "spec": spec}


def plan(intent, routes=(), rules=(), *, now=NOW, point="", tidy=True):
    """The plan for an intent; the objects are seen not to be changed by it."""
    world = World(REVIEWS, list(routes), list(rules))
    kept = copy.deepcopy(world)
    made = planned(world, intent, now, STAMP, point, tidy)
    assert canonical(world.routes) == canonical(kept.routes)
    assert canonical(world.rules) == canonical(kept.rules)
    return made


def plan_split(request, routes=(), rules=()):
    return plan(lambda world: intents.split(world, request), routes, rules)


def split_of(weights, **options):
    request = Request(REVIEWS, weights, **options)
    return lambda world: intents.split(world, request)


def bare(made):
    """What a plan makes of its object, without our bookkeeping."""
    return model.unmarked(made.main.after)


def words(made):
    return [str(step) for step in made.steps]


def result(made):
    """The objects with routes and the DestinationRules after a plan."""
    world = made.world.after(made.changes)
    return list(world.routes), list(world.rules)


def canonical(obj):
    return json.dumps(obj, sort_keys=True)
