#!/usr/bin/env python3
"""Registers a network, posts an hour of values and keeps the map: network.py URL OUT.nc

Needs nothing but Python. Start a service with `isopleth serve`; its URL is http://127.0.0.1:8080.
"""

import json
import math
import sys
import urllib.error
import urllib.request


def call(method, url, document=None, accept="application/json"):
    data = None if document is None else json.dumps(document).encode()
    headers = {"content-type": "application/json", "accept": accept}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        # A problem says what is wrong, where, and what to do.
        sys.exit(f"{error.code}: {json.load(error)['detail']}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, out = sys.argv[1:]
    stations = [{"id": f"s{i}", "lon": 100 + (i * 7.3) % 10, "lat": 30 + (i * 3.7) % 8} for i in range(60)]
    # Once: where the stations are, and what their maps are like.
    network = {
        "title": "A network",
        "stations": stations,
        "grid": {"bounds": [100, 30, 110, 38], "shape": [141, 113]},
        "units": {"pm25": "ug m-3"},
    }
    call("PUT", f"{url}/v1/networks/example-py", network)
    # Every hour: values only. Station s7 is silent.
    values = {s["id"]: 40 + 10 * math.sin(s["lon"]) for s in stations if s["id"] != "s7"}
    hour = {"time": "2026-01-01T00:00:00Z", "values": {"pm25": values}}
    with open(out, "wb") as file:
        file.write(call("POST", f"{url}/v1/networks/example-py/maps", hour, "application/x-netcdf"))
    told = json.loads(call("GET", f"{url}/v1/networks/example-py"))
    worst = max(
        (s for s in told["stations"] if "leave_one_out" in s),
        key=lambda s: abs(s["leave_one_out"]["pm25"]["residual"]),
    )
    print(f"wrote {out}; {worst['id']} differs most from what the others tell")
    listed = json.loads(call("GET", f"{url}/v1/networks"))
    assert any(network["id"] == "example-py" for network in listed["networks"])
    call("DELETE", f"{url}/v1/networks/example-py")


if __name__ == "__main__":
    main()
