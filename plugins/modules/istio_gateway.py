#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_gateway
short_description: Open ports of an Istio gateway for hosts, with TLS from a Secret
description:
  - Creates or edits a C(Gateway) of C(networking.istio.io/v1), so that the pods of a gateway accept requests for hosts.
  - In an object that is there already only the servers of this module change. They are known by the names of their
    ports, which begin with C(meshops-). Servers of others and everything else stay as they are.
  - There is one set of servers of this module in each object. What is not asked for any more is taken out.
  - A server of somebody else in the same object that Istio cannot serve beside the new ones is refused before anything
    is written.
version_added: 0.2.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
  - meshops.istio.kube
options:
  name:
    description: Name of the C(Gateway).
    type: str
    required: true
  namespace:
    description: Namespace of the C(Gateway). It has to exist.
    type: str
    required: true
  state:
    description:
      - With V(absent) the servers of this module are taken out, and the C(Gateway) is deleted if this module created it
        and no server is left.
      - A C(Gateway) of somebody else that would have no server left is refused.
    type: str
    choices: [present, absent]
    default: present
  hosts:
    description:
      - Names of hosts to accept requests for, as C(bookinfo.example.com), C(*.example.com) or C(*).
      - With C(NAMESPACE/) in front, or C(./) for the namespace of the C(Gateway), only routes of that namespace count.
      - Needed for O(state=present).
    type: list
    elements: str
  http_port:
    description: Port for plain requests, V(0) for none.
    type: int
    default: 80
  https_port:
    description: Port for TLS. Used with O(tls) only.
    type: int
    default: 443
  tls:
    description: How TLS ends at the gateway. Without it there is no server for TLS.
    type: dict
    suboptions:
      credential:
        description:
          - Name of the Secret with the certificate and its private key, of the type C(kubernetes.io/tls) or with the
            keys C(cert) and C(key).
          - It has to be in the namespace of the gateway's pods, which is seldom that of the C(Gateway).
        type: str
        required: true
      mode:
        description:
          - Whether only the gateway shows a certificate, or with V(mutual) its clients have to as well.
          - V(mutual) needs the certificate of the clients' authority as C(ca.crt) or C(cacert), in the Secret itself or
            in another one named as O(tls.credential) with C(-cacert) at the end.
        type: str
        choices: [simple, mutual]
        default: simple
      min_protocol:
        description: Least version of TLS. Istio's own least version when unset.
        type: str
        choices: [tls1_2, tls1_3]
  redirect:
    description: Answer plain requests with a redirect to TLS. Needs O(tls) and O(http_port).
    type: bool
    default: false
  selector:
    description:
      - Labels of the gateway's pods, in whatever namespace they are.
      - When unset, those of an object that is there stay, and a new one gets C(istio=ingressgateway).
      - Refused when the C(Gateway) or one of its servers is of somebody else and other labels are in it.
    type: dict
  require_secret:
    description:
      - Refuse to write servers whose Secret is missing, lacks a key, has content that is not PEM, or has a private key
        that does not belong to the certificate. With V(false) that is a warning.
      - Reading the Secret needs the right to get it. Its content is neither shown nor logged.
      - When nothing is to be written a wrong Secret is a warning, and so it is in check mode if the Secret is missing,
        as an earlier task may be to make it.
    type: bool
    default: true
notes:
  - When no pod has the labels of O(selector) there is a warning, and the Secret is not looked for.
  - Another C(Gateway) for the same pods that has the same port and host with other TLS settings gives a warning.
    Istio merges them, and the older object wins.
seealso:
  - module: meshops.istio.traffic_split
"""

EXAMPLES = r"""
- name: Accept plain requests
  meshops.istio.istio_gateway:
    name: bookinfo
    namespace: bookinfo
    hosts: [bookinfo.example.com]

- name: Accept TLS 1.3 and redirect plain requests to it
  meshops.istio.istio_gateway:
    name: bookinfo
    namespace: bookinfo
    hosts:
      - bookinfo.example.com
      - "*.bookinfo.example.com"
    tls:
      credential: bookinfo-certificate
      min_protocol: tls1_3
    redirect: true

- name: Accept nothing but TLS from known clients, at a gateway of our own
  meshops.istio.istio_gateway:
    name: partners
    namespace: sales
    hosts: [./partners.example.com]
    http_port: 0
    tls:
      credential: partners-certificate
      mode: mutual
    selector:
      istio: partners-gateway

- name: Close it again
  meshops.istio.istio_gateway:
    name: bookinfo
    namespace: bookinfo
    state: absent
"""

RETURN = r"""
before:
  description: The C(Gateway) before, empty when it did not exist.
  returned: success
  type: dict
after:
  description:
    - The C(Gateway) after, empty when it does not exist any more.
    - In check mode as the API server would have it.
  returned: success
  type: dict
"""

from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.gateway import ARGS, REQUIRED_IF, core


def main() -> None:
    run(ARGS, core, required_if=REQUIRED_IF)


if __name__ == "__main__":
    main()
