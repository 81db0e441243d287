#!/usr/bin/env bash
# Has a running service make a map as a job, waits for it, and keeps the map: job.sh URL OUT.nc
set -euo pipefail

url=$1
out=$2

readings() {
  echo "station,lon,lat,time,pm25"
  for hour in $(seq 0 9); do
    for i in $(seq 0 59); do
      printf 's%d,%d.%d,%d.%d,2026-01-01T%02d:00:00Z,%d\n' \
        "$i" $((100 + i % 10)) $((i / 10)) $((30 + i * 7 % 8)) $((i % 10)) "$hour" $((40 + (i * i + hour) % 23))
    done
  done
}

# The same key again is the same job: safe to repeat when the answer is lost.
job=$(readings | curl --silent --show-error --fail-with-body --data-binary @- \
  -H 'content-type: text/csv' -H 'prefer: respond-async' -H "idempotency-key: example-$$" \
  --output /dev/null --write-out '%header{location}' \
  "$url/v1/maps?bounds=100,30,110,38&shape=141x113&kernel=linear")
echo "job $job"

# Events come until the job has ended; GET of the job tells the same once.
curl --silent --show-error --fail-with-body --no-buffer "$url$job/events" |
  sed -n 's/^data: .*"message":"\([^"]*\)".*"progress":\([0-9]*\).*/\2 % \1/p'

curl --silent --show-error --fail-with-body --output "$out" "$url$job/results"
echo "wrote $out"
