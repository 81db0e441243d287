#!/usr/bin/env python3
"""Isopleth beside its peers: the same stations, the same grid, one run.

    make bench                                       everything it needs, then this
    run.py --program PATH [--repeat N] [--quick]     just this

Stations: the 1493 places of ../shared/data/china_2017-07-07T16.csv, or the demo's 1400 where that is not
here. Eight fields: PM2.5, its gaps filled with the mean, times 1, 1.02, ... Grid: 1400 × 1000 cells.
Every peer runs in a process of its own, in turn, N times; medians are printed, and ratios, and kept under
benches/record/. Imports, and whatever a peer compiles at its first call, are not counted. Isopleth's
seconds are the stages of its own report, and for the whole program wall-clock seconds from outside:
start, reading, solving with leave-one-out errors, evaluating, compressing, writing, syncing.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = Path(os.environ.get("ISOPLETH_SHARED", ROOT.parent / "shared")) / "data"
NX, NY, BOUNDS = 1400, 1000, (73.0, 18.0, 135.0, 54.0)
# In 1/degree: about the spacing of the stations.
SHAPE = {"multiquadric": 5.0, "gaussian": 1.0}


def stations():
    """Distinct places and their eight columns."""
    real = SHARED / "china_2017-07-07T16.csv"
    source = real if real.exists() else ROOT / "examples" / "demo_readings.csv"
    seen = {}
    with open(source, newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            place = (float(row["lon"]), float(row["lat"]))
            seen.setdefault(place, float(row["pm25"] or "nan"))
    places, values = np.array(list(seen)), np.array(list(seen.values()))
    values = np.where(np.isnan(values), np.nanmean(values), values)
    return source, places, values[:, None] * (1 + 0.02 * np.arange(8))


def axes():
    west, south, east, north = BOUNDS
    return np.linspace(west, east, NX), np.linspace(south, north, NY)


def cells(rows=slice(None)):
    x, y = axes()
    return np.column_stack([a.ravel() for a in np.meshgrid(x, y[rows])])


# ---- the peers, each in a process of its own ------------------------------------------------------


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def rbf_interpolator(places, values, kernel):
    from scipy.interpolate import RBFInterpolator

    epsilon = SHAPE.get(kernel, 1.0)
    solve, surface = timed(lambda: RBFInterpolator(places, values, kernel=kernel, epsilon=epsilon))
    targets = cells()
    evaluate, _ = timed(lambda: surface(targets))
    return {"solve": solve, "evaluate": evaluate}


def rbf_old(places, values):
    """SciPy's Rbf: one field, 20 rows of 1000 at a time, as its users do; times 8 fields and 50."""
    from scipy.interpolate import Rbf

    solve, surface = timed(lambda: Rbf(*places.T, values[:, 0], function="linear"))
    targets = cells(slice(0, 20))
    evaluate, _ = timed(lambda: surface(*targets.T))
    return {"solve": 8 * solve, "evaluate": 8 * 50 * evaluate}


def griddata(places, values):
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import Delaunay

    targets = cells()
    triangles = Delaunay(places)
    first, _ = timed(lambda: LinearNDInterpolator(triangles, values)(targets))
    second, _ = timed(lambda: LinearNDInterpolator(triangles, values)(targets))
    return {"first": first, "evaluate": second}


def verde(places, values):
    """One field at a time; 100 rows of 1000, times 8 fields and 10."""
    import verde as vd

    coordinates = (places[:, 0], places[:, 1])
    spline = vd.Spline()
    spline.fit(tuple(c[:50] for c in coordinates), values[:50, 0])
    solve, _ = timed(lambda: spline.fit(coordinates, values[:, 0]))
    targets = cells(slice(0, 100))
    spline.predict((targets[:10, 0], targets[:10, 1]))
    evaluate, _ = timed(lambda: spline.predict((targets[:, 0], targets[:, 1])))
    return {"solve": 8 * solve, "evaluate": 8 * 10 * evaluate}


