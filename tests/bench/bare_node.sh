# One node: packages, runtime. Runs inside the node; see bare.sh.
set -e
mirror=http://172.30.0.10
. /etc/os-release
install -d /etc/apt/keyrings /etc/containerd/certs.d/_default
curl -fsS "$mirror/download.docker.com/linux/debian/gpg" -o /etc/apt/keyrings/lab.asc
printf 'deb [signed-by=/etc/apt/keyrings/lab.asc] %s/download.docker.com/linux/debian %s stable\n' "$mirror" "$VERSION_CODENAME" > /etc/apt/sources.list.d/docker.list
printf 'deb [signed-by=/etc/apt/keyrings/lab.asc] %s/pkgs.k8s.io/core:/stable:/v1.36/deb/ /\n' "$mirror" > /etc/apt/sources.list.d/kubernetes.list
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq containerd.io kubelet kubeadm kubectl
apt-mark hold containerd.io kubelet kubeadm kubectl
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
printf '172.30.0.11 n1\n172.30.0.12 n2\n172.30.0.13 n3\n' >> /etc/hosts
printf '[host."%s:5000"]\n  capabilities = ["pull", "resolve"]\n' "$mirror" > /etc/containerd/certs.d/_default/hosts.toml
cat > /etc/containerd/config.toml <<'T'
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.10.2"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = true
T
systemctl enable -q --now containerd
systemctl restart containerd
systemctl enable -q kubelet
