# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: argv in, output out; a failure names the command and its last words."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from lab.data import LabError


def run(
    argv: Sequence[str],
    cwd: Optional[Path] = None,
    env: Optional[dict[str, str]] = None,
    stdin: Optional[str] = None,
    log: Optional[Path] = None,
) -> str:
    """Runs argv and returns its standard output; with `log` all output is also kept in that file."""
    result = subprocess.run(
        list(argv), cwd=cwd, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True, check=False
    )
    if log:
        log.write_text(result.stdout + result.stderr)
    if result.returncode:
        last = "\n".join((result.stderr or result.stdout).strip().splitlines()[-8:])
        raise LabError(f"`{shlex.join(argv)}` failed with code {result.returncode}: {last}")
    return result.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether argv ends with code 0; its output is of no interest."""
    return subprocess.run(list(argv), capture_output=True, check=False).returncode == 0
