#!/usr/bin/env python3
"""Posts readings to a running service and keeps the map: post_map.py URL OUT.nc

Needs nothing but Python. Start a service with `isopleth serve`; its URL is http://127.0.0.1:8080.
"""

import json
import math
import sys
import urllib.error
import urllib.request


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, out = sys.argv[1:]
    stations = [
        {"id": f"s{i}", "lon": 100 + (i * 7.3) % 10, "lat": 30 + (i * 3.7) % 8} for i in range(60)
    ]
    hours = [f"2026-01-01T{hour:02d}:00:00Z" for hour in range(3)]
    readings = [
        # One station is silent in the first hour.
        [None if (i, h) == (7, 0) else 40 + 10 * math.sin(s["lon"] + h) for i, s in enumerate(stations)]
        for h in range(len(hours))
    ]
    document = {
        "grid": {"bounds": [100, 30, 110, 38], "shape": [141, 113]},
        "method": {"kernel": "linear"},
        "stations": stations,
        "times": hours,
        "values": {"pm25": readings},
        "units": {"pm25": "ug m-3"},
    }
    request = urllib.request.Request(
        f"{url}/v1/maps",
        data=json.dumps(document).encode(),
        headers={"content-type": "application/json", "accept": "application/x-netcdf"},
    )
    try:
        with urllib.request.urlopen(request) as answer, open(out, "wb") as file:
            file.write(answer.read())
    except urllib.error.HTTPError as error:
        # A problem says what is wrong, where, and what to do.
        sys.exit(f"{error.code}: {json.load(error)['detail']}")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
