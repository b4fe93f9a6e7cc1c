# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traffic tasks and the faults of an API server that each of them meets in test_api_faults.py."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.faults import api_proxy
from tests.faults.api_proxy import ApiProxy, Rule, refused
from tests.integration.tasks import CORES

NAME, NAMESPACE = "faulty", "bookinfo"
API = "networking.istio.io/v1"
KINDS = ("VirtualService", "DestinationRule", "Gateway")
LIMIT = 12.0  # seconds that a task may take with any fault, with the short patience that the tests give it


# --- the tasks ---


class Task(NamedTuple):
    """A traffic task that changes something when `start` is there; waits: whether it asks the proxies at its end."""

    module: str
    options: dict[str, Any]
    start: str = "split"
    waits: bool = True

    def run(self, kubeconfig: Any, wait: float = 0, check_mode: bool = False) -> dict[str, Any]:
        """The task as its action plugin runs it; wait: for the proxies, in seconds, 0 not to ask them."""
        options = {**self.options, "kubeconfig": str(kubeconfig)}
        if self.module == "info":
            options.update({"proxies": wait > 0, "timeout": wait})
        elif self.waits:
            options.update({"wait": wait > 0, "wait_timeout": wait or 30})
        module = importlib.import_module(f"{CORES}.{self.module}")
        checked = ArgumentSpecValidator(module.ARGS, **getattr(module, "RULES", {})).validate(options)
        assert not checked.error_messages, checked.error_messages
        return module.core(checked.validated_parameters, check_mode)


HOST = {"host": NAME, "namespace": NAMESPACE}
GATE = {"name": NAME, "namespace": NAMESPACE, "selector": {"istio": NAME}}
JASON = {"name": "jason", "headers": {"end-user": {"exact": "jason"}}}
MODULES = {
    "split": Task("split", {**HOST, "weights": {"v1": 70, "v2": 30}}),
    "match": Task("match", {**HOST, **JASON, "destination": "v2"}),
    "mirror": Task("mirror", {**HOST, "destination": "v2", "percent": 10}),
    "fault": Task("fault", {**HOST, "delay": {"duration": "1s", "percent": 10}}),
    "policy": Task("policy", {**HOST, "timeout": "2s"}),
    "subset": Task("subset", {**HOST, "name": "extra", "labels": {"version": "v3"}}),
    "rollback": Task("rollback", {**HOST, "point": "good"}),
    "gateway": Task("gateway", {**GATE, "hosts": ["faulty.example.com"]}, waits=False),
    "info": Task("info", HOST),
}
# several writes, creations and deletions
MORE = {
    "split_created": Task("split", {**HOST, "weights": {"v1": 50, "v2": 50}}, start="nothing"),
    "split_removed": Task("split", {**HOST, "state": "absent"}),
    "gateway_edited": Task("gateway", {**GATE, "hosts": ["other.example.com"]}, start="gate", waits=False),
    "gateway_removed": Task("gateway", {**GATE, "state": "absent"}, start="gate", waits=False),
}
TASKS = {**MODULES, **MORE}


# --- the faults ---

WRITE = r"^(POST|PUT|PATCH|DELETE) .*/(virtualservices|destinationrules|gateways)(?!.*dryRun=All)"
EXEC = r"^GET .*/exec\?"
READ = r"^GET (?!.*/exec\?)"
ANY = ""


class Fault(NamedTuple):
    """A fault, and what has to come of it.

    rules: function of the proxy and of the number of the request that meets the fault first; cause: is in the error's
    text, "" when the task has to succeed all the same; told: is in the warnings then, or in what info says of a proxy;
    wait: for the proxies, in seconds, 0 not to ask them; patience: how long the transport tries again, in seconds.
    """

    rules: Callable[[ApiProxy, int], list[Rule]]
    cause: str = ""
    told: str = ""
    wait: float = 0
    patience: float = 5.0


def once(pattern: str, act: api_proxy.Act) -> Callable[[ApiProxy, int], list[Rule]]:
    return lambda _proxy, number: [Rule(pattern, act, number, number)]


def always(pattern: str, act: api_proxy.Act) -> Callable[[ApiProxy, int], list[Rule]]:
    return lambda _proxy, number: [Rule(pattern, act, number)]


def then(act: api_proxy.Act, pattern: str) -> Callable[[ApiProxy, int], list[Rule]]:
    """A write to which `act` is done, and from then on no answer to what matches."""

    def rules(proxy: ApiProxy, number: int) -> list[Rule]:
        def acted(exchange: api_proxy.Exchange) -> None:
            proxy.rules.insert(0, Rule(pattern, api_proxy.reset))
            act(exchange)

        return [Rule(WRITE, acted, number, number)]

    return rules


BUSY = refused(429, "TooManyRequests", Retry_After="1")
ERROR = refused(500, "InternalError")
DOWN = refused(503, "ServiceUnavailable")
CHANGED = refused(409, "Conflict", "the object has been modified")
DENIED = refused(403, "Forbidden", "exec is not for you")
RENEWED = api_proxy.expired("valid", "renewed")
EXPIRED = api_proxy.expired("valid")
NO_ANSWER = r"no answer from http://127\.0\.0\.1:\d+ \("
NOT_YET = r"is written, but after [\d.]+ s not yet in force in \d+ of \d+ proxies: .*Cannot run pilot-agent in pod "

