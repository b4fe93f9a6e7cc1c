# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the weights of one route of any protocol and API, read, compared and written. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service

_ACTIONS = ("redirect", "directResponse", "delegate")
_MOST_BACKENDS = 16


class Split:
    """The destinations of one route, checked to be ones whose weights can be set.

    wanted: the whole split, by destination; services: whether it is between Services and not between subsets of one.
    """

    def __init__(
        self, obj: Mapping[str, Any], section: str, index: int, service: Service, wanted: Mapping[Destination, int]
    ) -> None:
        self.obj, self.service, self.wanted, self.form = obj, service, wanted, model.form_of(obj)
        self.where = f"{section}[{index}] of {model.kind_of(obj)} {model.label(obj)}"
        route = obj["spec"][section][index]
        action = action_of(route)
        if action:
            raise MeshopsError(f"{self.where} is a {action}, which has no weights. Choose another by route.")
        self.entries = route.get(self.form.entries)
        found = [model.destination(obj, entry, service.domain) for entry in model.list_of(self.entries)]
        if not isinstance(self.entries, list) or None in found:
            raise MeshopsError(
                f"{self.where} has an entry without a proper destination. Correct it first, or choose another by route."
            )
        self.weights = [self._weight(entry) for entry in self.entries]
        self.destinations = [where for where in found if where]
        self.own = [self._own(where) for where in self.destinations]
        self._refuse_strangers()
        self._refuse_doubles()
        self._refuse_limits()

    def _own(self, where: Destination) -> Optional[Destination]:
        """Return the destination by which the request means this one, None for a stranger's."""
        anywhere = Destination(where.host, where.subset)
        for key in (where, anywhere):
            if key in self.wanted:
                return key
        return anywhere if where.host == self.service.fqdn else None

    def _weight(self, entry: Mapping[str, Any]) -> int:
        weight = entry.get("weight")
        if weight is None:
            return self.form.absent
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            raise MeshopsError(
                f"{self.where} has the weight {weight!r}, which Istio does not accept."
                " Correct it first, or choose another by route."
            )
        return weight

    def _refuse_strangers(self) -> None:
        for where, own, share in zip(self.destinations, self.own, self.shares()):
            if not own and share:
                other = f"{round(float(share * 100), 2):g} % to {where.host}"
                raise MeshopsError(
                    f"{self.where} also sends {other}, which weights of {self.service} cannot express."
                    " Set that weight to 0 first, or choose another by route."
                )

    def _refuse_doubles(self) -> None:
        own = [key for key in self.own if key]
        double = next((key for key in own if own.count(key) > 1), None)
        if double:
            if double.host != self.service.fqdn:
                what = double.host
            elif double.subset:
                what = f"subset {double.subset} of {self.service}"
            else:
                what = f"{self.service} without subset"
            raise MeshopsError(
                f"{self.where} has {what} twice, so that its weight is ambiguous."
                " Merge the two, or choose another by route."
            )

    def _refuse_limits(self) -> None:
        if self.form is not model.GATEWAY:
            return
        if max(self.wanted.values()) > self.form.limit:
            raise MeshopsError(f"{self.where} takes weights up to {self.form.limit}. Use smaller numbers in weights.")
        if len(self.entries) + len(self._missing()) > _MOST_BACKENDS:
            raise MeshopsError(
                f"{self.where} would have more than {_MOST_BACKENDS} destinations. Remove some without weight first."
            )

    def shares(self) -> list[Fraction]:
        """Return the effective share of each entry; all zero when Envoy would have none to choose."""
        if len(self.weights) == 1 and self.form is model.ISTIO:
            return [Fraction(1)]
        total = sum(self.weights)
        return [Fraction(weight, total) if total else Fraction(0) for weight in self.weights]

    def in_effect(self) -> bool:
        """Tell whether the shares are the wanted ones already, however the weights are written."""
        total = sum(self.wanted.values())
        if any(self.wanted[key] for key in self._missing()):
            return False
        wanted = [Fraction(self.wanted.get(key, 0) if key else 0, total) for key in self.own]
        return self.shares() == wanted

    def write(self, entries: list) -> None:
        """Set the weights in `entries`, a copy of the entries of the route, and append the missing destinations."""
        # without a weight a lone destination has everything, one of several has nothing
        alone = len(entries) == 1 and not self.form.absent
        for entry, key, weight in zip(entries, self.own, self.weights):
            wanted = self.wanted.get(key, 0) if key else 0
            if key and (weight != wanted or (alone and "weight" not in entry)):
                entry["weight"] = wanted
        entries += [self._entry(key, self.wanted[key]) for key in self._missing()]

    def _missing(self) -> list[Destination]:
        return [key for key in self.wanted if key not in self.own]

    def _entry(self, key: Destination, weight: int) -> dict[str, Any]:
        brothers = [entry for entry, own in zip(self.entries, self.own) if own]
        return {**new_entry(self.obj, brothers, self.service, key, self.where), "weight": weight}


