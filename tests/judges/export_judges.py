#!/usr/bin/env python3
"""Lets programs that know nothing of Isopleth judge what `isopleth export` makes of a NetCDF file.

    .venv/bin/python tests/judges/export_judges.py map.nc map.tif map.png lines.geojson …

- GeoTIFF: rio-cogeo accepts it strictly as cloud-optimised; GDAL (gdal_translate, gdalinfo) reads the very bits of
  the NetCDF file, the edges of its cells, and each overview as the mean of what is finer; PROJ finds the places of the
  cells where the NetCDF file has them;
- PNG: Pillow reads it; a bare one has a pixel for each cell, transparent where there is no value;
- GeoJSON: shapely finds every geometry valid; rings turn as RFC 7946 has it, boxes fit; bands do not overlap and
  together are all squares of four cells with values;
- CoverageJSON: covjson-pydantic accepts it; its values are those of the file.

The files are of the whole map: no bounds, no stride. Exit code 1 if anybody objects, each objection a line.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import netCDF4
import numpy as np


class Map:
    """The NetCDF file: axes, edges, and fields with NaN for what is missing, north up."""

    def __init__(self, path):
        self.data = netCDF4.Dataset(path)
        axis = {v.axis: v for v in self.data.variables.values() if "axis" in v.ncattrs()}
        self.x, self.y = axis["X"], axis["Y"]
        self.edges = [[*self.data[v.bounds][:, 0], self.data[v.bounds][-1, 1]] for v in (self.x, self.y)]
        self.turned = len(self.y) > 1 and self.y[0] < self.y[1]

    def fields(self, name):
        """Time, rows from the north, columns."""
        values = np.ma.filled(self.data[name][:], np.nan)
        values = values if values.ndim == 3 else values[None]
        return values[:, ::-1] if self.turned else values

    def names(self):
        return [n for n, v in self.data.variables.items()
                if getattr(v, "coverage_content_type", "") == "modelResult"
                and v.dimensions[-2:] == (self.y.name, self.x.name)]


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stdout} {result.stderr}".strip())
    return result.stdout


def same(a, b):
    """Equal to the bit, any NaN equal to any."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.all((a == b) | (np.isnan(a) & np.isnan(b))))


