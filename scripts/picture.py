#!/usr/bin/env python3
"""A picture of a map: picture.py MAP.nc OUT.png [--readings CSV] [--variable NAME] [--time N]."""

import argparse
import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import netCDF4
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map")
    parser.add_argument("out")
    parser.add_argument("--readings")
    parser.add_argument("--variable", default="pm25")
    parser.add_argument("--time", type=int, default=0)
    arguments = parser.parse_args()

    with netCDF4.Dataset(arguments.map) as file:
        variable = file[arguments.variable]
        field = variable[arguments.time] if variable.ndim == 3 else variable[:]
        lon, lat = file["lon"][:], file["lat"][:]
        when = ""
        if "time" in file.variables:
            time = file["time"]
            when = f", {netCDF4.num2date(time[arguments.time], time.units)} UTC"
    low, high = np.percentile(field.compressed(), [0.5, 99.5])
    figure, axes = plt.subplots(figsize=(10, 6.4), dpi=110, layout="constrained")
    levels = np.linspace(low, high, 25)
    filled = axes.contourf(lon, lat, field, levels=levels, cmap="viridis", extend="both")
    axes.contour(lon, lat, field, levels=levels[::4], colors="white", linewidths=0.5, alpha=0.7)
    if arguments.readings:
        with open(arguments.readings, newline="") as rows:
            places = {(float(r["lon"]), float(r["lat"])) for r in csv.DictReader(rows)}
        x, y = zip(*places, strict=True)
        axes.plot(x, y, ".", color="black", markersize=1.6, label=f"{len(places)} stations")
        axes.legend(loc="lower left", frameon=True)
    axes.set(xlabel="longitude", ylabel="latitude", title=f"{arguments.variable}{when}")
    axes.set_aspect(1 / np.cos(np.radians(lat.mean())))
    figure.colorbar(filled, ax=axes, label="µg m⁻³", shrink=0.9)
    figure.savefig(arguments.out)


if __name__ == "__main__":
    main()
