#!/usr/bin/env python3
"""Has a map made, and asks the collection that it is in as OGC API - EDR has it: edr.py URL OUT.nc

Needs nothing but Python; OWSLib's `owslib.ogcapi.edr` asks the same. Start a service with
`isopleth serve`; its URL is http://127.0.0.1:8080.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def call(url, body=None, headers=(), **query):
    query = urllib.parse.urlencode({name.replace("_", "-"): value for name, value in query.items()})
    request = urllib.request.Request(f"{url}?{query}" if query else url, data=body, headers=dict(headers))
    try:
        with urllib.request.urlopen(request) as answer:
            # 204: no map has such a place and time.
            return None if answer.status == 204 else answer.read()
    except urllib.error.HTTPError as error:
        # A problem says what is wrong, where, and what to do.
        sys.exit(f"{error.code}: {json.load(error)['detail']}")


def make_a_map(url):
    rows = ["station,lon,lat,time,pm25"]
    for i in range(60):
        lon, lat = 100 + (i * 7.3) % 10, 30 + (i * 3.7) % 8
        rows += [f"s{i},{lon:.3f},{lat:.3f},2026-03-01T{hour:02}:00:00Z,{30 + i % 7 + hour}" for hour in (0, 1, 2)]
    headers = {"content-type": "text/csv", "prefer": "respond-async"}
    job = json.loads(call(f"{url}/v1/maps?bounds=100,30,110,38&shape=101x81", "\n".join(rows).encode(), headers))
    while job["status"] != "successful":
        if job["status"] in ("failed", "dismissed"):
            sys.exit(f"no map: {job}")
        time.sleep(0.2)
        job = json.loads(call(f"{url}/v1/jobs/{job['id']}"))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, out = sys.argv[1:]
    make_a_map(url)
    for collection in json.loads(call(f"{url}/collections"))["collections"]:
        print(collection["id"], collection["extent"]["temporal"]["interval"], list(collection["parameter_names"]))
    maps = f"{url}/collections/maps"
    # All times at one place.
    series = json.loads(call(f"{maps}/position", coords="POINT(104.5 33.9)", parameter_name="pm25",
                             datetime="2026-03-01"))
    for moment, value in zip(series["domain"]["axes"]["t"]["values"], series["ranges"]["pm25"]["values"]):
        print(moment, value)
    # The cells within a polygon, from a time on; those outside are null.
    area = json.loads(call(f"{maps}/area", coords="POLYGON((102 31,108 31,105 37))", parameter_name="pm25",
                           datetime="2026-03-01T01:00:00Z/2026-03-01T02:00:00Z"))
    print("times, rows, columns:", area["ranges"]["pm25"]["shape"])
    # Of one map the cells also come as a file.
    with open(out, "wb") as file:
        file.write(call(f"{maps}/cube", bbox="102,31,108,37", datetime="2026-03-01", f="NetCDF"))


if __name__ == "__main__":
    main()
