#!/usr/bin/env python3
"""How many maps a second the service makes, and how long each takes: 300 stations, 200 × 150 cells, NetCDF out.

    load.py --program PATH                    both cases: readings with their stations, and values of a
                                              registered network
    load.py --program PATH --case network     one of them
    load.py --program PATH --clients 16 --seconds 20 --keep

Needs wrk (Debian: `apt install wrk`) for the load, and Linux for the processor time. Starts the service itself
on a free port, with a folder of its own for what it keeps. Every request has readings of its own, 64 bodies in
turn, so that nothing can be answered from memory. First as many as the service makes; then --pace maps a second,
sent when they are due whatever became of those before, and timed from then. Prints a line of CSV for each case,
and with --keep adds it to benches/record/: maps a second, milliseconds (median, 99th percentile), processor milliseconds a map (the
service's own; what two cores could do at most follows from it), errors. On a busy machine the processor time is
the figure to compare.
"""

import argparse
import csv
import datetime
import http.client
import itertools
import json
import math
import os
import platform
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STATIONS, BODIES = 300, 64
GRID = {"bounds": [-10, 40, 10, 55], "shape": [200, 150]}
METHODS = {"auto": {}, "linear": {"kernel": "linear"}}
FIELDS = [
    "case", "method", "kernel", "clients", "seconds", "maps_per_second", "p50_ms", "p99_ms", "cpu_ms_per_map", "errors",
    "pace", "paced_p50_ms", "paced_p99_ms",
]  # fmt: skip


def network():
    """Stations, half of them in towns, as networks are."""
    draw = random.Random(7)
    towns = [(draw.uniform(-9, 9), draw.uniform(41, 54)) for _ in range(12)]
    stations = []
    for k in range(STATIONS):
        lon, lat = draw.uniform(-9.9, 9.9), draw.uniform(40.1, 54.9)
        if k % 2:
            town = draw.choice(towns)
            lon, lat = town[0] + draw.gauss(0, 0.2), town[1] + draw.gauss(0, 0.2)
        stations.append({"id": f"s{k:03}", "lon": round(lon, 4), "lat": round(lat, 4)})
    return stations


def readings(stations, k):
    draw = random.Random(k)
    wave = [draw.uniform(0, 6) for _ in range(3)]
    return [
        round(30 + 15 * math.sin(s["lon"] / 3 + wave[0]) + 10 * math.cos(s["lat"] / 2 + wave[1]) + draw.gauss(0, 2), 1)
        for s in stations
    ]


def bodies(case, method):
    stations = network()
    for k in range(BODIES):
        values = readings(stations, k)
        moment = f"2024-03-{1 + k // 24:02}T{k % 24:02}:00:00Z"
        if case == "maps":
            yield {"grid": GRID, "method": method, "stations": stations, "times": [moment], "values": {"pm25": [values]},
                   "units": {"pm25": "ug/m3"}}
        else:
            yield {"time": moment, "values": {"pm25": {s["id"]: v for s, v in zip(stations, values)}}}


def path_of(case):
    return "/v1/maps" if case == "maps" else "/v1/networks/load/maps"


def script(folder, case, method):
    """What wrk is to send: the bodies in turn."""
    files = []
    for k, body in enumerate(bodies(case, method)):
        file = Path(folder, f"{case}-{k}.json")
        file.write_text(json.dumps(body))
        files.append(str(file))
    path = path_of(case)
    lua = Path(folder, f"{case}.lua")
    lua.write_text(
        "local requests = {}\n"
        'local headers = {["Content-Type"] = "application/json", ["Accept"] = "application/x-netcdf"}\n'
        f"for _, name in ipairs({{{', '.join(json.dumps(f) for f in files)}}}) do\n"
        '  local file = assert(io.open(name, "rb"))\n'
        f'  table.insert(requests, wrk.format("POST", "{path}", headers, file:read("*a")))\n'
        "  file:close()\nend\n"
        "local k = 0\nfunction request()\n  k = k % #requests + 1\n  return requests[k]\nend\n"
    )
    return lua


