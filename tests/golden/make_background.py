"""Makes background.json: bilinear values by SciPy, and surfaces with covariates solved densely by NumPy.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_background.py

Bilinear: a field on uneven axes, at places within, on nodes and on edges, by RegularGridInterpolator.

Covariates: the whole saddle matrix of kernel, polynomials and covariates, solved as it stands; each
station left out by solving without it. One field has gaps.
"""

import json
import pathlib

import numpy as np
from scipy.interpolate import RegularGridInterpolator


def bilinear(random):
    lon = np.cumsum(random.uniform(0.3, 2.0, 14)) + 100
    lat = np.cumsum(random.uniform(0.3, 1.5, 11)) + 20
    values = random.normal(size=(lat.size, lon.size)) * 20 + 50
    x = np.concatenate([random.uniform(lon[0], lon[-1], 60), lon, random.uniform(lon[0], lon[-1], 11)])
    y = np.concatenate([random.uniform(lat[0], lat[-1], 60), np.full(14, lat[3]), lat])
    interpolator = RegularGridInterpolator((lat, lon), values, method="linear")
    expected = interpolator(np.column_stack([y, x]))
    return {
        "lon": lon.tolist(),
        "lat": lat.tolist(),
        "values": values.tolist(),
        "x": x.tolist(),
        "y": y.tolist(),
        "expected": expected.tolist(),
    }


KERNELS = {
    "linear": lambda r: -r,
    "exponential": lambda r: np.exp(-r),
    "matern32": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
    "thin_plate_spline": lambda r: np.where(r > 0, r**2 * np.log(np.where(r > 0, r, 1)), 0),
}


def surface(kernel, epsilon, smoothing, degree, stations, covariates, readings):
    """Weights of stations and of the drift's columns, and the function that gives those columns."""

    def drift(places, of_places):
        columns = [np.ones(len(places))]
        if degree == 1:
            columns += [places[:, 0], places[:, 1]]
        return np.column_stack(columns + list(of_places))

    def phi(a, b):
        distance = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
        return KERNELS[kernel](epsilon * distance)

    p = drift(stations, covariates)
    n, q = p.shape
    matrix = np.zeros((n + q, n + q))
    matrix[:n, :n] = phi(stations, stations) + smoothing * np.eye(n)
    matrix[:n, n:], matrix[n:, :n] = p, p.T
    solved = np.linalg.solve(matrix, np.concatenate([readings, np.zeros(q)]))
    return lambda at, of: phi(at, stations) @ solved[:n] + drift(at, of) @ solved[n:]


def covariates(random):
    n, m = 26, 12
    stations, cells = random.uniform(0, 10, (n, 2)), random.uniform(0, 10, (m, 2))
    # A height in metres, far from zero, and a share.
    height = lambda p: 400 + 90 * np.sin(p[:, 0]) + 60 * np.cos(1.3 * p[:, 1])
    share = lambda p: 0.5 + 0.4 * np.sin(0.7 * p[:, 0] * p[:, 1] / 5)
    of_stations = np.array([height(stations), share(stations)])
    of_cells = np.array([height(cells), share(cells)])
    fields = random.normal(size=(2, n)) + 30 - 0.03 * of_stations[0] + 5 * of_stations[1]
    fields[1, [2, 7, 19]] = np.nan
    cases = []
    for kernel, epsilon, smoothing, degree in [
        ("linear", 1.0, 0.0, 0),
        ("linear", 1.0, 0.4, 1),
        ("exponential", 0.4, 0.05, 0),
        ("matern32", 0.7, 0.1, 1),
        ("thin_plate_spline", 1.0, 0.0, 1),
    ]:
        case = {"kernel": kernel, "epsilon": epsilon, "smoothing": smoothing, "degree": degree}
        case["cells"], case["left_out"] = [], []
        for readings in fields:
            known = np.flatnonzero(~np.isnan(readings))

            def fit(some):
                return surface(kernel, epsilon, smoothing, degree, stations[some], of_stations[:, some], readings[some])

            case["cells"].append(fit(known)(cells, of_cells).tolist())
            residuals = [None] * n
            for i in known:
                others = known[known != i]
                there = fit(others)(stations[[i]], of_stations[:, [i]])[0]
                residuals[i] = float(readings[i] - there)
            case["left_out"].append(residuals)
        cases.append(case)
    plain = lambda field: [None if np.isnan(v) else float(v) for v in field]
    return {
        "stations": stations.tolist(),
        "cells": cells.tolist(),
        "of_stations": of_stations.tolist(),
        "of_cells": of_cells.tolist(),
        "fields": [plain(field) for field in fields],
        "cases": cases,
    }


def main():
    random = np.random.default_rng(20261121)
    document = {"bilinear": bilinear(random), "covariates": covariates(random)}
    path = pathlib.Path(__file__).with_name("background.json")
    path.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