def new_entry(obj: Mapping[str, Any], brothers: list, service: Service, key: Destination, where: str) -> dict[str, Any]:
    """Return an entry without weight for a destination, written like its brothers in the route `where` of the object.

    MeshopsError when the port is not known.
    """
    port = _port(obj, brothers, service, key, where)
    if model.form_of(obj) is model.GATEWAY:
        return backend(key, port, model.namespace_of(obj))
    hosts = [model.destination_of(entry)["host"] for entry in brothers]
    destination = {"host": _spelled(obj, hosts, service, key)}
    if key.subset:
        destination["subset"] = key.subset
    if port is not None:
        destination["port"] = copy.deepcopy(port)
    return {"destination": destination}


def _spelled(obj: Mapping[str, Any], hosts: list[str], service: Service, key: Destination) -> str:
    """Return the host as its brothers are written: short or full."""
    if key.host == service.fqdn:
        namespace, domain = model.namespace_of(obj), service.domain
        same = [host for host in hosts if model.resolve(host, namespace, domain) == key.host]
        if same:
            return same[0]
    return short_host(key.host, obj, service) if all("." not in host for host in hosts) else key.host


def _port(obj: Mapping[str, Any], brothers: list, service: Service, key: Destination, where: str) -> Any:
    gateway = model.form_of(obj) is model.GATEWAY
    if key.port is not None:
        return key.port if gateway else {"number": key.port}
    ports = [(entry if gateway else model.destination_of(entry)).get("port") for entry in brothers]
    if gateway and not any(ports):
        raise MeshopsError(f"{where} has no port for {key.host}. Write its key in weights as name:port.")
    if any(port != ports[0] for port in ports):
        raise MeshopsError(
            f"{where} sends to several ports of {service}, so that the port of a new subset is not known."
            " Add the destination to it first."
        )
    return ports[0] if ports else None


def action_of(route: Mapping[str, Any]) -> Optional[str]:
    """Return what a route does in place of sending to destinations, None when it has some."""
    filters = [model.dict_of(item).get("type") for item in model.list_of(route.get("filters"))]
    if "RequestRedirect" in filters:
        return "redirect"
    return next((key for key in _ACTIONS if route.get(key)), None)


def short_host(fqdn: str, obj: Mapping[str, Any], service: Service) -> str:
    """Return the short name of a Service when an object of that namespace may use it, else the full one."""
    name, namespace = fqdn.split(".")[:2]
    return name if namespace == model.namespace_of(obj) and fqdn.endswith(f".svc.{service.domain}") else fqdn


def backend(where: Destination, port: int, namespace: str) -> dict[str, Any]:
    """Return an entry of `backendRefs` without weight, with the defaults that the API server would add."""
    name, its_namespace = where.host.split(".")[:2]
    foreign = {} if its_namespace == namespace else {"namespace": its_namespace}
    return {"group": "", "kind": "Service", "name": name, **foreign, "port": port}
