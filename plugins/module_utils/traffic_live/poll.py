# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: ask the proxies of the mesh one question until all give the wanted answer.

A question is answered by Envoy's own configuration, read by a command in the proxy's container.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol

from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import nacks

THREADS = 4
EXEC_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between two rounds
PATIENCE = 1.0  # seconds of lagging after which istiod is asked whether a proxy refused its configuration
_NOT_ASKED = "not asked yet"


class Question(Protocol):
    """What is asked of each proxy.

    argv: the command whose output answers it, JSON.
    """

    argv: Sequence[str]

    def look(self) -> str:
        """Read what the wanted answer depends on; return it as text, so that a change of it is noticed."""

    def view(self, pod: Mapping[str, Any]) -> Any:
        """Return how the proxy of a pod is concerned, None when it is not asked."""

    def judge(self, document: Any, view: Any) -> Optional[str]:
        """Return how the answer differs in words, "" when it is the wanted one, None when it does not count."""

    def namespaces(self) -> list[str]:
        """Return the namespaces to search for pods when those of all may not be listed."""


@dataclass
class Round:
    """One look at the proxies, by `namespace/name` of the pod; `wanted` is what they are to have, as text."""

    wanted: str = ""
    current: set[str] = field(default_factory=set)
    lagging: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Poll:
    """Asks until `deadline` (of time.monotonic); `warnings` gets what keeps it from asking all."""

    def __init__(self, kube: Any, question: Question, deadline: float, warnings: list[str]) -> None:
        self.kube, self.question, self.deadline, self.warnings = kube, question, deadline, warnings
        self.narrow = False

    def until_agreed(self) -> Round:
        """Return the first round without a lagging proxy, or the last one before the deadline.

        A proxy that refused its configuration ends the wait at once.
        """
        started, pause = time.monotonic(), FIRST_PAUSE
        last = self.round()
        while last.lagging and time.monotonic() + pause <= self.deadline:
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            last = self.round(last)
            if last.lagging and time.monotonic() - started > PATIENCE:
                refusals = nacks.refusals(self.kube, set(last.lagging))
                if refusals:
                    last.lagging.update(refusals)
                    return last
        return self.round(last, everyone=True) if _NOT_ASKED in last.lagging.values() else last

    def round(self, before: Optional[Round] = None, everyone: bool = False) -> Round:
        """Return one look at all proxies that are concerned; a few go first unless `everyone`.

        Those that agreed in the round before are not asked again while the same is wanted.
        """
        found = Round(self.question.look())
        asked = []
        for pod in self._pods():
            view = self.question.view(pod)
            if view is None:
                continue
            if before and before.wanted == found.wanted and model.label(pod) in before.current:
                found.current.add(model.label(pod))
            else:
                asked.append((pod, view))
        # a gateway first: it has the requests of everybody
        asked.sort(key=lambda item: consumers.proxy_kind(item[0]) == "sidecar")
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda item: self._ask(found, *item), asked[:THREADS]))
            if everyone or not found.lagging:
                list(threads.map(lambda item: self._ask(found, *item), asked[THREADS:]))
            else:
                found.lagging.update({model.label(pod): _NOT_ASKED for pod, _view in asked[THREADS:]})
        return found

    def _pods(self) -> list[dict]:
        if not self.narrow:
            try:
                return self.kube.list("v1", "Pod", cached=True)
            except Forbidden as error:
                self.narrow = True
                namespaces = ", ".join(self.question.namespaces())
                self.warnings.append(f"Only proxies in the namespaces {namespaces} are asked for their routes. {error}")
        return [pod for name in self.question.namespaces() for pod in self.kube.list("v1", "Pod", name, cached=True)]

    def _ask(self, found: Round, pod: Mapping[str, Any], view: Any) -> None:
        namespace, name, label = model.namespace_of(pod), model.name_of(pod), model.label(pod)
        patience = max(1.0, min(EXEC_SECONDS, self.deadline - time.monotonic()))
        try:
            text = self.kube.exec(namespace, name, consumers.CONTAINER, list(self.question.argv), timeout=patience)
            difference = self.question.judge(json.loads(text), view)
        except NotFound:
            return  # it has ended since
        except Forbidden as error:
            found.refused[label] = str(error)
        except KubeError as error:
            found.lagging[label] = str(error).rstrip(".")
        except ValueError:
            found.lagging[label] = "no readable answer"
        else:
            if difference:
                found.lagging[label] = difference
            elif difference is not None:
                found.current.add(label)
