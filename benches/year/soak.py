#!/usr/bin/env python3
"""A day of service in a quarter of an hour: does memory stay as it was after the first pass?

    benches/year/soak.py --program target/release/isopleth
    benches/year/soak.py --program target/release/isopleth --minutes 3

The clock of the program is told (service.py) and goes a hundred times as fast as ours. Every hour of it (36 s) a file of 6 pollutants
becomes a map that goes to a folder as NetCDF and GeoTIFF, some hours come late or again corrected; in between people ask as they do in a
hundred days: maps at once, values at places, parts of kept maps in several forms, lists, wrong requests, /metrics. What happens is the
same every twelve hours, so after the first of them (the first pass) nothing has a reason to grow. In the first pass three ask at a time. Told: VmHWM and PSS over time, the
slopes of both after the first pass (not judged in less than 14.4 minutes), and requests by status. Exit code 1 where a slope is not flat. Needs a C compiler.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from service import COMPILER, Clock, Rows, Service, slope  # noqa: E402

BEGIN = 1_830_297_600
HOUR = 3600
PACE = 100
# The first pass: each third hour is corrected and each fourth late, so after twelve everything has met everything.
# Who asks meanwhile asks CROWD times at once, so that what can meet by chance only has met, too.
PASS = 12
CROWD = 3
POLLUTANTS = ["pm25", "pm10", "o3", "no2", "so2", "co"]

CONFIG = """
data_dir = "{data}"
spill_dir = "{spill}"
auth = "off"
results_keep_seconds = 7200

[sources.folder]
kind = "directory"
path = "{inbox}"
files = "{{time_utc:%Y%m%d%H}}.csv"

[sinks.files]
kind = "directory"
path = "{outbox}"
keep = {{ count = 3 }}

[sinks.tiffs]
kind = "directory"
path = "{outbox}"
keep = {{ count = 3 }}

[sinks.tiffs.files]
form = "geotiff"
name = "tiff/{{time_utc:%Y%m%d%H}}_{{variable}}.tif"
latest = "tiff/latest_{{variable}}.tif"

[schedules.air]
source = "folder"
cron = "0 * * * *"
delay_seconds = 300
give_up_seconds = 3600
poll_seconds = 300
catch_up_hours = 4
revise_hours = 2
sinks = ["files", "tiffs"]
keep = {{ count = 3, inputs_days = 1 }}

