#!/bin/bash
# ansible-test sanity on the collection as it is installed: a copy of what git knows, under ansible_collections/.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
copy=$PWD/build/sanity/ansible_collections/meshops/istio
mkdir -p "$copy"
# tests/output stays: it holds the environments of earlier runs
find "$copy" -mindepth 1 -maxdepth 1 ! -name tests -exec rm -rf {} +
rm -rf "$copy/tests/unit" "$copy/tests/sanity"
git ls-files -co --exclude-standard -z -- galaxy.yml README.md LICENSE CHANGELOG.md meta plugins roles playbooks changelogs tests/unit tests/sanity |
  xargs -0 cp -a --parents -t "$copy"
# a repository of its own: in this one the copy is ignored, and ansible-test lints only what git lists
git init -q "$copy"
echo tests/output > "$copy/.gitignore"

sanity() {
  (cd "$copy" && PATH="$bin:$PATH" ansible-test sanity --venv --python 3.11 --color no "$@" 2>&1)
}
log=$PWD/build/sanity.log
if sanity "$@" | tee "$log"; then exit 0; fi
# ansible-test wants to download a script that installs pip; where it cannot, Python's own ensurepip serves
script=$(sed -n 's/^The bootstrap script can be manually downloaded and saved to: //p' "$log")
[ -n "$script" ] || exit 1
mkdir -p "$(dirname "$script")"
echo 'import ensurepip; ensurepip.bootstrap(upgrade=True)' > "$script"
sanity "$@"
