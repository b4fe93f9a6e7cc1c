# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that speaks to the Kubernetes API; equal to KUBE_ARGS in module_utils/kube.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of the kubeconfig file, on the host that runs the module.
      - When unset, the environment variables E(K8S_AUTH_KUBECONFIG) and E(KUBECONFIG) are tried,
        then C(~/.kube/config).
      - In check mode a file that does not exist yet, or a cluster that does not answer, is no error;
        everything counts as still to be made.
    type: path
  context:
    description: Name of the context in the kubeconfig; its current context when unset.
    type: str
requirements:
  - kubernetes (Python library) >= 24.2.0
"""
