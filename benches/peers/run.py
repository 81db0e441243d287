#!/usr/bin/env python3
"""Isopleth beside its peers: the same stations, the same grid, one run.

    make bench                                       everything it needs, then this
    run.py --program PATH [--repeat N] [--quick]     just this

Stations: the 1493 places of ../shared/data/china_2017-07-07T16.csv, or the demo's 1400 where that is not
here. Eight fields: PM2.5, its gaps filled with the mean, times 1, 1.02, ... Grid: 1400 × 1000 cells.
Every peer runs in a process of its own, in turn, N times; medians are printed, and ratios, and kept under
benches/record/. Imports, and whatever a peer compiles at its first call, are not counted. Isopleth's
seconds are the stages of its own report, and for the whole program wall-clock seconds from outside:
start, reading, solving with leave-one-out errors, evaluating, compressing, writing, syncing. Cases
named "evaluate" make every tile and throw it away, as the peers write no file either (examples/
time_map.rs); "whole" ones write the NetCDF file. "libnetcdf" writes the same bytes and does nothing else.
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
UNITS = {"memory": "MB", "fields": "1", "error": "1", "order": "1"}
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


def ferreus_many(count):
    """Evaluates 8 columns of so many stations on 2000 × 1000 cells."""
    from ferreus_rbf import RBFInterpolator
    from ferreus_rbf.config import Params
    from ferreus_rbf.interpolant_config import InterpolantSettings, RBFKernelType

    random = np.random.default_rng(1)
    places = np.column_stack([73 + 62 * random.random(count), 18 + 36 * random.random(count)])
    columns = np.column_stack([np.sin(places[:, 0] * (1 + 0.1 * k)) for k in range(8)])
    kernel = RBFKernelType.Linear
    surface = RBFInterpolator(places, columns, InterpolantSettings(kernel), params=Params(kernel))
    x, y = np.meshgrid(np.linspace(73, 135, 2000), np.linspace(18, 54, 1000))
    targets = np.column_stack([x.ravel(), y.ravel()])
    evaluate, _ = timed(lambda: surface.evaluate(targets))
    return {"evaluate": evaluate}


PEERS = {
    "scipy RBFInterpolator linear": lambda p, v: rbf_interpolator(p, v, "linear"),
    "scipy RBFInterpolator multiquadric": lambda p, v: rbf_interpolator(p, v, "multiquadric"),
    "scipy RBFInterpolator thin_plate_spline": lambda p, v: rbf_interpolator(p, v, "thin_plate_spline"),
    "scipy RBFInterpolator gaussian": lambda p, v: rbf_interpolator(p, v, "gaussian"),
    "scipy RBFInterpolator cubic": lambda p, v: rbf_interpolator(p, v, "cubic"),
    "scipy griddata linear": griddata,
    "ferreus_rbf linear, FMM forced": lambda p, v: ferreus(p, v, 100),
    "ferreus_rbf linear": lambda p, v: ferreus(p, v, 4096),
    "ferreus_rbf 10000 stations, 2000x1000": lambda p, v: ferreus_many(10_000),
    "ferreus_rbf 100000 stations, 2000x1000": lambda p, v: ferreus_many(100_000),
    "verde Spline": verde,
    "scipy Rbf linear": rbf_old,
}
QUICK = ["scipy RBFInterpolator linear", "scipy griddata linear", "ferreus_rbf linear, FMM forced"]


def run_peer(name):
    command = [sys.executable, __file__, "--peer", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


# ---- Isopleth -----------------------------------------------------------------------------------


def time_map(program, readings, kernel, metric, tolerance, threads=0, shape=(NX, NY)):
    """Stage seconds of the library without a file."""
    words = [str(Path(program).parent / "examples" / "time_map"), str(readings), *map(str, shape), kernel]
    degrees = SHAPE.get(kernel, 0.0)
    epsilon = degrees if metric == "planar" else degrees / 111.2
    words += [str(epsilon), metric, tolerance, str(threads or os.cpu_count())]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    stages = {stage["stage"]: stage["seconds"] for stage in told["stages"]}
    result = {
        "solve": stages["factorise"] + stages["solve"],
        "evaluate": stages["evaluate"],
        "fields": len(told["fields"]),
        "memory": told["peak_memory_bytes"] / 1e6,
    }
    if told["certificate"]:
        result["error"] = told["certificate"]["largest_difference"]
        result["order"] = told["certificate"]["order"]
    return result


def many_stations(program, count):
    words = [str(Path(program).parent / "examples" / "many_stations"), str(count)]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return {"evaluate": told["evaluate"], "error": told["error"], "memory": 0.0}


def libnetcdf(folder, how):
    """Writing the 8 maps with the library that everyone uses, on its one thread."""
    import netCDF4

    values = np.load(Path(folder) / "maps.npy")
    path = Path(folder) / "theirs.nc"
    options = {
        "plain": {},
        "deflate 1": {"zlib": True, "complevel": 1, "shuffle": True},
        "deflate 1, 4 digits": {
            "zlib": True, "complevel": 1, "shuffle": True,
            "significant_digits": 14, "quantize_mode": "BitRound",
        },
    }[how]

    def write():
        with netCDF4.Dataset(path, "w") as file:
            for name, size in zip(("time", "lat", "lon"), values.shape, strict=True):
                file.createDimension(name, size)
            chunks = (1, 125, 128) if options else None
            variable = file.createVariable(
                "v", "f4", ("time", "lat", "lon"), chunksizes=chunks, fill_value=False, **options
            )
            variable[:] = values

    seconds, _ = timed(write)
    return {"wall": seconds, "memory": path.stat().st_size / 1e6}


def isopleth(program, readings, folder, *more):
    """Stage seconds, wall-clock seconds from outside and peak memory in MB."""
    report = Path(folder) / "report.json"
    command = [program, "map", readings, "--bounds", ",".join(map(str, BOUNDS))]
    command += ["--shape", f"{NX}x{NY}", "-o", str(Path(folder) / "out.nc"), "--quiet"]
    command += [] if "--cache" in more else ["--cache", "none"]
    # What the peers make, too; the choice by the readings is a row of its own.
    command += [] if "--kernel" in more else ["--kernel", "linear"]
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


def hours(path, places, columns):
    """24 hours of 6 pollutants, with the gaps of the real hour, other stations silent every hour."""
    real = SHARED / "china_2017-07-07T16.csv"
    names = ["pm25", "pm10", "so2", "no2", "o3", "co"]
    gaps = np.zeros((len(places), len(names)), bool)
    if real.exists():
        index = {tuple(place): k for k, place in enumerate(places.tolist())}
        with open(real, newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                k = index[float(row["lon"]), float(row["lat"])]
                gaps[k] = [row[name] == "" for name in names]
    else:
        gaps = np.random.default_rng(1).random(gaps.shape) < 0.06
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["station", "lon", "lat", "time", *names])
        for hour in range(24):
            missing = np.roll(gaps, 61 * hour, axis=0)
            for k, (lon, lat) in enumerate(places):
                row = columns[k, : len(names)] * (1 + 0.01 * hour)
                cells_ = ["" if m else f"{v:.2f}" for v, m in zip(row, missing[k], strict=True)]
                rows.writerow([f"s{k}", lon, lat, f"2017-07-07T{hour:02}:00Z", *cells_])


def cases(program, folder, places, values):
    """Name → a function that measures once."""
    folder = Path(folder)
    eight, many, day = folder / "eight.csv", folder / "many.csv", folder / "day.csv"
    table(eight, places, values)
    table(many, places, np.tile(values, 6))
    hours(day, places, values)
    run = lambda *more: isopleth(program, str(eight), folder, *more)  # noqa: E731
    alone = lambda *more, **named: time_map(program, eight, *more, **named)  # noqa: E731
    for tolerance in ["exact", "1e-9", "1e-6"]:
        for metric in ["chordal", "planar"]:
            name = f"evaluate linear {metric} {tolerance}"
            yield name, lambda m=metric, t=tolerance: alone("linear", m, t)
    for kernel in ["multiquadric", "thin_plate_spline", "gaussian", "cubic"]:
        for tolerance in ["exact", "1e-9"]:
            name = f"evaluate {kernel} planar {tolerance}"
            yield name, lambda k=kernel, t=tolerance: alone(k, "planar", t)
    yield "evaluate linear chordal 1e-9, 1 thread", lambda: alone("linear", "chordal", "1e-9", threads=1)
    yield "evaluate linear chordal exact, 1 thread", lambda: alone("linear", "chordal", "exact", threads=1)
    for tolerance in ("1e-9", "1e-6"):
        yield (
            f"evaluate 144 fields with gaps, {tolerance}",
            lambda t=tolerance: time_map(program, day, "linear", "chordal", t),
        )
    for count in [1_000, 10_000, 100_000]:
        yield f"evaluate {count} stations, 2000x1000", lambda n=count: many_stations(program, n)
    yield "whole linear exact", lambda: run("--tolerance", "exact")
    yield "whole, defaults", run
    yield "whole, defaults, 1 thread", lambda: run("--threads", "1")
    yield "whole, plain", lambda: run("--compress", "none")
    yield "whole, plain, factor kept", lambda: run("--compress", "none", "--cache", str(folder / "kept"))
    yield "whole, defaults, factor kept", lambda: run("--cache", str(folder / "kept"))
    yield "whole, all digits", lambda: run("--digits", "exact")
    yield "whole, small", lambda: run("--compress", "small")
    yield "whole, 48 fields", lambda: isopleth(program, str(many), folder)
    yield "whole, chosen by the readings", lambda: run("--kernel", "auto")
    kept = ("--kernel", "auto", "--cache", str(folder / "chosen"))
    yield "whole, chosen before", lambda: run(*kept)
    for how in ["plain", "deflate 1", "deflate 1, 4 digits"]:
        yield f"libnetcdf {how}", lambda how=how: libnetcdf(folder, how)
    hour = SHARED / "china_2017-07-07T16.csv"
    if hour.exists():
        for tolerance in ["exact", "1e-6"]:
            more = ("--tolerance", tolerance)
            yield (
                f"whole, the real hour, 6 fields, {tolerance}",
                lambda more=more: isopleth(program, str(hour), folder, *more),
            )


def keep_maps(program, folder):
    """The 8 maps for `libnetcdf`, with all digits."""
    import netCDF4

    isopleth(program, str(Path(folder) / "eight.csv"), folder, "--digits", "exact")
    with netCDF4.Dataset(Path(folder) / "out.nc") as file:
        np.save(Path(folder) / "maps.npy", file["pm25"][:].filled(np.nan))


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
        eight = str(Path(folder) / "eight.csv")
        keep_maps(arguments.program, folder)
        print(f"{source.name}: {len(places)} stations, 8 fields, {NX}×{NY} cells")
        difference = agreement(arguments.program, folder, eight, places, values)
        print(f"largest difference from RBFInterpolator: {difference:.1e} of the range")
        if difference > 1e-9:
            sys.exit("that is too much: the figures below would compare different things")
        for _ in range(1 if arguments.quick else arguments.repeat):
            for name, measure in ours:
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
        ratio = f"{scipy / m['evaluate']:.1f} ×" if "evaluate" in m else ""
        print(f"{name:48}{cell('solve'):>9}{cell('evaluate'):>12}{cell('wall'):>9}{m['memory']:>7.0f}  {ratio:>8}")
    print("\nIn whole runs evaluation includes compressing and writing the file.")
    day = medians["evaluate 144 fields with gaps, 1e-6"]
    print(f"144 fields with gaps: {day['fields'] / (day['solve'] + day['evaluate']):.0f} fields a second")
    for what, one, two in [
        ("evaluate 1e-9", "evaluate linear chordal 1e-9, 1 thread", "evaluate linear chordal 1e-9"),
        ("evaluate exact", "evaluate linear chordal exact, 1 thread", "evaluate linear chordal exact"),
        ("evaluate, compress, write", "whole, defaults, 1 thread", "whole, defaults"),
    ]:
        gain = medians[one]["evaluate"] / medians[two]["evaluate"]
        print(f"{os.cpu_count()} threads beside 1: {gain:.2f} × ({what})")


def last_record(name):
    """Medians of the last record of this processor."""
    records = sorted((ROOT / "benches" / "record").glob(f"2*-{name}.csv"))
    figures = {}
    if records:
        with open(records[-1], newline="") as file:
            rows = csv.DictReader(line for line in file if not line.startswith("#"))
            for row in rows:
                figures[row["case"], row["figure"]] = float(row["value"])
    return figures


def compare(medians, before):
    """What has become a quarter slower or faster since the last record; noise is a fifth."""
    for name, m in medians.items():
        for figure in ("solve", "evaluate", "wall"):
            old = before.get((name, figure))
            if old and figure in m and not 0.8 < m[figure] / old < 1.25 and max(old, m[figure]) > 0.01:
                print(f"since the last record: {name}, {figure}: {old:.3f} s then, {m[figure]:.3f} s now")


def keep(medians, count, arguments):
    model = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    name = "".join(c if c.isalnum() else "-" for c in model.lower()).strip("-")
    compare(medians, last_record(name))
    path = ROOT / "benches" / "record" / f"{datetime.date.today()}-{name}.csv"
    with open(path, "w", newline="") as file:
        print(f"# {model}, {os.cpu_count()} cores, commit {commit.stdout.strip()}", file=file)
        print(f"# {count} stations, 8 fields, {NX}x{NY} cells; medians of {arguments.repeat}", file=file)
        rows = csv.writer(file)
        rows.writerow(["case", "figure", "value", "unit"])
        for case, figures in medians.items():
            for figure, value in figures.items():
                rows.writerow([case, figure, f"{value:.4g}", UNITS.get(figure, "s")])
    print(f"kept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
