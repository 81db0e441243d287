#!/usr/bin/env python3
"""How error and time of fast evaluation go with order, stations, cells and fields.

    make sweeps                              builds, measures, keeps, draws
    sweeps.py --program PATH                 measures and keeps under benches/record/
    sweeps.py --program PATH --ellipses      which Bernstein ellipse is cheapest: every kernel and metric, half an hour
    sweeps.py --draw RECORD PICTURE          draws a record (needs matplotlib)

Random weights at random places, half of them in towns, linear, chordal (examples/many_stations.rs); medians
of five. Ellipses: the demo's readings, one thread, means of eight in turns (examples/ellipses.rs).
"""

import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEAT = 5
# stations, fields, columns, rows, order
USUAL = {"stations": 1500, "fields": 8, "columns": 1400, "rows": 1000, "order": 12}
SWEEPS = {
    "order": [{"order": order} for order in range(4, 27, 2)],
    "stations": [{"stations": n} for n in (500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)],
    "cells": [{"columns": 7 * k, "rows": 5 * k} for k in (50, 100, 200, 400, 800)],
    "fields": [{"fields": fields} for fields in (1, 2, 4, 8, 16, 32, 64)],
}
ELLIPSES = ["2.2", "2.5", "3", "3.5", "4", "5"]
METRICS = ["planar", "chordal", "great_circle"]
KERNELS = [
    "gaussian", "linear", "multiquadric", "thin_plate_spline", "cubic", "exponential", "matern32", "matern52",
    "quintic", "inverse_multiquadric", "inverse_quadratic", "wendland_c2", "wendland_c4",
]  # fmt: skip


def measure(program, case):
    words = [str(Path(program).parent / "examples" / "many_stations"), *map(str, case.values())]
    told = [
        json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        for _ in range(REPEAT)
    ]
    return statistics.median(t["evaluate"] for t in told), told[0]["error"]


def record(kind):
    """Where a record goes, and what it says of the machine."""
    model = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    name = "".join(c if c.isalnum() else "-" for c in model.lower()).strip("-")
    path = ROOT / "benches" / "record" / f"{kind}-{datetime.date.today()}-{name}.csv"
    return path, f"# {model}, {os.cpu_count()} cores, commit {commit.stdout.strip()}"


def ellipses(program):
    path, machine = record("ellipses")
    with open(path, "w") as file:
        print(f"{machine}; 1 thread, means of 8 in turns", file=file)
        print("kernel,metric,epsilon,tolerance,rho,order,seconds,pairs,error", file=file)
        for metric in METRICS:
            for kernel in KERNELS:
                words = [str(Path(program).parent / "examples" / "ellipses"), "examples/demo_readings.csv"]
                words += [kernel, metric, *ELLIPSES]
                told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
                print(told.stdout, end="", file=file, flush=True)
                print(told.stdout, end="")
    print(f"kept in {path.relative_to(ROOT)}")


def sweep(program):
    path, machine = record("sweeps")
    with open(path, "w", newline="") as file:
        print(f"{machine}; medians of {REPEAT}", file=file)
        rows = csv.writer(file)
        rows.writerow(["sweep", *USUAL, "seconds", "error"])
        for name, cases in SWEEPS.items():
            for case in cases:
                case = USUAL | case
                seconds, error = measure(program, case)
                rows.writerow([name, *case.values(), f"{seconds:.4g}", f"{error:.3g}"])
                print(name, *case.values(), f"{seconds:.3f} s, error {error:.1e}")
    print(f"kept in {path.relative_to(ROOT)}")
    return path


def draw(record, picture):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with open(record, newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    of = lambda name: [row for row in rows if row["sweep"] == name]  # noqa: E731
    figure, ((error, stations), (cells, fields)) = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    number = lambda rows, *names: [  # noqa: E731
        float(row[names[0]]) * (float(row[names[1]]) if len(names) > 1 else 1) for row in rows
    ]
    chosen = of("order")
    order = number(chosen, "order")
    error.semilogy(order, number(chosen, "error"), "o-", color="#20606b", label="largest error seen")
    error.semilogy(order, [3.0 ** -p for p in order], "--", color="#888888", label="$3^{-p}$")
    error.set(xlabel="order p", ylabel="error, relative")
    twin = error.twinx()
    twin.plot(order, [1000 * s for s in number(chosen, "seconds")], "s:", color="#b3541e")
    twin.set_ylabel("milliseconds (squares)")
    error.legend()
    for axes, name, x, label in [
        (stations, "stations", ("stations",), "stations"),
        (cells, "cells", ("columns", "rows"), "cells"),
        (fields, "fields", ("fields",), "fields"),
    ]:
        chosen = of(name)
        axes.loglog(number(chosen, *x), number(chosen, "seconds"), "o-", color="#20606b")
        axes.set(xlabel=label, ylabel="seconds")
        axes.grid(which="both", alpha=0.2)
    figure.savefig(picture, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--ellipses", action="store_true")
    parser.add_argument("--draw", nargs=2, metavar=("RECORD", "PICTURE"))
    arguments = parser.parse_args()
    if arguments.program and arguments.ellipses:
        ellipses(arguments.program)
    elif arguments.program:
        sweep(arguments.program)
    if arguments.draw:
        draw(*arguments.draw)


if __name__ == "__main__":
    main()