[schedules.air.map]
grid = {{ bounds = [73, 18, 135, 54], shape = {shape} }}
"""


def table(hour, stations, shift=0.0):
    generator = random.Random(hour)
    rows = ["station,lon,lat,time," + ",".join(POLLUTANTS)]
    stamp = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(BEGIN + hour * HOUR))
    for k in range(stations):
        lon, lat = 74 + (k * 0.618033988749895) % 1 * 60, 19 + (k * 0.754877666) % 1 * 34
        wave = 40 + 20 * math.sin(lon / 7 + hour / 5) + 10 * math.cos(lat / 4) + shift
        # Every station is silent now and then.
        cells = ["" if generator.random() < 0.03 else f"{wave * (1 + v / 4) + generator.gauss(0, 2):.2f}" for v in range(6)]
        rows.append(f"s{k},{lon:.4f},{lat:.4f},{stamp},{','.join(cells)}")
    return "\n".join(rows) + "\n"


class People:
    """Those who ask, one after the other, in the same turn all day."""

    def __init__(self, service):
        self.service, self.ended = service, threading.Event()
        self.answers = collections.Counter()
        self.small = "\n".join(table(0, 300).splitlines()).encode()
        self.pause = 0.25
        self.thread = threading.Thread(target=self.go, daemon=True)

    def ask(self, path, body=None, **headers):
        request = urllib.request.Request(self.service.url + path, data=body)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                while answer.read(1 << 20):
                    pass
                self.answers[answer.status] += 1
        except urllib.error.HTTPError as error:
            error.read()
            self.answers[error.code] += 1

    def newest(self):
        with urllib.request.urlopen(self.service.url + "/v1/maps?limit=1", timeout=60) as answer:
            maps = json.load(answer).get("maps", [])
        return maps[0]["id"] if maps else None

    def go(self):
        turn = 0
        while not self.ended.wait(self.pause):
            try:
                self.turn(turn)
            except OSError as error:
                self.answers[type(error).__name__] += 1
            turn += 1

    def turn(self, turn):
        bounds = "bounds=73,18,135,54&shape=200x150&variable=pm25"
        newest = self.newest() if turn % 8 in (2, 3, 4) else None
        match turn % 8:
            case 0:
                self.ask(f"/v1/maps?{bounds}", self.small, content_type="text/csv")
            case 1:
                self.ask(f"/v1/maps?{bounds}&kernel=linear", self.small, content_type="text/csv", accept="application/json")
            case 2 if newest:
                self.ask(f"/v1/maps/{newest}/data?f=png&variable=pm25")
            case 3 if newest:
                self.ask(f"/v1/maps/{newest}/data?f=csv&variable=o3&bbox=100,30,104,33")
            case 4 if newest:
                self.ask(f"/v1/maps/{newest}/data")
            case 5:
                self.ask("/v1/schedules/air/slots")
                self.ask("/metrics")
            case 6:
                self.ask("/v1/maps?bounds=1,2", self.small, content_type="text/csv")
                self.ask("/v1/maps?nonsense=1")
            case _:
                self.ask("/v1/maps")
                self.ask("/v1/jobs")

    def end(self):
        self.ended.set()
        self.thread.join()


def events(hours):
    """When which file comes, in hours: each third hour is corrected, each fourth is late."""
    for hour in range(hours + 1):
        late = 1.5 if hour % 4 == 3 else 0.02
        yield hour + late, hour, 0.0
        if hour % 3 == 2:
            yield hour + late + 0.7, hour, 5.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--stations", type=int, default=1400)
    parser.add_argument("--shape", default="700x500")
    parser.add_argument("--record", help="append the figures to this file, a line of JSON")
    arguments = parser.parse_args()
    if not COMPILER:
        print("SKIPPED: there is no C compiler, so the program's clock cannot be told")
        return
    hours = arguments.minutes * 60 * PACE / HOUR
    with tempfile.TemporaryDirectory() as folder:
        wrong, figures = soak(arguments, pathlib.Path(folder), hours)
    print(json.dumps(figures, indent=1))
    for line in wrong:
        print(line)
    if arguments.record:
        with open(arguments.record, "a", encoding="utf-8") as file:
            file.write(json.dumps({**figures, "when": time.strftime("%FT%TZ", time.gmtime())}) + "\n")
    sys.exit(1 if wrong else 0)


def soak(arguments, folder, hours):
    names = {name: folder / name for name in ("data", "spill", "inbox", "outbox")}
    for path in names.values():
        path.mkdir()
    config = folder / "service.toml"
    config.write_text(CONFIG.format(**names, shape=json.dumps([int(n) for n in arguments.shape.split("x")])))
    clock = Clock(folder, BEGIN - 60)
    service = Service(arguments.program, config, clock)
    rows = Rows(names["data"])
    crowd = [People(service) for _ in range(CROWD)]
    for people in crowd:
        people.thread.start()
    coming = sorted(events(int(hours) + 1))
    points, told = [], 0
    began = time.monotonic()
    while (at := (time.monotonic() - began) * PACE / HOUR) < hours:
        while coming and coming[0][0] <= at:
            _, hour, shift = coming.pop(0)
            name = names["inbox"] / time.strftime("%Y%m%d%H.csv", time.gmtime(BEGIN + hour * HOUR))
            beside = name.with_suffix(".tmp")
            beside.write_text(table(hour, arguments.stations, shift))
            beside.rename(name)
        clock.set(int(BEGIN + at * HOUR))
        if at > PASS and len(crowd) > 1:
            for one in crowd[1:]:
                one.end()
                crowd[0].answers.update(one.answers)
            del crowd[1:]
        if service.process.poll() is not None:
            raise SystemExit("the service ended:\n" + "".join(service.lines[-40:]))
        points.append((at, *service.memory()))
        if at >= told + 1:
            told = int(at)
            states = dict(rows.all("SELECT state, count(*) FROM slots GROUP BY state"))
            print(f"hour {told}: peak {points[-1][1]:.1f} MB, PSS {points[-1][2]:.1f} MB, {states}, {dict(crowd[0].answers)}", flush=True)
        time.sleep(0.36)
    crowd[0].end()
    made = rows.one("SELECT count(*) FROM revisions")
    states = dict(rows.all("SELECT state, count(*) FROM slots GROUP BY state"))
    service.end()
    wrong, flat = [], {}
    for name, column, allowed in (("peak", 1, 0.03), ("pss", 2, 0.05)):
        after = [(point[0], point[column]) for point in points if point[0] > min(PASS, hours / 2)]
        rise, mean = slope(after)
        flat[name] = {"rise_mb": round(rise, 2), "mean_mb": round(mean, 1), "last_mb": round(after[-1][1], 1)}
        if hours < 2 * PASS:
            flat[name]["judged"] = False
        elif rise > allowed * mean:
            wrong.append(f"{name} rises by {rise:.1f} MB of {mean:.1f} MB over {after[-1][0] - after[0][0]:.1f} hours")
    if any(isinstance(status, str) or status >= 500 for status in crowd[0].answers):
        wrong.append(f"answers: {dict(crowd[0].answers)}")
    if made < hours - 3:
        wrong.append(f"{made} maps of {hours:.0f} hours: {states}")
    figures = {
        "minutes": arguments.minutes,
        "hours": round(hours, 1),
        "stations": arguments.stations,
        "shape": arguments.shape,
        "revisions": made,
        "slots": states,
        "requests": {str(status): count for status, count in crowd[0].answers.items()},
        "flat": flat,
    }
    return wrong, figures


if __name__ == "__main__":
    main()
