#!/usr/bin/env bash
# Has a map made, and asks the collection that it is in as OGC API - EDR has it: edr.sh URL OUT.nc
# Needs curl. Start a service with `isopleth serve`; its URL is http://127.0.0.1:8080.
set -euo pipefail

url=$1
out=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

{
  echo station,lon,lat,time,pm25
  for i in $(seq 1 60); do
    for hour in 00 01; do
      echo "s$i,$((100 + i * 7 % 10)).$((i * 31 % 100)),$((30 + i * 3 % 8)).$((i * 17 % 100)),2026-02-01T${hour}:00:00Z,$((30 + i * 13 % 50))"
    done
  done
} >"$folder/readings.csv"
job=$(curl -sSf -H 'content-type: text/csv' -H 'prefer: respond-async' --output /dev/null \
  --write-out '%header{location}' --data-binary @"$folder/readings.csv" \
  "$url/v1/maps?bounds=100,30,110,38&shape=101x81")
curl -sSf "$url$job/events" >/dev/null # until it has ended
curl -sSf "$url$job" | grep -q '"status":"successful"'

# Which collections there are, and what is in one of them.
curl -sSf "$url/collections" >"$folder/collections.json"
curl -sSf "$url/collections/maps" | grep -q '"parameter_names"'

# All times at one place.
curl -sSfG "$url/collections/maps/position" --data-urlencode 'coords=POINT(104.5 33.9)' \
  -d parameter-name=pm25 -d datetime=2026-02-01T00:00:00Z/2026-02-01T12:00:00Z -d f=CSV
# The cells within a polygon, as CoverageJSON; one parameter and one time.
curl -sSfG "$url/collections/maps/area" --data-urlencode 'coords=POLYGON((102 31,108 31,105 37))' \
  -d parameter-name=pm25 -d datetime=2026-02-01T01:00:00Z >"$folder/area.covjson"
# A rectangle of both times at 50 times 40 places.
curl -sSfG "$url/collections/maps/cube" -d bbox=102,31,108,37 -d resolution-x=50 -d resolution-y=40 \
  -d parameter-name=pm25 -d datetime=2026-02-01 >"$folder/cube.covjson"
# Of one map the cells also come as a file.
curl -sSfG -o "$out" "$url/collections/maps/cube" -d bbox=102,31,108,37 -d datetime=2026-02-01 \
  -d f=NetCDF
