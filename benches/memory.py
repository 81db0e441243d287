#!/usr/bin/env python3
"""Peak memory (VmHWM) of large maps, beside what `isopleth estimate` tells beforehand.

    benches/memory.py PROGRAM [FOLDER]

- 1400 × 1000 cells, 8, 48 and 360 fields: to stay below 128 MB;
- one field of 10 000 × 10 000 cells in 64 bits, 800 MB of output: below 256 MB;
- 20 million readings of 1400 stations, hour by hour, and once more in random order: below 256 MB.

Everything is made by this script, in FOLDER or the system's temporary one: 1 GB for the readings,
half as much again while they are sorted, and 1 GB for the largest map.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

STATIONS = 1400
READINGS = 20_000_000


def stations():
    chance = random.Random(1)
    return [f"S{k:04d},{73 + 62 * chance.random():.4f},{18 + 36 * chance.random():.4f}," for k in range(STATIONS)]


def readings(path, variables, hours):
    """Complete hours of some variables."""
    names = [f"v{k}" for k in range(variables)]
    with open(path, "w", buffering=1 << 20) as file:
        file.write("station,lon,lat,time," + ",".join(names) + "\n")
        for hour in range(hours):
            time = f"{datetime(2020, 1, 1) + timedelta(hours=hour):%Y-%m-%dT%H:00Z},"
            for k, station in enumerate(stations()):
                values = (f"{30 + 20 * math.sin(k / 50 + hour / 9 + v):.2f}" for v in range(variables))
                file.write(station + time + ",".join(values) + "\n")


def many(path):
    """READINGS readings, hour by hour, one station in 53 silent."""
    rows, written, hour = stations(), 0, 0
    with open(path, "w", buffering=1 << 20) as file:
        file.write("station,lon,lat,time,pm25\n")
        while written < READINGS:
            time = f"{datetime(2010, 1, 1) + timedelta(hours=hour):%Y-%m-%dT%H:00Z},"
            lines = [
                f"{row}{time}{10 + (k * 7 + hour * 13) % 900 / 10}\n"
                for k, row in enumerate(rows)
                if (k * 31 + hour * 17) % 53
            ][: READINGS - written]
            file.write("".join(lines))
            written, hour = written + len(lines), hour + 1


def shuffled(path, to):
    """The same in random order, by the system's tools."""
    script = f"head -1 {path} > {to}; tail -n +2 {path} | shuf --random-source=<(yes) >> {to}"
    subprocess.run(["bash", "-c", script], check=True)


def peak(program, folder, name, path, *more):
    arguments = [str(path), "--bounds", "73,18,135,54", "--kernel", "linear", "--cache", "none", *more]
    estimate = [word for word in arguments if word not in ("--cache", "none")]
    told = subprocess.run([program, "estimate", *estimate, "--json"], capture_output=True, text=True, check=True)
    foreseen = json.loads(told.stdout)["peak_memory_bytes"] / 1e6
    output, report = folder / "out.nc", folder / "report.json"
    run = [program, "map", *arguments, "-o", str(output), "--quiet", "--report", str(report)]
    subprocess.run(run, check=True)
    told = json.loads(report.read_text())
    used, size = told["peak_memory_bytes"] / 1e6, output.stat().st_size / 1e6
    print(
        f"{name:36} {used:6.1f} MB peak, {foreseen:6.1f} foreseen ({foreseen / used - 1:+.0%}), "
        f"{told['seconds']:6.1f} s, file {size:.0f} MB",
        flush=True,
    )
    output.unlink()


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        folder = Path(folder)
        table, long, mixed = folder / "table.csv", folder / "long.csv", folder / "mixed.csv"
        usual = ["--shape", "1400x1000"]
        for variables, hours in [(8, 1), (8, 6), (6, 60)]:
            readings(table, variables, hours)
            peak(program, folder, f"1400×1000, {variables * hours} fields", table, *usual)
        readings(table, 1, 1)
        peak(program, folder, "10 000×10 000, f64", table, "--shape", "10000x10000", "--precision", "f64")
        many(long)
        peak(program, folder, "20 million readings, in order", long, "--shape", "70x50")
        shuffled(long, mixed)
        peak(program, folder, "20 million readings, shuffled", mixed, "--shape", "70x50")


if __name__ == "__main__":
    main()
