# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench: site.yml against the bare commands on fresh nodes, in turn, as a table. Never a test."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support import Run, lab, play

ROUNDS = 2
BARE = Path(__file__).with_name("bare.sh")


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> int:
    """Rounds of bare, first and second run; prints medians and ratios."""
    bare, first, second = [], [], []
    runs: list[Run] = []
    for number in range(1, ROUNDS + 1):
        lab("up", "--fresh")
        bare.append(seconds(lambda: subprocess.run([str(BARE)], check=True, stdout=subprocess.DEVNULL)))
        lab("up", "--fresh")
        first.append(seconds(lambda: runs.append(play("site.yml"))))
        second.append(seconds(lambda: runs.append(play("site.yml"))))
        sys.stdout.write(f"round {number}/{ROUNDS}  {bare[-1]:.0f} s  {first[-1]:.0f} s  {second[-1]:.0f} s\n")
    floor, run, again = (statistics.median(times) for times in (bare, first, second))
    sys.stdout.write("\n| what | median s | ratio |\n|---|---|---|\n")
    sys.stdout.write(f"| bare commands, fresh nodes | {floor:.0f} | 1 |\n")
    sys.stdout.write(f"| site.yml, fresh nodes | {run:.0f} | {run / floor:.2f} of bare |\n")
    sys.stdout.write(f"| site.yml again | {again:.0f} | {again / run:.2f} of the first |\n")
    for host, count in re.findall(r"^(\S+)\s+: ok=(\d+)", runs[-2].output, re.MULTILINE):
        sys.stdout.write(f"| tasks on {host}, first run | {count} | |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
