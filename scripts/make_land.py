#!/usr/bin/env python3
"""Makes engine/data/land-50m.bin, the land of the Earth, from the npm package world-atlas.

    npm pack world-atlas@2.0.2
    python3 scripts/make_land.py world-atlas-2.0.2.tgz            writes the file and its licence
    python3 scripts/make_land.py --check world-atlas-2.0.2.tgz    fails unless that is what is there

The package carries Natural Earth's 1:50m land (public domain) as TopoJSON: quantised arcs. They are put
together to rings and written in the same integers, so that nothing is lost. Rings across the date line
reach beyond +-180 degrees, and Antarctica is closed over the pole:

    8 bytes   "ISOLAND1"
    4 × f64   degrees of a step in longitude and latitude, longitude and latitude of step 0
    varints   number of polygons; of each: number of rings (the first is its outside); of each ring: number
              of points (the first is not repeated), then steps from point to point (zigzag), beginning at 0, 0

A varint has 7 bits in a byte, the lowest first; the eighth says that more follow.
"""

import hashlib
import json
import struct
import sys
import tarfile
from pathlib import Path

PACKAGE_SHA256 = "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97"
TURN = 99_999  # steps in 360 degrees
DATA = Path(__file__).parent.parent / "engine" / "data"

LICENCE = """\
land-50m.bin is made by scripts/make_land.py from land-50m.json of the npm package world-atlas 2.0.2.

The data are Natural Earth's 1:50m land, version 4.1.0, https://www.naturalearthdata.com, which is in the
public domain: "All versions of Natural Earth raster + vector map data found on this website are in the
public domain. You may use the maps in any manner, including modifying the content and design, electronic
dissemination, and offset printing."

The licence of the package (ISC):

"""


def varint(number):
    """Bytes of a number from 0 on."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    """Small numbers of either sign become small numbers from 0 on."""
    return varint(2 * number if number >= 0 else -2 * number - 1)


def absolute(arc):
    """The points of an arc, whose file has the first and the steps from there."""
    x = y = 0
    points = []
    for dx, dy in arc:
        x, y = x + dx, y + dy
        points.append((x, y))
    return points


def ring(numbers, arcs):
    """The points of a ring of arcs; ~k is arc k backwards, and arcs share their ends."""
    points = []
    for k in numbers:
        arc = arcs[k] if k >= 0 else arcs[~k][::-1]
        points.extend(arc[1:] if points else arc)
    if points[0] != points[-1] or len(points) < 4:
        sys.exit(f"a ring of {len(points)} points is not closed")
    return points[:-1]


def unwrapped(points):
    """A ring whose longitudes do not jump; none if it is a seam at the pole."""
    if all(y == 0 for _, y in points):
        return None
    out, shift = [points[0]], 0
    for (before, _), (x, y) in zip(points, points[1:] + points[:1]):
        if abs(x - before) > TURN // 2:
            shift += TURN if x < before else -TURN
        out.append((x + shift, y))
    if shift == 0:
        return out[:-1]
    # Round the South Pole, just below which step -1 is.
    return out + [(out[-1][0], -1), (out[0][0], -1)]


def aligned(rings):
    """Holes in the same turn as their outside."""
    outside, *holes = rings
    west = min(x for x, _ in outside)
    turned = [outside]
    for hole in holes:
        shift = -((min(x for x, _ in hole) - west) // TURN) * TURN
        turned.append([(x + shift, y) for x, y in hole])
    return turned


def encode(topology):
    arcs = [absolute(arc) for arc in topology["arcs"]]
    geometries = topology["objects"]["land"]["geometries"]
    polygons = [polygon for geometry in geometries for polygon in geometry["arcs"]]
    polygons = [[unwrapped(ring(numbers, arcs)) for numbers in polygon] for polygon in polygons]
    polygons = [aligned([points for points in polygon if points]) for polygon in polygons]
    transform = topology["transform"]
    if abs(TURN * transform["scale"][0] - 360) > 1e-9:
        sys.exit(f"360 degrees are not {TURN} steps of {transform['scale'][0]}")
    out = bytearray(b"ISOLAND1")
    out += struct.pack("<4d", *transform["scale"], *transform["translate"])
    out += varint(len(polygons))
    for polygon in polygons:
        out += varint(len(polygon))
        for points in polygon:
            out += varint(len(points))
            x = y = 0
            for px, py in points:
                out += zigzag(px - x) + zigzag(py - y)
                x, y = px, py
    return bytes(out)


def main():
    check, package = "--check" in sys.argv, Path(sys.argv[-1])
    if len(sys.argv) < 2 or not package.is_file():
        sys.exit(__doc__)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    if digest != PACKAGE_SHA256:
        sys.exit(f"{package} has SHA-256 {digest}, not that of world-atlas 2.0.2")
    with tarfile.open(package) as tar:
        topology = json.load(tar.extractfile("package/land-50m.json"))
        licence = LICENCE + tar.extractfile("package/LICENSE").read().decode()
    made = {"land-50m.bin": encode(topology), "land-50m.LICENCE": licence.encode()}
    for name, content in made.items():
        if not check:
            DATA.mkdir(exist_ok=True)
            (DATA / name).write_bytes(content)
        elif (DATA / name).read_bytes() != content:
            sys.exit(f"{name} is not what this script makes of {package}")


if __name__ == "__main__":
    main()
