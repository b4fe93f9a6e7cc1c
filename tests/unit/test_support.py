# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Kubernetes goes with which Istio."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import support


@pytest.mark.parametrize(
    ("istio", "kubernetes", "words"),
    [
        ("1.31.1", "1.36.3", None),
        ("1.31.1", "v1.32.0", None),
        ("1.32.0-lab.1", "1.37.0", None),
        (
            "1.31.1",
            "1.37.1",
            "Kubernetes 1.37.1 is not supported by Istio 1.31 (1.32-1.36). Set kubeadm_version to 1.36",
        ),
        ("1.29.2", "1.30.9", "Set kubeadm_version to 1.31.x or newer, or istio_version to an older one."),
        ("1.99.0", "1.10.0", None),
        ("latest", "1.36.3", "'latest' is not a version"),
    ],
)
def test_problem(istio, kubernetes, words):
    found = support.problem(istio, kubernetes)
    assert (found is None) if words is None else (words in found)


def test_every_row_is_a_range():
    for istio, (lowest, highest) in support.KUBERNETES_FOR_ISTIO.items():
        assert support.minor(lowest) < support.minor(highest), istio
