#!/usr/bin/env bash
# Registers a network, posts an hour of values and keeps the map: network.sh URL OUT.nc
set -euo pipefail

url=$1/v1/networks/example-sh
out=$2

# A problem is told, and the exit code is not 0.
call() {
  curl --silent --show-error --fail-with-body "$@"
}

stations() {
  echo "station,lon,lat"
  for i in $(seq 0 59); do
    echo "s$i,$((100 + i * 7 % 10)).$((i % 9)),$((30 + i * 3 % 8)).$((i % 7))"
  done
}

values() {
  echo "station,time,pm25"
  for i in $(seq 0 59); do
    echo "s$i,2026-01-01T00:00:00Z,$((30 + i * i % 23))"
  done
}

# Once: where the stations are, and the grid of their maps.
stations | call --request PUT --header 'content-type: text/csv' --data-binary @- \
  "$url?bounds=100,30,110,38&shape=141x113"
# Every hour: values only.
values | call --header 'content-type: text/csv' --data-binary @- --output "$out" "$url/maps"
# What is known of it; the list; and an end of it.
call "$url" > /dev/null
call "$1/v1/networks?limit=10"
call --request DELETE "$url"
echo "wrote $out"