WRITE_FAULTS = {
    "write_429_once": Fault(once(WRITE, BUSY)),
    "write_500_once": Fault(once(WRITE, ERROR)),
    "write_503_once": Fault(once(WRITE, DOWN)),
    "write_409_once": Fault(once(WRITE, CHANGED)),
    "write_reset_once": Fault(once(WRITE, api_proxy.reset)),
    "write_lost_once": Fault(once(WRITE, api_proxy.lost)),
    "write_stalled_once": Fault(once(WRITE, api_proxy.stalled)),
    "write_401_renewed": Fault(always(WRITE, RENEWED)),
    "write_429": Fault(always(WRITE, BUSY), "keeps answering 429: injected", patience=0.3),
    "write_500": Fault(always(WRITE, ERROR), "keeps answering 500: injected", patience=0.3),
    "write_503": Fault(always(WRITE, DOWN), "keeps answering 503: injected", patience=0.3),
    "write_409": Fault(always(WRITE, CHANGED), "somebody else changed it .*: the object has been modified"),
    "write_reset": Fault(always(WRITE, api_proxy.reset), NO_ANSWER, patience=0.3),
    "write_lost": Fault(always(WRITE, api_proxy.lost), patience=0.3),
    "write_stalled": Fault(always(WRITE, api_proxy.stalled), NO_ANSWER, patience=0.3),
    "write_401": Fault(always(WRITE, EXPIRED), "does not accept the credentials"),
    "write_then_no_read": Fault(then(api_proxy.passed, READ), f"is written, but .*{NO_ANSWER}", "", 5, 0.3),
}
READ_FAULTS = {
    "read_429_once": Fault(once(READ, BUSY)),
    "read_500_once": Fault(once(READ, ERROR)),
    "read_503_once": Fault(once(READ, DOWN)),
    "read_reset_once": Fault(once(READ, api_proxy.reset)),
    "read_cut_once": Fault(once(READ, api_proxy.cut)),
    "read_stalled_once": Fault(once(READ, api_proxy.stalled)),
    "read_401_renewed": Fault(always(READ, RENEWED)),
    "read_429": Fault(always(READ, BUSY), "keeps answering 429: injected", patience=0.3),
    "read_500": Fault(always(READ, ERROR), "keeps answering 500: injected", patience=0.3),
    "read_503": Fault(always(READ, DOWN), "keeps answering 503: injected", patience=0.3),
    "read_reset": Fault(always(READ, api_proxy.reset), NO_ANSWER, patience=0.3),
    "read_stalled": Fault(always(READ, api_proxy.stalled), NO_ANSWER, patience=0.3),
    "read_401": Fault(always(READ, EXPIRED), "does not accept the credentials"),
}
EXEC_FAULTS = {
    "exec_reset_once": Fault(once(EXEC, api_proxy.reset), wait=5),
    "exec_403": Fault(always(EXEC, DENIED), told="exec is not for you", wait=5),
    "exec_reset": Fault(always(EXEC, api_proxy.reset), NOT_YET, "Cannot run pilot-agent in pod", 1),
    "exec_stalled": Fault(always(EXEC, api_proxy.stalled), NOT_YET, "Cannot run pilot-agent in pod", 1),
}
# every task asks the proxies in the same way
MORE_EXEC_FAULTS = {
    "exec_500_once": Fault(once(EXEC, ERROR), wait=5),
    "exec_cut_once": Fault(once(EXEC, api_proxy.cut), wait=5),
    "exec_stalled_once": Fault(once(EXEC, api_proxy.stalled), wait=5),
    "exec_stuck_once": Fault(once(EXEC, api_proxy.stuck), wait=5),
    "exec_401_renewed": Fault(always(EXEC, RENEWED), wait=5),
}
BLIND = "unknown"
FAULTS = {
    **WRITE_FAULTS,
    **READ_FAULTS,
    **EXEC_FAULTS,
    **MORE_EXEC_FAULTS,
    # the write is made or not, and then the API server is dead: nobody can know
    "write_lost_then_dead": Fault(then(api_proxy.lost, ANY), BLIND, patience=0.3),
    "write_reset_then_dead": Fault(then(api_proxy.reset, ANY), BLIND, patience=0.3),
}


def cases() -> Iterator[tuple[str, str, int]]:
    """Each module with each fault that it can meet, and at each of its writes what is worth it."""
    for name, module in MODULES.items():
        writes = [] if name == "info" else [*WRITE_FAULTS, "write_lost_then_dead", "write_reset_then_dead"]
        for fault in (*writes, *READ_FAULTS, *(EXEC_FAULTS if module.waits else ())):
            if module.waits or fault != "write_then_no_read":
                yield name, fault, 1
    for name in ("split", "info"):
        for fault in MORE_EXEC_FAULTS:
            yield name, fault, 1
    for name, module in MORE.items():
        for number in (1, 2) if module.waits else (1,):
            for fault in ("write_409_once", "write_lost_once", "write_500", "write_409"):
                yield name, fault, number
