#!/usr/bin/env python3
"""Lets programs that know nothing of Isopleth judge NetCDF files.

    python3 -m venv .venv && .venv/bin/pip install -r tests/judges/requirements.txt
    .venv/bin/python tests/judges/netcdf_judges.py map.nc ...

- compliance-checker (cf:1.11, strict): no error, no warning, no recommendation;
- ncdump: reads the header and the kind, and every value;
- nccopy: makes a plain copy of it in the classic format, every variable equal to the bit;
- CDO: reads the grid and every map, and counts as many missing values as xarray (variables of stations,
  whose time comes last as CF has it, it passes over);
- xarray, with warnings as errors: coordinates, times and masked values are as they should be;
- cf-xarray: finds latitude, longitude (or X, Y) and time by what the file says, and the bounds;
- pyproj: latitudes and longitudes of a projected grid are what PROJ makes of its grid mapping;
- GDAL (`gdalinfo`): the outer edges of the cells are the file's bounds, the sphere is the file's; a
  plane is the one that PROJ makes of the grid mapping.

ncdump, nccopy, cdo and gdalinfo come with Debian's netcdf-bin, cdo and gdal-bin. A judge that is not installed is an
error, unless it is named with --without. Exit code 1 if any judge objects, each objection a line.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path


def run(*command):
    """Standard output of a command, or the objection that it failed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stdout} {result.stderr}".strip())
    return result.stdout, result.stderr


def judge_compliance(path):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "answer.json"
        ComplianceChecker.run_checker(
            str(path), ["cf:1.11"], 0, "strict",
            output_filename=str(answer), output_format="json",
        )
        verdict = json.loads(answer.read_text())["cf:1.11"]
    for priority in ("high_priorities", "medium_priorities", "low_priorities"):
        for check in verdict[priority]:
            reached, possible = check["value"]
            # Checks that are passed may have something to say too.
            for message in check["msgs"] if reached < possible else ():
                yield f"{check['name']}: {message}"


def judge_ncdump(path):
    kind, _ = run("ncdump", "-k", str(path))
    if kind.strip() != "netCDF-4 classic model":
        yield f"kind is {kind.strip()!r}"
    values, complaint = run("ncdump", "-p", "9,17", str(path))
    if complaint:
        yield complaint
    if "NaN" in values.split("data:", 1)[1]:
        yield "a value is NaN, not the fill value"


def maps(dataset):
    """The variables that are maps: those that are not about stations."""
    for name, variable in dataset.data_vars.items():
        content = variable.attrs.get("coverage_content_type")
        if content == "modelResult":
            yield name, variable


def judge_xarray(path):
    import numpy as np
    import xarray as xr

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xr.open_dataset(path) as dataset:
            found = list(maps(dataset))
            if not found:
                yield "no map"
            for name, variable in found:
                values = variable.values
                if np.any(np.abs(values) > 1e30):
                    yield f"{name}: fill values are not masked"
                if variable.dims[0] == "time" and dataset.time.dtype.kind != "M":
                    yield f"time is {dataset.time.dtype}, not a date"
                for part in ("reading", "residual", "flag"):
                    of_stations = dataset[f"{name}_{part}"]
                    if "station_id" not in of_stations.encoding.get("coordinates", ""):
                        yield f"{name}_{part}: no station_id among its coordinates"
                    if of_stations.dims[0] != "station":
                        yield f"{name}_{part}: dimensions {of_stations.dims}"
            ids = dataset["station_id"].values
            if len(set(ids)) != len(ids):
                yield "station codes repeat"


def judge_nccopy(path):
    import netCDF4
    import numpy as np

    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy.nc"
        run("nccopy", "-k", "classic", str(path), str(copy))
        with netCDF4.Dataset(path) as ours, netCDF4.Dataset(copy) as theirs:
            for name, variable in ours.variables.items():
                pair = (variable, theirs[name])
                for each in pair:
                    each.set_auto_maskandscale(False)
                one, other = (np.asarray(each[...]) for each in pair)
                if one.tobytes() != np.ascontiguousarray(other, one.dtype).tobytes():
                    yield f"{name}: the copy differs"