def halved(a):
    """Means of two by two cells that have a value."""
    rows, columns = -(-a.shape[0] // 2), -(-a.shape[1] // 2)
    padded = np.full((2 * rows, 2 * columns), np.nan)
    padded[: a.shape[0], : a.shape[1]] = a
    blocks = padded.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3).reshape(rows, columns, 4)
    count = np.sum(~np.isnan(blocks), axis=2)
    total = np.nansum(blocks, axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def judge_tif(of, path):
    import rasterio
    from rio_cogeo.cogeo import cog_validate

    valid, errors, warnings = cog_validate(str(path), strict=True)
    if not valid:
        yield f"not cloud-optimised: {errors} {warnings}"
    info = json.loads(run("gdalinfo", "-json", str(path)))
    first = info["bands"][0]["description"]
    name = next(n for n in of.names() if first.startswith(of.data[n].long_name))
    want = of.fields(name)
    with tempfile.TemporaryDirectory() as directory:
        raw = Path(directory) / "raw"
        run("gdal_translate", "-q", "-of", "ENVI", str(path), str(raw))
        got = np.fromfile(raw, dtype=want.dtype).reshape(want.shape)
    if not same(got, want):
        yield f"{int(np.sum(~((got == want) | (np.isnan(got) & np.isnan(want)))))} values are not those of the map"
    left, dx, _, top, _, dy = info["geoTransform"]
    (x, y), (rows, columns) = of.edges, want.shape[1:]
    ends = [left, left + columns * dx, top + rows * dy, top]
    if not np.allclose(ends, [min(x), max(x), min(y), max(y)], rtol=1e-12, atol=1e-9):
        yield f"reaches {ends}"
    with rasterio.open(path) as opened:
        units = {u for u in opened.units if u}
        if units - {getattr(of.data[name], "units", None)}:
            yield f"units are {units}"
        factors, crs = opened.overviews(1), opened.crs
    for band in range(want.shape[0]):
        finer = want[band].astype("f8")
        for level in range(len(factors)):
            finer = halved(finer)
            with rasterio.open(path, overview_level=level) as opened:
                got = opened.read(band + 1)
            # Stored with the bits of the map, which go on into the next.
            if got.shape != finer.shape or not np.allclose(got, finer, rtol=1e-6, equal_nan=True):
                yield f"overview {level} of band {band + 1} is not the mean of what is finer"
    if max(want.shape[1:]) > 512 and not factors:
        yield "has no overviews"
    yield from judge_crs(of, crs)


def judge_crs(of, crs):
    import pyproj

    if of.x.standard_name == "longitude":
        if crs is None or crs.to_epsg() != 4326:
            yield f"crs is {crs}"
    elif "crs" in of.data.variables:
        theirs = pyproj.CRS.from_wkt(crs.to_wkt())
        x, y = np.meshgrid(of.x[:], of.y[:])
        lon, lat = pyproj.Transformer.from_crs(theirs, theirs.geodetic_crs, always_xy=True).transform(x, y)
        apart = max(np.abs((lon - of.data["lon"][:] + 180) % 360 - 180).max(), np.abs(lat - of.data["lat"][:]).max())
        if apart > 1e-7:
            yield f"cells are {apart} degrees from where the map has them"


def judge_png(of, path):
    from PIL import Image

    image = Image.open(path)
    image.load()
    if image.mode != "P":
        yield f"mode is {image.mode}"
    if "transparency" in image.info:
        alpha = np.array(image.convert("RGBA"))[:, :, 3]
        missing = [np.isnan(field) for name in of.names() for field in of.fields(name)]
        if not any(m.shape == alpha.shape and np.array_equal(alpha == 0, m) for m in missing):
            yield "what is transparent is not what has no value"


def judge_geojson(of, path):
    from shapely.geometry import shape
    from shapely.ops import unary_union
    from shapely.validation import explain_validity

    collection = json.loads(Path(path).read_text())
    features = collection["features"]
    boxes = []
    for feature in features:
        geometry, about = shape(feature["geometry"]), feature["properties"]
        if not geometry.is_valid:
            yield f"{about}: {explain_validity(geometry)}"
        if not np.allclose(geometry.bounds, feature["bbox"]):
            yield f"{about}: bbox {feature['bbox']}"
        boxes.append(feature["bbox"])
        for polygon in getattr(geometry, "geoms", []):
            if polygon.geom_type == "Polygon":
                rings = [polygon.exterior, *polygon.interiors]
                if [r.is_ccw for r in rings] != [True] + [False] * (len(rings) - 1):
                    yield f"{about}: rings turn the wrong way"
    boxes = np.array(boxes)
    whole = [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)]
    if not np.allclose(whole, collection["bbox"]):
        yield f"bbox {collection['bbox']}, not {whole}"
    bands = [f for f in features if f["geometry"]["type"] == "MultiPolygon"]
    for time in {f["properties"]["time"] for f in bands}:
        parts = [shape(f["geometry"]) for f in bands if f["properties"]["time"] == time]
        together = unary_union(parts)
        total = sum(part.area for part in parts)
        # Rounded to 1e-7 degrees, bands overlap by slivers.
        if abs(together.area - total) > 1e-5 * total:
            yield f"bands overlap: {total} in all, {together.area} together"
        name = bands[0]["properties"]["variable"]
        if of.x.standard_name == "longitude" and len({f["properties"]["time"] for f in bands}) == 1:
            wanted = squares(of, name, time)
            if abs(wanted - total) > 1e-5 * wanted:
                yield f"bands are {total} square degrees, the squares with values {wanted}"


def squares(of, name, time):
    """Square degrees of all squares of four cells with values."""
    fields = of.fields(name)
    if time is not None:
        stamps = netCDF4.num2date(of.data["time"][:], of.data["time"].units)
        fields = fields[[f"{s:%Y-%m-%dT%H:%M:%SZ}" for s in stamps].index(time)][None]
    there = ~np.isnan(fields[0])
    full = there[1:, 1:] & there[:-1, 1:] & there[1:, :-1] & there[:-1, :-1]
    return float(full.sum() * abs(of.x[1] - of.x[0]) * abs(of.y[1] - of.y[0]))


def judge_covjson(of, path):
    from covjson_pydantic.coverage import Coverage

    coverage = Coverage.model_validate_json(Path(path).read_text())
    if coverage.domain.domainType.value != "Grid":
        return
    for name, values in coverage.ranges.items():
        want = of.fields(name)
        want = want[:, ::-1] if of.turned else want
        got = np.array([np.nan if v is None else v for v in values.values], dtype=want.dtype)
        if not same(got, np.ascontiguousarray(want).ravel()):
            yield f"{name}: values are not those of the map"
    if set(coverage.ranges) != set(of.names()):
        yield f"has {sorted(coverage.ranges)}"


JUDGES = {".tif": judge_tif, ".png": judge_png, ".geojson": judge_geojson, ".covjson": judge_covjson}


def main():
    source, *files = sys.argv[1:]
    of, objections = Map(source), 0
    for path in map(Path, files):
        try:
            found = list(JUDGES[path.suffix](of, path))
        except Exception as error:  # a judge that stumbles objects
            found = [f"{type(error).__name__}: {error}"]
        for objection in found:
            print(f"{path}: {objection}", file=sys.stderr)
        objections += len(found)
        print(f"judged: {path}")
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main())