def ferreus(places, values, threshold):
    from ferreus_rbf import RBFInterpolator
    from ferreus_rbf.config import Params
    from ferreus_rbf.interpolant_config import InterpolantSettings, RBFKernelType

    kernel = RBFKernelType.Linear
    params = Params(kernel, direct_eval_threshold=threshold)
    settings = InterpolantSettings(kernel)
    points, columns = np.ascontiguousarray(places), np.ascontiguousarray(values)
    solve, surface = timed(lambda: RBFInterpolator(points, columns, settings, params=params))
    targets = np.ascontiguousarray(cells())
    evaluate, _ = timed(lambda: surface.evaluate(targets))
    return {"solve": solve, "evaluate": evaluate}


PEERS = {
    "scipy RBFInterpolator linear": lambda p, v: rbf_interpolator(p, v, "linear"),
    "scipy RBFInterpolator multiquadric": lambda p, v: rbf_interpolator(p, v, "multiquadric"),
    "scipy RBFInterpolator thin_plate_spline": lambda p, v: rbf_interpolator(p, v, "thin_plate_spline"),
    "scipy RBFInterpolator gaussian": lambda p, v: rbf_interpolator(p, v, "gaussian"),
    "scipy RBFInterpolator cubic": lambda p, v: rbf_interpolator(p, v, "cubic"),
    "scipy griddata linear": griddata,
    "ferreus_rbf linear, FMM forced": lambda p, v: ferreus(p, v, 100),
    "ferreus_rbf linear": lambda p, v: ferreus(p, v, 4096),
    "verde Spline": verde,
    "scipy Rbf linear": rbf_old,
}
QUICK = ["scipy RBFInterpolator linear", "scipy griddata linear", "ferreus_rbf linear, FMM forced"]


def run_peer(name):
    command = [sys.executable, __file__, "--peer", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


# ---- Isopleth -----------------------------------------------------------------------------------


def isopleth(program, readings, folder, *more):
    """Stage seconds, wall-clock seconds from outside and peak memory in MB."""
    report = Path(folder) / "report.json"
    command = [program, "map", readings, "--bounds", ",".join(map(str, BOUNDS))]
    command += ["--shape", f"{NX}x{NY}", "-o", str(Path(folder) / "out.nc"), "--quiet"]
    wall, _ = timed(lambda: subprocess.run([*command, "--report", str(report), *more], check=True))
    told = json.loads(report.read_text())
    result = {stage["stage"]: stage["seconds"] for stage in told["stages"]}
    result["solve"] = result["solve"] + result.pop("factorise")
    return result | {"wall": wall, "memory": told["peak_memory_bytes"] / 1e6}


def table(path, places, columns):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["station", "lon", "lat", "time", "pm25"])
        for hour, column in enumerate(columns.T):
            time_ = datetime.datetime(2017, 7, 7) + datetime.timedelta(hours=hour)
            for k, ((lon, lat), value) in enumerate(zip(places, column, strict=True)):
                rows.writerow([f"s{k}", lon, lat, time_.isoformat() + "Z", value])


def agreement(program, folder, readings, places, values):
    """Largest difference from RBFInterpolator on every tenth row, relative to the range."""
    import netCDF4
    from scipy.interpolate import RBFInterpolator

    planar = ["--metric", "planar", "--precision", "f64", "--tolerance", "exact"]
    isopleth(program, readings, folder, *planar)
    with netCDF4.Dataset(Path(folder) / "out.nc") as file:
        ours = file["pm25"][:, ::10, :].filled(np.nan)
    theirs = RBFInterpolator(places, values, kernel="linear")(cells(slice(0, None, 10)))
    theirs = theirs.T.reshape(ours.shape)
    return np.abs(ours - theirs).max() / np.ptp(theirs)


