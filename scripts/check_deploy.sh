#!/usr/bin/env bash
# Holds the files of deploy/ to other people's checkers: check_deploy.sh CACHE. What cannot be had here is said and skipped.
set -euo pipefail

cache=$1
cd "$(dirname "$0")/.."
bin="$cache/deploy/bin"
export PATH="$cache/tools/bin:$PATH"
skipped() { echo "skipped: $*" >&2; }

scripts/make_dashboards.py --check

if command -v promtool >/dev/null; then
  promtool check config --syntax-only deploy/prometheus/prometheus.yaml >/dev/null
  promtool check rules deploy/prometheus/rules.yaml >/dev/null
  (cd deploy/prometheus && promtool test rules rules_test.yaml >/dev/null)
  echo "Prometheus: rules and their tests"
else
  skipped "promtool is not here"
fi

if [ -x "$bin/kubernetes-validate" ]; then
  for file in deploy/kubernetes/*.yaml; do
    # A kind of kustomize's own, which the API does not know.
    [ "$(basename "$file")" = kustomization.yaml ] || "$bin/kubernetes-validate" --strict --quiet "$file"
  done
  # Every file that kustomize is told of is there.
  sed -n '/^resources:/,/^[a-z]/s/^  - //p' deploy/kubernetes/kustomization.yaml | while read -r file; do
    test -f "deploy/kubernetes/$file"
  done
  "$bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
  scripts/sbom.py | "$bin/python" -c '
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(f"bill of materials: {error}" if error else 0)'
  echo "Kubernetes, compose, bill of materials: valid"
else
  skipped "kubernetes-validate, check-jsonschema and cyclonedx cannot be installed here"
fi

if command -v systemd-analyze >/dev/null; then
  folder=$(mktemp -d)
  trap 'rm -r "$folder"' EXIT
  cp deploy/systemd/* "$folder/"
  # The program need not be installed here.
  sed -i 's|/usr/local/bin/isopleth|/bin/true|' "$folder"/*.service
  (cd "$folder" && systemd-analyze verify --man=no --recursive-errors=no ./*)
  # 0 to 10; what listens has no less than about 1.
  systemd-analyze security --offline=yes --threshold=15 --no-pager "$folder/isopleth.service" | tail -1
else
  skipped "systemd-analyze is not here"
fi
