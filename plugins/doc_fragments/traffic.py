# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the traffic modules; equal to the ones in module_utils/traffic_live/args.py."""

from __future__ import annotations


class ModuleDocFragment:
    # SERVICE_ARGS
    DOCUMENTATION = r"""
options:
  host:
    description:
      - The Service, as C(reviews), C(reviews.bookinfo) or C(reviews.bookinfo.svc.cluster.local).
    type: str
    required: true
  namespace:
    description: Namespace of the Service. Needed unless O(host) has it.
    type: str
  cluster_domain:
    description: DNS domain of the cluster, as in the full names of Services.
    type: str
    default: cluster.local
"""

    # ROUTE_ARGS
    ROUTE = r"""
options:
  virtual_service:
    description:
      - Name, or C(namespace/name), of the C(VirtualService) (or of the object of the Gateway API) to edit.
      - Needed when several have a default route to the Service.
      - Also the name of the one that is created. The name of the Service when unset.
    type: str
  route:
    description:
      - Which route to edit, by its name, by the name of a rule of M(meshops.istio.traffic_match), or by its position as
        C(http[0]), where those rules are not counted.
      - V(all) edits every default route, that is one without match conditions.
      - When unset, there has to be exactly one default route to the Service.
    type: str
"""

    # BETWEEN_ARGS
    BETWEEN = r"""
options:
  between:
    description:
      - What the destinations are, subsets of the Service or other Services.
      - Services are written as C(name) or C(name.namespace), each with C(:port) behind it or without.
    type: str
    choices: [subsets, services]
    default: subsets
"""

    # STATE_ARGS
    STATE = r"""
options:
  state:
    description:
      - With V(absent) what the module wrote is taken back and all else is left as it is. Objects that it created go
        when they do nothing any more.
    type: str
    choices: [present, absent]
    default: present
"""

    # READY_ARGS
    READY = r"""
options:
  require_ready:
    description:
      - Refuse to send requests to a subset or Service that has no ready pod.
      - Services without selector are not checked.
    type: bool
    default: true
"""

    # WRITE_ARGS without point
    WRITE = r"""
options:
  wait:
    description:
      - After a write, wait until the proxies have it. They are asked for their own configuration, by running
        C(pilot-agent) in their containers, which needs the rights to get and create C(pods/exec).
      - The proxies are those of all running, ready pods that see the object, the sidecars as well as the pods of its
        gateways. A sidecar that has no route for the host at all is not waited for.
      - Missing rights give a warning. A proxy that refused its configuration ends the wait at once.
      - Between two writes of one task the proof is always waited for, so that subsets are in the proxies before a route
        names them, and leave after no route names them any more.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait for the proxies.
      - The task fails when they have passed. What was written stays, and the same task goes on from there.
    type: float
    default: 30
  force:
    description:
      - Edit objects also when Flagger, Argo Rollouts, Argo CD or Flux manages them.
    type: bool
    default: false
"""

    # the rest of WRITE_ARGS
    POINT = r"""
options:
  point:
    description:
      - A name for the state before this change, to which M(meshops.istio.traffic_rollback) can go back. It is recorded
        with the change, so not by a task that changes nothing.
    type: str
    default: ""
notes:
  - Each change is recorded in the annotation C(meshops.istio/journal) of the object, at most ten of them, and what is
    ours in C(meshops.istio/marks). Neither is shown in diffs.
  - In check mode nothing is waited for.
  - In check mode a Service that does not exist gives a warning instead of a failure, an earlier task may be to make it.
  - A fault whose time is over is removed by the next traffic task on its host, whatever that is to do.
"""