def cases(program, folder, places, values):
    """Name → a function that measures once."""
    eight, many = Path(folder) / "eight.csv", Path(folder) / "many.csv"
    table(eight, places, values)
    table(many, places, np.tile(values, 6))
    run = lambda *more: isopleth(program, str(eight), folder, *more)  # noqa: E731
    yield eight, "isopleth linear chordal exact", lambda: run("--tolerance", "exact")
    for tolerance in ["1e-9", "1e-6"]:
        for metric in ["chordal", "planar"]:
            name = f"isopleth linear {metric} {tolerance}"
            more = ("--tolerance", tolerance, "--metric", metric)
            yield eight, name, lambda more=more: run(*more)
    for kernel in ["multiquadric", "thin_plate_spline", "gaussian", "cubic"]:
        shape = ["--epsilon", str(SHAPE[kernel])] if kernel in SHAPE else []
        for tolerance in ["exact", "1e-9"]:
            more = ("--metric", "planar", "--kernel", kernel, "--tolerance", tolerance, *shape)
            yield eight, f"isopleth {kernel} planar {tolerance}", lambda more=more: run(*more)
    yield many, "isopleth linear chordal, 48 fields", lambda: isopleth(program, str(many), folder)
    hour = SHARED / "china_2017-07-07T16.csv"
    if hour.exists():
        for tolerance in ["exact", "1e-6"]:
            name = f"isopleth the real hour, 6 fields, {tolerance}"
            more = ("--tolerance", tolerance)
            yield hour, name, lambda more=more: isopleth(program, str(hour), folder, *more)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="isopleth")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="once, and the most important peers")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    source, places, values = stations()
    if arguments.peer:
        result = PEERS[arguments.peer](places, values)
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps(result))
        return
    names = QUICK if arguments.quick else list(PEERS)
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        ours = list(cases(arguments.program, folder, places, values))
        print(f"{source.name}: {len(places)} stations, 8 fields, {NX}×{NY} cells")
        difference = agreement(arguments.program, folder, str(ours[0][0]), places, values)
        print(f"largest difference from RBFInterpolator: {difference:.1e} of the range")
        if difference > 1e-9:
            sys.exit("that is too much: the figures below would compare different things")
        for _ in range(1 if arguments.quick else arguments.repeat):
            for _, name, measure in ours:
                seen.setdefault(name, []).append(measure())
            for name in names:
                seen.setdefault(name, []).append(run_peer(name))
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in seen.items()
    }
    show(medians)
    keep(medians, len(places), arguments)


def show(medians):
    scipy = medians["scipy RBFInterpolator linear"]["evaluate"]
    print(f"\n{'':48}{'solve s':>9}{'evaluate s':>12}{'whole s':>9}{'MB':>7}  evaluate beside SciPy linear")
    for name, m in medians.items():
        cell = lambda key: f"{m[key]:.3f}" if key in m else "-"  # noqa: E731
        ratio = f"{scipy / m['evaluate']:.1f} ×"
        print(f"{name:48}{cell('solve'):>9}{cell('evaluate'):>12}{cell('wall'):>9}{m['memory']:>7.0f}  {ratio:>8}")
    print("\nIsopleth's evaluation includes compressing and writing the file; the peers' does not.")


def keep(medians, count, arguments):
    model = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    name = "".join(c if c.isalnum() else "-" for c in model.lower()).strip("-")
    path = ROOT / "benches" / "record" / f"{datetime.date.today()}-{name}.csv"
    with open(path, "w", newline="") as file:
        print(f"# {model}, {os.cpu_count()} cores, commit {commit.stdout.strip()}", file=file)
        print(f"# {count} stations, 8 fields, {NX}x{NY} cells; medians of {arguments.repeat}", file=file)
        rows = csv.writer(file)
        rows.writerow(["case", "figure", "value", "unit"])
        for case, figures in medians.items():
            for figure, value in figures.items():
                rows.writerow([case, figure, f"{value:.4g}", "MB" if figure == "memory" else "s"])
    print(f"kept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
