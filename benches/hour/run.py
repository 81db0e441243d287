#!/usr/bin/env python3
"""How long an hour takes from the file of readings to the files of maps: 6 pollutants, 1400 × 1000 cells, 1493 stations.

    run.py --program PATH [--readings ../shared/data/china_network_6_hours.csv] [--sinks directory] [--hours 6]

Starts the service with a schedule that looks every second at a folder, puts the hours of the file there one after the other
(each under its final name at once, again from the first where more --hours are asked for), and waits for the delivered files. Prints a line of CSV for each hour: seconds
from the file's name to the last delivery, processor seconds of the service, its VmHWM. The first hour factorises and
chooses a method; the others are what an hour takes. They lie before the schedule was made, so each is asked for as it is put there (a
backfill), and no look of a second's rhythm is in the figures.
"""

import argparse
import csv
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def hours(readings):
    """The table cut by its times: [(time, text)]."""
    with open(readings, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    head, column = rows[0], rows[0].index("time")
    found = {}
    for row in rows[1:]:
        found.setdefault(row[column], []).append(row)
    return [(when, head, rows) for when, rows in sorted(found.items())]


def table(head, rows, when):
    column = head.index("time")
    lines = [",".join(head)]
    for row in rows:
        row = list(row)
        row[column] = when
        lines.append(",".join(f'"{cell}"' if "," in cell else cell for cell in row))
    return "\n".join(lines) + "\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config(folder, sinks):
    text = f"""
[sources.feed]
kind = "directory"
path = "{folder}/in"
files = "{{time:%Y%m%d%H}}.csv"

[schedules.air]
source = "feed"
sinks = [{', '.join(json.dumps(s) for s in sinks)}]
variables = ["pm25", "pm10", "so2", "no2", "o3", "co"]
cron = "0 * * * *"
poll_seconds = 1
catch_up_hours = 200

[schedules.air.map.grid]
bounds = [73, 18, 135, 54]
shape = [1400, 1000]
"""
    if "directory" in sinks:
        text += f'\n[sinks.directory]\nkind = "directory"\npath = "{folder}/out"\n'
    if "zarr" in sinks:
        text += f'\n[sinks.zarr]\nkind = "zarr"\npath = "{folder}/store"\n'
    return text


def processor(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def get(address, path):
    with urllib.request.urlopen(address + path, timeout=10) as answer:
        return json.load(answer)


def wait(address, hour):
    """The slot, once all its deliveries are done."""
    for _ in range(6000):
        try:
            slot = get(address, f"/v1/schedules/air/slots/{hour}")
            deliveries = slot.get("deliveries", []) or [d for r in slot.get("revisions", []) for d in r.get("deliveries", [])]
            if deliveries and all(d["state"] == "done" for d in deliveries):
                return slot
            if slot["state"] in ("failed", "too_few"):
                sys.exit(json.dumps(slot))
        except urllib.error.HTTPError:
            pass
        time.sleep(0.01)
    sys.exit("no map after a minute")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--readings", default=ROOT / "../shared/data/china_network_6_hours.csv")
    parser.add_argument("--sinks", default="directory")
    parser.add_argument("--hours", type=int, default=6)
    arguments = parser.parse_args()
    if not Path(arguments.readings).exists():
        sys.exit(f"skipped: {arguments.readings} is not here")
    with tempfile.TemporaryDirectory(prefix="isopleth-hour-") as folder:
        for name in ("in", "out", "store", "data"):
            Path(folder, name).mkdir()
        file = Path(folder, "service.toml")
        file.write_text(config(folder, arguments.sinks.split(",")))
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        log = open(Path(folder, "log"), "wb")
        command = [arguments.program, "serve", "--config", str(file), "--listen", f"127.0.0.1:{port}"]
        environment = {**os.environ, "ISOPLETH_SERVE_DATA_DIR": f"{folder}/data", "ISOPLETH_SERVE_CANARY_SECONDS": "0"}
        service = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            for _ in range(300):
                try:
                    get(address, "/v1/schedules")
                    break
                except OSError:
                    time.sleep(0.1)
            print("hour,seconds,processor_seconds,peak_mib", flush=True)
            now = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
            figures = []
            tables = itertools.islice(itertools.cycle(hours(arguments.readings)), arguments.hours)
            for k, (_, head, rows) in enumerate(tables):
                moment = now - timedelta(hours=k)
                hour = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
                text = table(head, rows, hour)
                place = Path(folder, "in", moment.strftime("%Y%m%d%H.csv"))
                beside = place.with_suffix(".tmp")
                beside.write_text(text)
                body = json.dumps({"from": hour, "to": hour}).encode()
                request = urllib.request.Request(f"{address}/v1/schedules/air/backfill", data=body, method="POST")
                request.add_header("content-type", "application/json")
                before, start = processor(service.pid), time.monotonic()
                beside.rename(place)
                urllib.request.urlopen(request, timeout=10).read()
                wait(address, hour)
                seconds = time.monotonic() - start
                figures.append(seconds)
                print(f"{k},{seconds:.2f},{processor(service.pid) - before:.2f},{peak(service.pid):.0f}", flush=True)
            print(f"median of the hours after the first: {statistics.median(figures[1:]):.2f} s")
        finally:
            service.terminate()
            service.wait(60)
            log.close()


if __name__ == "__main__":
    main()
