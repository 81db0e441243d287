#!/usr/bin/env bash
# Posts a table of readings to a running service and keeps the map: post_map.sh URL OUT.nc
set -euo pipefail

url=$1
out=$2

readings() {
  echo "station,lon,lat,time,pm25"
  for i in $(seq 0 59); do
    echo "s$i,$((100 + i * 7 % 10)).$((i % 9)),$((30 + i * 3 % 8)).$((i % 7)),2026-01-01T00:00:00Z,$((30 + i * i % 23))"
  done
}

# --fail-with-body: a problem is told, and the exit code is not 0.
if ! readings | curl --silent --show-error --fail-with-body --output "$out" \
  --header 'content-type: text/csv' --data-binary @- \
  "$url/v1/maps?bounds=100,30,110,38&shape=141x113"; then
  cat "$out" >&2
  rm -f "$out"
  exit 1
fi
echo "wrote $out"