def judge_cdo(path):
    import numpy as np
    import xarray as xr

    with xr.open_dataset(path) as dataset:
        if not {"lon", "lat"} <= set(dataset.dims):
            if {"lon", "lat"} <= set(dataset.coords):
                yield from judge_cdo_projected(path, dataset)
            return  # CDO knows the sphere
        shape = (dataset.sizes["lon"], dataset.sizes["lat"])
        wanted = {
            name: [int(np.isnan(field).sum()) for field in variable.values.reshape(-1, *shape[::-1])]
            for name, variable in maps(dataset)
        }
    grid, _ = run("cdo", "-s", "griddes", str(path))
    for line in (f"xsize     = {shape[0]}", f"ysize     = {shape[1]}", "gridtype  = lonlat"):
        if min(shape) > 1 and line not in grid:
            yield f"no {line!r} in its grid"
    for name, missing in wanted.items():
        answer, _ = run("cdo", "-s", "infon", f"-selname,{name}", str(path))
        rows = [line.split() for line in answer.splitlines() if not line.lstrip().startswith("-1")]
        # -1 : date time level gridsize missing : minimum mean maximum : name
        got = [int(row[6]) for row in rows if len(row) > 6 and row[5].isdigit() and row[6].isdigit()]
        if got != missing:
            yield f"{name}: missing {got}, not {missing}"


def judge_cdo_projected(path, dataset):
    """CDO takes every cell of a plane to where the file says."""
    import numpy as np

    name = next(name for name, _ in maps(dataset))
    if "point" in dataset.dims:
        return
    answer, _ = run("cdo", "-s", "outputtab,lon,lat", f"-selname,{name}", str(path))
    rows = [line.split() for line in answer.splitlines() if not line.startswith("#")]
    found = np.array(rows[: dataset.lon.size], float)
    off = np.abs(found - np.stack([dataset.lon.values.ravel(), dataset.lat.values.ravel()], 1))
    off[:, 0] = np.minimum(off[:, 0] % 360, 360 - off[:, 0] % 360)
    if off.max() > 2e-3:  # it prints six digits
        yield f"places off by {off.max()} degrees"


def plane_of(dataset):
    """What PROJ makes of the grid mapping, with the names of x and y; none without a plane."""
    import pyproj

    names = ("rlon", "rlat") if "rlon" in dataset.dims else ("x", "y")
    if "crs" not in dataset or names[0] not in dataset.dims:
        return None
    return pyproj.CRS.from_cf(dataset["crs"].attrs), names


def judge_pyproj(path):
    import numpy as np
    import pyproj
    import xarray as xr

    with xr.open_dataset(path) as dataset:
        plane = plane_of(dataset)
        if plane is None:
            return
        system, (x, y) = plane
        # A turned pole is geodetic itself: what it is turned from is meant.
        base = system.source_crs or system.geodetic_crs
        there = pyproj.Transformer.from_crs(system, base, always_xy=True)
        lon, lat = there.transform(*np.meshgrid(dataset[x].values, dataset[y].values))
        off = max(np.abs((lon - dataset.lon.values + 180) % 360 - 180).max(),
                  np.abs(lat - dataset.lat.values).max())
        if not off < 1e-7:  # a centimetre
            yield f"places off by {off} degrees"


def judge_cf_xarray(path):
    import cf_xarray  # noqa: F401  (adds .cf)
    import xarray as xr

    with xr.open_dataset(path) as dataset:
        names = set(dataset.variables)
        wanted = {"X": "lon", "Y": "lat"} if "lon" in names else {"X": "x", "Y": "y"}
        plane = plane_of(dataset)
        if plane is not None:
            wanted = dict(zip("XY", plane[1]))
            for key in ("longitude", "latitude"):
                if dataset.cf.coordinates.get(key, [])[:1] != [key[:3]]:
                    yield f"{key} is {dataset.cf.coordinates.get(key)}"
        on_grid = all(name in dataset.dims for name in wanted.values())
        for axis, name in wanted.items() if on_grid else ():
            if dataset.cf.axes.get(axis) != [name]:
                yield f"axis {axis} is {dataset.cf.axes.get(axis)}, not {name}"
            if dataset.cf.bounds.get(name) != [f"{name}_bnds"]:
                yield f"bounds of {name}: {dataset.cf.bounds.get(name)}"
        if "time" in names and dataset.cf.axes.get("T") != ["time"]:
            yield f"axis T is {dataset.cf.axes.get('T')}"


