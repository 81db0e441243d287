#!/usr/bin/env python3
"""Makes an example of readings, a model's field and elevation from a known truth; judges maps of it.

    python3 scripts/make_background.py FOLDER             writes readings.csv, model.nc and dem.nc there
    python3 scripts/make_background.py --judge MAP.nc     says how far a map is from the truth

    (needs numpy and netCDF4)

The truth over three hours, in µg/m³, with t in hours and h the elevation in metres:

    pm25 = 45 + 20 sin((lon + t)/1.1) cos(lat/0.9) + 15 sin(lon/0.45 + 1) sin(lat/0.5) - 0.012 h

The model has both waves at 60 % and the second one a little displaced, and nothing of elevation, in
kg/m³ on 0.25 degrees. 120 stations in 30 towns read the truth with an error of 2.
"""

import pathlib
import sys

import netCDF4
import numpy as np

HOURS = 3


def elevation(lon, lat):
    return 600 + 500 * np.sin(lon / 0.8) * np.cos(lat / 1.7) + 300 * np.cos((lon - lat) / 1.3)


def waves(lon, lat, hour):
    return 20 * np.sin((lon + hour) / 1.1) * np.cos(lat / 0.9), 15 * np.sin(lon / 0.45 + 1) * np.sin(lat / 0.5)


def truth(lon, lat, hour):
    return 45 + sum(waves(lon, lat, hour)) - 0.012 * elevation(lon, lat)


def guess(lon, lat, hour):
    return 25 + 0.6 * (waves(lon, lat, hour)[0] + waves(lon + 0.08, lat, hour)[1])


def write(path, name, units, lon, lat, values, hours=None):
    with netCDF4.Dataset(path, "w") as file:
        axes = [("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")]
        if hours is not None:
            axes.insert(0, ("time", hours, "hours since 2026-01-01 00:00:00"))
        for axis, nodes, unit in axes:
            file.createDimension(axis, len(nodes))
            variable = file.createVariable(axis, "f8", (axis,))
            variable.units, variable[:] = unit, nodes
        variable = file.createVariable(name, "f4", [axis for axis, _, _ in axes])
        variable.units, variable[:] = units, values


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    towns = np.column_stack([random.uniform(100, 110, 30), random.uniform(30, 38, 30)])
    places = np.repeat(towns, 4, axis=0) + random.normal(0, 0.12, (120, 2))
    with open(folder / "readings.csv", "w") as file:
        file.write("station,lon,lat,time,parameter,value,unit\n")
        for hour in range(HOURS):
            values = truth(places[:, 0], places[:, 1], hour) + random.normal(0, 2, 120)
            for k, ((lon, lat), value) in enumerate(zip(places, values)):
                time = f"2026-01-01T{hour:02}:00:00Z"
                file.write(f"s{k:03},{lon:.5f},{lat:.5f},{time},pm25,{max(value, 0):.1f},ug/m3\n")
    lon, lat = np.arange(99, 111.01, 0.25), np.arange(39, 28.99, -0.25)
    x, y = np.meshgrid(lon, lat)
    hours = np.arange(HOURS)
    field = np.array([guess(x, y, hour) for hour in hours]) * 1e-9
    write(folder / "model.nc", "pm25", "kg m-3", lon, lat, field, hours)
    lon, lat = np.arange(99, 111.01, 0.05), np.arange(29, 39.01, 0.05)
    write(folder / "dem.nc", "z", "m", lon, lat, elevation(*np.meshgrid(lon, lat)))


def judge(path):
    with netCDF4.Dataset(path) as file:
        x, y = np.meshgrid(file["lon"][:], file["lat"][:])
        known = np.array([truth(x, y, hour) for hour in range(HOURS)])
        errors = np.ma.filled(file["pm25"][:].astype(float), np.nan) - known
    print(f"{path}: MAE {np.nanmean(abs(errors)):.2f}, RMSE {np.sqrt(np.nanmean(errors**2)):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--judge":
        judge(sys.argv[2])
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        make(pathlib.Path(sys.argv[1]))
    else:
        sys.exit(__doc__)
