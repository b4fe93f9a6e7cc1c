# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one traffic task and kills its own process at the Nth write, right before or right after it.

argv: name of the task, its options as JSON, N from 1, before or after. A task with fewer writes ends with 0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from tests.integration.tasks import task

from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube  # isort: skip - the path comes with tasks


class Killer:
    """Counts writes over all methods that write."""

    def __init__(self, number: int, moment: str) -> None:
        self.left, self.moment = number, moment

    def around(self, write: Any) -> Any:
        """Return the method with the kill in it."""

        def killing(kube: Kube, *args: Any, dry_run: bool = False, **kwargs: Any) -> Any:
            self.left -= not dry_run
            fatal = self.left == 0 and not dry_run
            if fatal and self.moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = write(kube, *args, dry_run=dry_run, **kwargs)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return killing


if __name__ == "__main__":
    killer = Killer(int(sys.argv[3]), sys.argv[4])
    for name in ("create", "replace", "delete"):
        setattr(Kube, name, killer.around(getattr(Kube, name)))
    task(sys.argv[1], **json.loads(sys.argv[2]))