def call(address, path, method="GET", body=None):
    request = urllib.request.Request(f"{address}{path}", method=method, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def cpu_seconds(process):
    words = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def wrk(address, lua, clients, seconds):
    words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", str(lua), address]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def number(pattern, text, default=0.0):
    found = re.search(pattern, text)
    return float(found[1]) if found else default


def milliseconds(share, text):
    value, unit = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1000}[unit]


def measure(program, case, method, options):
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        address = f"http://127.0.0.1:{port}"
        words = [program, "serve", "--listen", f"127.0.0.1:{port}"]
        settings = {"ISOPLETH_SERVE_DATA_DIR": f"{folder}/data", "ISOPLETH_SERVE_QUEUE_LENGTH": "64", "RUST_LOG": "warn"}
        with subprocess.Popen(words, env={**os.environ, **settings}, stdout=subprocess.DEVNULL) as service:
            try:
                return load(service.pid, address, folder, case, method, options)
            finally:
                service.terminate()


def load(process, address, folder, case, method, options):
    for _ in range(100):
        try:
            call(address, "/healthz")
            break
        except OSError:
            time.sleep(0.1)
    if case == "network":
        stations = {"stations": network(), "grid": GRID, "method": METHODS[method], "units": {"pm25": "ug/m3"}}
        call(address, "/v1/networks/load", "PUT", stations)
    lua = script(folder, case, METHODS[method])
    first = json.loads(call(address, f"{path_of(case)}?f=json", "POST", next(bodies(case, METHODS[method]))))
    [chosen] = first["report"]["methods"]
    wrk(address, lua, options.clients, 3)
    before, start = cpu_seconds(process), time.monotonic()
    text = wrk(address, lua, options.clients, options.seconds)
    maps = number(r"(\d+) requests in", text)
    cpu, elapsed = cpu_seconds(process) - before, time.monotonic() - start
    if options.verbose:
        print(text, file=sys.stderr)
    took = paced(address, case, method, options)
    return {
        "case": case, "method": method, "kernel": chosen["kernel"], "clients": options.clients, "seconds": options.seconds,
        "maps_per_second": round(maps / elapsed, 1),
        "p50_ms": round(milliseconds(50, text), 2), "p99_ms": round(milliseconds(99, text), 2),
        "cpu_ms_per_map": round(1000 * cpu / max(maps, 1), 3),
        "errors": int(number(r"Non-2xx or 3xx responses: (\d+)", text)),
        "pace": options.pace,
        "paced_p50_ms": round(took[len(took) // 2], 2),
        "paced_p99_ms": round(took[len(took) * 99 // 100], 2),
    }  # fmt: skip


def paced(address, case, method, options):
    """Milliseconds from when each request was due to the end of its answer, in order."""
    host, port = address.removeprefix("http://").split(":")
    path = path_of(case)
    texts = [json.dumps(body) for body in bodies(case, METHODS[method])]
    headers = {"Content-Type": "application/json", "Accept": "application/x-netcdf"}
    count, taken, took = int(options.pace * options.seconds), itertools.count(), []
    start = time.monotonic() + 0.5

    def client():
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        while (k := next(taken)) < count:
            due = start + k / options.pace
            time.sleep(max(0.0, due - time.monotonic()))
            connection.request("POST", path, texts[k % BODIES], headers)
            answer = connection.getresponse()
            answer.read()
            took.append(math.inf if answer.status != 200 else 1000 * (time.monotonic() - due))

    threads = [threading.Thread(target=client) for _ in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(took)


def keep(rows):
    model = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine()
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    name = "".join(c if c.isalnum() else "-" for c in model.lower()).strip("-")
    path = ROOT / "benches" / "record" / f"service-{datetime.date.today()}-{name}.csv"
    new = not path.exists()
    with open(path, "a", newline="") as file:
        if new:
            file.write(f"# {model}, {os.cpu_count()} cores, commit {commit.stdout.strip()}\n")
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--case", choices=["maps", "network"])
    parser.add_argument("--method", choices=list(METHODS), default="auto")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--pace", type=float, default=300, help="maps a second, in the second part")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, FIELDS)
    writer.writeheader()
    rows = []
    for case in [options.case] if options.case else ["maps", "network"]:
        rows.append(measure(options.program, case, options.method, options))
        writer.writerow(rows[-1])
        sys.stdout.flush()
    if options.keep:
        keep(rows)


if __name__ == "__main__":
    main()
