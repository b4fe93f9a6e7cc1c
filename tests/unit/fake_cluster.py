# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster in memory, in place of a Kube: it counts versions, refuses stale writes, and can be made to fail."""

from __future__ import annotations

import copy
import threading
import time
from typing import NamedTuple

from fake_envoy import answer_of

from ansible_collections.meshops.istio.plugins.module_utils import kube_paths
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict, NotFound


class Call(NamedTuple):
    """One request; name: of a pod for exec, None for a list."""

    verb: str
    kind: str
    namespace: str | None
    name: str | None
    dry_run: bool = False
    cached: bool = False

    def __str__(self):
        return f"{self.verb} {self.kind} {self.namespace}/{self.name}"


class FakeKube:
    """Objects by kind, namespace and name.

    calls: all requests; writes, dry_runs: the words of those that were accepted; script: functions of this cluster,
    each run once before a write; refuse: function of a Call that returns the error to raise, or None; lost: words of
    writes that are made, and then answered by the error; absent_kinds: kinds without a CRD; at_hand: by kind, objects
    of a moment ago, which a cached list has.
    answers: by name of a pod what its proxy answers: a text, an error or a function of this cluster and the command,
    or a list of them, one for each question, the last one again and again; without one it has what the objects say.
    """

    absent = False

    def __init__(self, *objects, answers=None):
        self.objects, self.answers = {}, dict(answers or {})
        self.calls, self.writes, self.dry_runs, self.script = [], [], [], []
        self.refuse, self.lost, self.absent_kinds = lambda call: None, {}, set()
        self.at_hand = {}
        self.version = 100
        self.lock, self.busy, self.most = threading.RLock(), 0, 0
        for obj in objects:
            self.put(obj)

    # --- for the test ---

    def put(self, obj):
        """Somebody writes an object."""
        with self.lock:
            self.version += 1
            found = copy.deepcopy(obj)
            found["metadata"].setdefault("namespace", "bookinfo")
            found["metadata"]["resourceVersion"] = str(self.version)
            self.objects[self._key(found)] = found

    def edit(self, kind, name="reviews", namespace="bookinfo"):
        """The live object, to be changed by somebody."""
        obj = self.objects[kind, namespace, name]
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return obj

    def live(self, kind, name="reviews", namespace="bookinfo"):
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def remove(self, kind, name, namespace="bookinfo"):
        del self.objects[kind, namespace, name]

    @property
    def asked(self):
        """The pods in which a command was run, in order."""
        return [f"{call.namespace}/{call.name}" for call in self.calls if call.verb == "exec"]

    def forget(self):
        """Begin a new record."""
        self.calls, self.writes, self.dry_runs = [], [], []

    # --- what a Kube does ---

    def resource(self, api_version, kind):
        self._call(Call("discover", kind, None, None))
        return None if kind in self.absent_kinds else kube_paths.KNOWN.get((api_version, kind))

    def get(self, _api_version, kind, name, namespace=None):
        self._call(Call("get", kind, namespace, name))
        with self.lock:
            return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def list(self, _api_version, kind, namespace=None, label_selector=None, *, cached=False):
        self._call(Call("list", kind, namespace, None, cached=cached))
        wanted = dict(item.split("=") for item in label_selector.split(",")) if label_selector else {}
        with self.lock:
            old = {self._key(obj): obj for obj in self.at_hand.get(kind, ())}
            return [
                copy.deepcopy(obj)
                for (this, space, _name), obj in sorted((old if cached and old else self.objects).items())
                if this == kind
                and namespace in (None, space)
                and wanted.items() <= (obj["metadata"].get("labels") or {}).items()
            ]

    def create(self, obj, dry_run=False):
        return self._write("create", obj, dry_run)

    def replace(self, obj, dry_run=False):
        return self._write("replace", obj, dry_run)

    def delete(self, _api_version, kind, name, namespace=None, *, dry_run=False, resource_version=None):
        call = Call("delete", kind, namespace, name, dry_run)
        self._before_write(call)
        with self.lock:
            live = self.objects.get((kind, namespace, name))
            if live is None:
                return False
            if resource_version and live["metadata"]["resourceVersion"] != resource_version:
                raise Conflict(f"Cannot {call}: somebody else changed it", 409)
            (self.dry_runs if dry_run else self.writes).append(str(call))
            if not dry_run:
                del self.objects[kind, namespace, name]
        self._after_write(call)
        return True

    def exec(self, namespace, pod, container, argv, timeout=60.0):
        assert container == ("discovery" if argv[0] == "pilot-discovery" else "istio-proxy")
        assert argv[1:3] == ["request", "GET"]
        assert 0 < timeout <= 10
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
        try:
            time.sleep(0.002)
            self._call(Call("exec", "Pod", namespace, pod))
            return self._answer(pod, argv)
        finally:
            with self.lock:
                self.busy -= 1

    # ---

    @staticmethod
    def _key(obj):
        return obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]

    def _call(self, call):
        with self.lock:
            self.calls.append(call)
        error = self.refuse(call)
        if error is not None:
            raise error

    def _before_write(self, call):
        if self.script and not call.dry_run:
            self.script.pop(0)(self)
        self._call(call)
        if call.kind in self.absent_kinds:
            raise NotFound(f"Cannot {call}: the cluster has no kind {call.kind}; install its CRD first.", 404)

    def _after_write(self, call):
        error = self.lost.pop(str(call), None) if not call.dry_run else None
        if error is not None:
            raise error

    def _write(self, verb, obj, dry_run):
        key = self._key(obj)
        call = Call(verb, *key, dry_run)
        self._before_write(call)
        with self.lock:
            live = self.objects.get(key)
            if verb == "create" and live is not None:
                raise Conflict(f"Cannot {call}: it already exists", 409)
            if verb == "replace" and live is None:
                raise NotFound(f"Cannot {call}: not found", 404)
            if live is not None and live["metadata"]["resourceVersion"] != obj["metadata"].get("resourceVersion"):
                raise Conflict(f"Cannot {call}: somebody else changed it", 409)
            result = copy.deepcopy(obj)
            kept = {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", **(live or {"metadata": {}})["metadata"]}
            result["metadata"]["uid"] = kept["uid"]
            result["metadata"]["creationTimestamp"] = kept["creationTimestamp"]
            result["metadata"]["managedFields"] = [{"manager": "meshops.istio", "operation": "Update"}]
            result["metadata"]["resourceVersion"] = str(self.version + 1)
            (self.dry_runs if dry_run else self.writes).append(str(call))
            if not dry_run:
                self.version += 1
                self.objects[key] = result
        self._after_write(call)
        return copy.deepcopy(result)

    def _answer(self, pod, argv):
        with self.lock:
            scripted = self.answers.get(pod, answer_of)
            if isinstance(scripted, list):
                scripted = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        if isinstance(scripted, Exception):
            raise scripted
        with self.lock:
            return scripted(self, argv) if callable(scripted) else scripted
