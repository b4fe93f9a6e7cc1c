# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nearest known word, and options that are mistyped."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.istio.plugins.filter.nearest import FilterModule
from ansible_collections.meshops.istio.plugins.filter.same_on import same_on
from ansible_collections.meshops.istio.plugins.module_utils import words

ROLES = ["istio", "istio_addons", "istioctl", "containerd", "node"]
nearest = FilterModule().filters()["nearest"]


@pytest.mark.parametrize(
    ("word", "candidates", "guess"),
    [
        ("presnt", ["present", "absent"], "present"),
        ("v11", ["v1", "v2", "v3"], "v1"),
        ("zebra", ["v1", "v2"], ""),
        ("demo", [], ""),
    ],
)
def test_nearest(word, candidates, guess):
    assert nearest(word, candidates) == guess


def test_nearest_wants_a_list():
    with pytest.raises(AnsibleFilterError):
        nearest("a", "abc")


@pytest.mark.parametrize(
    ("role", "names", "options", "guesses"),
    [
        ("containerd", ["containerd_verzion"], ["containerd_version", "containerd_ca"], ["containerd_version"]),
        ("containerd", ["_containerd_verzion", "__containerd_verzion"], ["containerd_version"], []),
        # another role's option is not taken for a mistyped one
        ("istio", ["istioctl_version", "istio_addons_versions"], ["istio_version", "istio_addons_version"], []),
        ("istio", ["istio_verson"], ["istio_version"], ["istio_version"]),
        # somebody else's variable with the same first word
        ("node", ["node_exporter_version", "node_labels"], ["node_hostname", "node_address", "node_sysctl"], []),
    ],
)  # fmt: skip
def test_unknown_options(role, names, options, guesses):
    problems = words.unknown_options(role, names, options, ROLES)
    assert [problem.rpartition("Did you mean ")[2].rstrip("?") for problem in problems] == guesses
    assert all(f"is not an option of the role {role}" in problem for problem in problems)


def test_same_on_finds_twins():
    hostvars = {
        "n2": {"node_hostname": "n1", "ansible_facts": {"machine_id": "a"}},
        "n3": {"ansible_facts": {"machine_id": "b"}},
        "n4": {"ansible_facts": {}},
    }
    others = ["n2", "n3", "n4", "not gathered"]
    assert same_on("n1", hostvars, others, "node_hostname", True) == ["n2"]
    assert same_on("n3", hostvars, others, "node_hostname", True) == ["n3"]
    assert same_on("a", hostvars, others, "ansible_facts.machine_id") == ["n2"]
    assert same_on("", hostvars, others, "ansible_facts.machine_id") == []