def judge_gdal(path):
    import xarray as xr

    with xr.open_dataset(path) as dataset:
        spherical = "lon" in dataset.dims
        x, y = ("lon", "lat") if spherical else ("x", "y")
        if x not in dataset.dims or min(dataset.sizes[x], dataset.sizes[y]) < 2:
            return  # a list of places, or a single node, is no raster
        edges = [dataset[f"{name}_bnds"].values for name in (x, y)]
        clipped = [name for name in (x, y) if not even(dataset[f"{name}_bnds"].values)]
        radius = float(dataset["crs"].attrs["earth_radius"]) if spherical else None
        names = [name for name, _ in maps(dataset)]
        plane = plane_of(dataset)
        middle = [float(dataset[n].values.mean()) for n in plane[1]] if plane else None
    for name in names:
        text, complaint = run("gdalinfo", "-json", f"NETCDF:{path}:{name}")
        if complaint.strip():
            yield f"{name}: {complaint.strip()}"
        info = json.loads(text)
        corners = info["cornerCoordinates"]
        for axis, edge, label in ((0, edges[0], x), (1, edges[1], y)):
            if label in clipped:
                continue  # cells cut off at a pole: GDAL knows equal cells only
            got = sorted((corners["upperLeft"][axis], corners["lowerRight"][axis]))
            want = sorted((edge.min(), edge.max()))
            # GDAL may turn 0..360 into -180..180.
            shift = 360 * round((want[0] - got[0]) / 360) if label == "lon" else 0
            if max(abs(g + shift - w) for g, w in zip(got, want)) > 1e-6 * (want[1] - want[0]):
                yield f"{name}: {label} from {got[0]} to {got[1]}, not {want[0]} to {want[1]}"
        system = info.get("coordinateSystem", {}).get("wkt", "")
        if plane and plane[1] == ("x", "y"):
            import pyproj

            theirs = pyproj.CRS.from_wkt(system) if system else None
            to = [pyproj.Transformer.from_crs(each, each.geodetic_crs, always_xy=True)
                  for each in (theirs, plane[0]) if each is not None]
            places = [each.transform(*middle) for each in to]
            if len(places) < 2 or max(abs(a - b) for a, b in zip(*places)) > 1e-8:
                yield f"{name}: GDAL's plane is another: {system!r}"
        if spherical and f",{radius:.10g},0" not in system:
            yield f"{name}: no sphere of radius {radius} in {system!r}"


def even(bounds):
    """Whether all cells are equally wide."""
    widths = abs(bounds[:, 1] - bounds[:, 0])
    return float(widths.max() - widths.min()) <= 1e-9 * float(widths.max())


JUDGES = {
    "compliance-checker": judge_compliance,
    "ncdump": judge_ncdump,
    "nccopy": judge_nccopy,
    "cdo": judge_cdo,
    "xarray": judge_xarray,
    "cf-xarray": judge_cf_xarray,
    "pyproj": judge_pyproj,
    "gdal": judge_gdal,
}
PROGRAMS = {"ncdump": "ncdump", "nccopy": "nccopy", "cdo": "cdo", "gdal": "gdalinfo"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--without", action="append", default=[], choices=JUDGES)
    options = parser.parse_args()
    objections = 0
    for path in options.files:
        for name, judge in JUDGES.items():
            if name in options.without:
                print(f"skipped: {path}: {name}")
                continue
            try:
                if name in PROGRAMS and shutil.which(PROGRAMS[name]) is None:
                    raise AssertionError(f"{PROGRAMS[name]} is not installed")
                found = list(judge(path))
            except Exception as error:  # a judge that stumbles objects
                found = [f"{type(error).__name__}: {error}"]
            for objection in found:
                print(f"{path}: {name}: {objection}", file=sys.stderr)
            objections += len(found)
        print(f"judged: {path}")
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main())
