#!/bin/bash
# All tests that need the lab: the molecule scenarios, then the traffic tests, wrong input, killed runs, reset and growth.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
(cd lab/images/samples && go vet ./... && go test ./...)
for scenario in molecule/*/molecule.yml; do
  molecule test -s "$(basename "$(dirname "$scenario")")" --destroy=never
done
exec pytest -v tests/integration tests/faults
