#!/usr/bin/env python3
"""Makes projections.json: places in planes, and the longitudes and latitudes that PROJ gives them.

    python3 tests/golden/make_projections.py        with pyproj 3.7.2 (PROJ 9.5)
"""

import json
from math import radians
from pathlib import Path

import pyproj

# A system, the middle of a grid in it, and half its extent.
SYSTEMS = [
    ("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105 +datum=WGS84", (0, 0), 2.5e6),
    ("+proj=lcc +lat_1=33 +lat_2=45 +lat_0=40 +lon_0=-97 +R=6370000", (1e5, -2e5), 2.4e6),
    ("+proj=lcc +lat_1=46.5 +lat_0=46.5 +lon_0=3 +x_0=700000 +y_0=6600000 +ellps=GRS80", (7e5, 6.6e6), 6e5),
    ("+proj=utm +zone=32 +datum=WGS84", (5e5, 5.6e6), 4e5),
    ("+proj=utm +zone=21 +south +datum=WGS84", (5e5, 7e6), 4e5),
    ("+proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 +a=6377563.396 +b=6356256.909",
     (4e5, 5e5), 5e5),
    ("+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80", (4.3e6, 3.2e6), 2e6),
    ("+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-10 +R=6371229", (0, -2e6), 1.9e6),
    ("+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=0 +datum=WGS84", (1e6, 1e6), 2e6),
    ("+proj=stere +lat_0=52.15 +lon_0=5.38 +k=0.9999 +x_0=155000 +y_0=463000 +ellps=bessel", (1.5e5, 4.6e5), 3e5),
    ("+proj=merc +lon_0=110 +lat_ts=20 +datum=WGS84", (0, 2e6), 3e6),
    ("+proj=merc +a=6378137 +b=6378137", (1e6, 6e6), 2e6),
    ("+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84", (0, 4e6), 2.5e6),
    ("+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18", (0, 0), 25),
    ("+proj=ob_tran +o_proj=longlat +o_lat_p=43 +o_lon_p=10 +lon_0=-170 +R=6371229", (5, 5), 40),
]


def main():
    references = []
    for text, (x0, y0), half in SYSTEMS:
        system = pyproj.Proj(text)
        places = []
        for i in range(-3, 4):
            for j in range(-3, 4):
                x, y = x0 + half * i / 3, y0 + half * j / 3
                # PROJ itself counts a turned sphere in radians.
                plane = (radians(x), radians(y)) if "ob_tran" in text else (x, y)
                lon, lat = system(*plane, inverse=True, errcheck=True)
                places.append([x, y, lon, lat])
        references.append({"crs": text, "places": places})
    out = Path(__file__).parent / "projections.json"
    out.write_text("[\n" + ",\n".join(json.dumps(r) for r in references) + "\n]\n")


if __name__ == "__main__":
    main()
