#!/bin/bash
# The floor: what site.yml does on the lab, as bare commands. No checks, no idempotence, no second run.
set -euo pipefail
mirror=172.30.0.10 first=n1 nodes="n1 n2 n3" workers="n2 n3"
istio=1.32.0-lab.1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KUBECONFIG=$work/admin.conf

each() { # NODES SCRIPT: on all nodes at once
  local pids=()
  for node in $1; do docker exec -i "meshops-$node" bash -c "$2" > "$work/$node.log" 2>&1 & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || { cat "$work"/*.log; exit 1; }; done
}
k() { docker exec -i -e KUBECONFIG=/etc/kubernetes/admin.conf "meshops-$first" kubectl "$@"; }

each "$nodes" "$(cat "$here/bare_node.sh")"
docker exec -i "meshops-$first" sh -c 'cat > /root/init.yml' < "$here/init.yml"
docker exec "meshops-$first" kubeadm init --config /root/init.yml --ignore-preflight-errors=SystemVerification > "$work/init.log" 2>&1
join=$(docker exec "meshops-$first" kubeadm token create --print-join-command 2>/dev/null)
each "$workers" "$join --ignore-preflight-errors=SystemVerification"
docker exec "meshops-$first" cat /etc/kubernetes/admin.conf > "$KUBECONFIG"

curl -fsS "http://$mirror/raw.githubusercontent.com/flannel-io/flannel/v0.26.7/Documentation/kube-flannel.yml" | k apply -f - > /dev/null
k wait --for=condition=Ready node --all --timeout=120s > /dev/null
curl -fsS "http://$mirror/raw.githubusercontent.com/metallb/metallb/v0.16.1/config/manifests/metallb-native.yaml" | k apply -f - > /dev/null
curl -fsS "http://$mirror/github.com/istio/istio/releases/download/$istio/istio-$istio-linux-amd64.tar.gz" | tar -C "$work" -xz
release=$work/istio-$istio
"$release/bin/istioctl" install -y -f "$here/istio.yml" > "$work/istio.log" 2>&1
k -n metallb-system rollout status deploy/controller --timeout=120s > /dev/null
until k apply -f - < "$here/pool.yml" > /dev/null 2>&1; do sleep 0.5; done

k create namespace bookinfo > /dev/null
k label namespace bookinfo istio-injection=enabled > /dev/null
sed 's#registry.istio.io/release/#docker.io/istio/#' "$release/samples/bookinfo/platform/kube/bookinfo.yaml" | k -n bookinfo apply -f - > /dev/null
for file in bookinfo-gateway destination-rule-all; do k -n bookinfo apply -f - < "$release/samples/bookinfo/networking/$file.yaml" > /dev/null; done
k -n bookinfo apply -f - < "$here/split.yml" > /dev/null
k -n bookinfo wait --for=condition=Available deploy --all --timeout=120s > /dev/null
address=$(k -n istio-system get service istio-ingressgateway -o 'jsonpath={.status.loadBalancer.ingress[0].ip}')
until curl -fsS -m 2 "http://$address/productpage" 2> /dev/null | grep -q '<title>Simple Bookstore App</title>'; do sleep 0.3; done
for _ in $(seq 200); do curl -s -m 2 "http://$address/productpage" | grep -o 'reviews-v[0-9]' | head -1; done | sort | uniq -c
