# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which Kubernetes each Istio supports. Pure."""

from __future__ import annotations

import re

# Lowest and highest Kubernetes minor that each Istio minor supports: istio.io, "Supported releases".
KUBERNETES_FOR_ISTIO: dict[str, tuple[str, str]] = {
    "1.29": ("1.31", "1.35"),
    "1.30": ("1.32", "1.36"),
    "1.31": ("1.32", "1.36"),
    "1.32": ("1.32", "1.37"),
}


def minor(version: str) -> tuple[int, int]:
    """Return (1, 31) for 1.31.1, v1.31.1 or 1.31-alpha.abc; ValueError for what is not a version."""
    found = re.match(r"v?(\d+)\.(\d+)", version.strip())
    if not found:
        raise ValueError(f"{version!r} is not a version like 1.31.1")
    return int(found[1]), int(found[2])


def problem(istio_version: str, kubernetes_version: str) -> str | None:
    """Return the sentence that says why the two do not go together, None when they do or the Istio is not listed."""
    try:
        istio = ".".join(map(str, minor(istio_version)))
        kubernetes = minor(kubernetes_version)
    except ValueError as error:
        return f"{error}; set istio_version and kubeadm_version to full versions."
    bounds = KUBERNETES_FOR_ISTIO.get(istio)
    if bounds is None:
        return None
    lowest, highest = bounds
    if minor(lowest) <= kubernetes <= minor(highest):
        return None
    start = f"Kubernetes {kubernetes_version} is not supported by Istio {istio} ({lowest}-{highest})."
    if kubernetes > minor(highest):
        return f"{start} Set kubeadm_version to {highest}.x, or istio_version to a newer one."
    return f"{start} Set kubeadm_version to {lowest}.x or newer, or istio_version to an older one."
