"""A pretended node: files below a temporary root, recorded commands, and the traces of kubeadm phase by phase."""

import base64
import datetime
import functools
import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_system import Result, System

SERVER = "https://192.0.2.11:6443"
LEAVES = ("apiserver", "apiserver-kubelet-client", "front-proxy-client", "etcd/server", "etcd/peer")
PHASES = ("nothing", "ca key", "ca", "certs", "kubeconfigs", "manifests", "kubelet", "etcd", "api", "uploaded", "done")


@functools.cache
def authority(name):
    """(certificate PEM, key PEM, SPKI hash) of a CA of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now)
    certificate = builder.not_valid_after(now + datetime.timedelta(days=3650)).sign(key, hashes.SHA256())
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return text, private.decode(), f"sha256:{hashlib.sha256(spki).hexdigest()}"


def kubeconfig(ca="kubernetes", credential="", server=SERVER):
    """As kubeadm writes it; credential: path of the kubelet's own certificate."""
    certificate, key, _hash = authority(ca)
    data = {name: base64.b64encode(text.encode()).decode() for name, text in (("crt", certificate), ("key", key))}
    if credential:
        user = f"    client-certificate: {credential}\n    client-key: {credential}\n"
    else:
        user = f"    client-certificate-data: {data['crt']}\n    client-key-data: {data['key']}\n"
    return (
        f"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {data['crt']}\n    server: {server}\n"
        "  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: admin\n  name: default\n"
        f"current-context: default\nkind: Config\nusers:\n- name: admin\n  user:\n{user}"
    )


class Node(System):
    """A System whose commands are pretended. api: what kubectl finds; "" for an API server that does not answer."""

    def __init__(self, root, programs=("kubeadm", "kubelet", "kubectl", "systemctl")):
        super().__init__(str(root))
        self.programs, self.commands, self.inputs = set(programs), [], []
        self.kinds, self.error, self.kubelet = (
            [],
            "The connection to the server 192.0.2.11:6443 was refused",
            "inactive",
        )
        self.answers, self.on_kubeadm, self.now = {}, None, 0.0
        self.path("/run").mkdir(parents=True, exist_ok=True)

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def have(self, program):
        return program in self.programs

    def is_mount(self, name):
        return name in ("/var/lib/kubelet", "/var/lib/etcd")

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def run(self, argv, timeout=60, data=None):
        argv = list(argv)
        self.commands.append(argv)
        self.inputs.append(data)
        if argv[0] == "kubectl" and "get" in argv:
            return self._get(argv)
        if argv[0] == "systemctl" and "is-active" in argv:
            return Result(0 if self.kubelet == "active" else 3, f"{self.kubelet}\n", "")
        if argv[0] == "kubeadm" and argv[1] in ("init", "join", "reset"):
            config = argv[argv.index("--config") + 1] if "--config" in argv else ""
            return self.on_kubeadm(argv, config) if self.on_kubeadm else Result(0, "", "")
        return self.answers.get(" ".join(argv), Result(0, "", ""))

    def _get(self, argv):
        if self.error:
            return Result(1, "", self.error)
        asked = [word for word in argv if "/" in word and not word.startswith("-")]
        items = [item for item in self.kinds if f"{item['resource']}/{item['metadata']['name']}" in asked]
        return Result(0, json.dumps({"kind": "List", "items": items}) if items else "", "")

    def serve(self, *objects, label=False):
        """The API answers and has these objects, as resource/name."""
        kinds = {"nodes": "Node", "configmaps": "ConfigMap", "services": "Service"}
        kinds.update({"deployments.apps": "Deployment", "daemonsets.apps": "DaemonSet"})
        self.error, self.kinds = "", []
        for entry in objects:
            resource, name = entry.split("/")
            labels = {"node-role.kubernetes.io/control-plane": ""} if label and resource == "nodes" else {}
            metadata = {"name": name, "labels": labels}
            self.kinds.append({"kind": kinds[resource], "resource": resource, "metadata": metadata})

    @property
    def kubeadm_commands(self):
        return [argv for argv in self.commands if argv[0] == "kubeadm" and argv[1] in ("init", "join", "reset")]


def initialise(node, phase, name="n1", ca="kubernetes"):
    """Leaves what `kubeadm init` has left when it is killed at the end of that phase."""
    certificate, key, _hash = authority(ca)
    pairs = {f"/etc/kubernetes/pki/{leaf}": (certificate, key) for leaf in (*LEAVES, "front-proxy-ca", "etcd/ca")}
    manifests = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    confs = ("admin", "kubelet", "controller-manager", "scheduler")
    files = {
        "ca key": {"/etc/kubernetes/pki/ca.key": key},
        "ca": {"/etc/kubernetes/pki/ca.crt": certificate},
        "certs": {
            **{f"{path}.crt": pair[0] for path, pair in pairs.items()},
            **{f"{path}.key": pair[1] for path, pair in pairs.items()},
            "/etc/kubernetes/pki/sa.key": key,
            "/etc/kubernetes/pki/sa.pub": certificate,
        },
        "kubeconfigs": {f"/etc/kubernetes/{conf}.conf": kubeconfig(ca) for conf in confs},
        "manifests": {f"/etc/kubernetes/manifests/{manifest}.yaml": "kind: Pod\n" for manifest in manifests},
        "kubelet": {"/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\n"},
        "etcd": {"/var/lib/etcd/member/wal/0.wal": "data"},
    }
    reached = PHASES[: PHASES.index(phase) + 1]
    for step in reached:
        for path, text in files.get(step, {}).items():
            node.write(path, text)
    if "api" in reached:
        node.serve(f"nodes/{name}")
    if "uploaded" in reached:
        node.serve(f"nodes/{name}", "configmaps/kubeadm-config", "configmaps/kubelet-config", label=True)
    if "done" in reached:
        finish(node, name, ca)


def finish(node, name="n1", ca="kubernetes"):
    pem = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    node.write(pem, authority(ca)[0])
    node.write("/etc/kubernetes/kubelet.conf", kubeconfig(ca, pem))
    addons = ("deployments.apps/coredns", "services/kube-dns", "daemonsets.apps/kube-proxy")
    config = ("configmaps/kubeadm-config", "configmaps/kubelet-config", "configmaps/cluster-info")
    node.serve(f"nodes/{name}", *config, *addons, label=True)


def join(node, phase, name="n2", ca="kubernetes"):
    """bootstrap: killed before the kubelet had its credential; kubelet: before the Node was there; done."""
    node.write("/etc/kubernetes/pki/ca.crt", authority(ca)[0])
    if phase == "bootstrap":
        node.write("/etc/kubernetes/bootstrap-kubelet.conf", kubeconfig(ca))
        return
    pem = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    node.write(pem, authority(ca)[0])
    node.write("/etc/kubernetes/kubelet.conf", kubeconfig(ca, pem))
    node.write("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
    node.serve(*([f"nodes/{name}"] if phase == "done" else []))
