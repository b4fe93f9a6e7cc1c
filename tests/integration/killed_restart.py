# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs istio_injection and kills its own process right after it began the Nth restart. argv: options as JSON, N."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from tests.integration.cores import run

from ansible_collections.meshops.istio.plugins.module_utils import workload_restart  # isort: skip - after the path

if __name__ == "__main__":
    patch, left = workload_restart.patch, [int(sys.argv[2])]

    def fatal(kube: Any, obj: dict, change: dict) -> dict | None:
        done = patch(kube, obj, change)
        left[0] -= obj["kind"] != "Namespace"
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    workload_restart.patch = fatal
    run("injection", **json.loads(sys.argv[1]))
