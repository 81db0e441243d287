#!/usr/bin/env python3
"""Makes api/src/account/canary.json: a small map and its values, solved here in more digits than a double has.

Thin plate spline r^2 log r with a plane (Duchon 1977), interpolating: A w + P c = v, P' w = 0. Plain Gaussian elimination
with pivots in 60 decimal digits, so that every digit of the values is right.
"""
import json
import math
from decimal import Decimal as D, getcontext
from pathlib import Path

getcontext().prec = 60
NAMES = range(14)
stations = [(round((k * 0.618034) % 1 * 5, 3), round((k * 0.414214 + 0.1) % 1 * 4, 3)) for k in NAMES]
values = [round(20 + 7 * math.sin(1.3 * x) * math.cos(0.9 * y) + 1.5 * x - 0.8 * y, 2) for x, y in stations]
shape, bounds = (6, 5), (0, 0, 5, 4)


def phi(a, b):
    squared = sum((D(str(p)) - D(str(q))) ** 2 for p, q in zip(a, b))
    return squared * squared.ln() / 2 if squared else D(0)


def solve(matrix, right):
    n = len(right)
    rows = [row + [value] for row, value in zip(matrix, right)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k])]
    out = [D(0)] * n
    for k in reversed(range(n)):
        out[k] = (rows[k][n] - sum(rows[k][j] * out[j] for j in range(k + 1, n))) / rows[k][k]
    return out


plane = [[D(1), D(str(x)), D(str(y))] for x, y in stations]
matrix = [[phi(a, b) for b in stations] + plane[i] for i, a in enumerate(stations)]
matrix += [[row[k] for row in plane] + [D(0)] * 3 for k in range(3)]
weights = solve(matrix, [D(str(v)) for v in values] + [D(0)] * 3)


def at(place):
    terms = [phi(place, s) for s in stations] + [D(1), D(place[0]), D(place[1])]
    return float(sum(w * t for w, t in zip(weights, terms)))


document = {
    "request": {
        "stations": [{"id": f"s{k}", "lon": x, "lat": y} for k, (x, y) in zip(NAMES, stations)],
        "values": {"canary": [values]},
        "grid": {"bounds": list(bounds), "shape": list(shape)},
        "method": {
            "kernel": "thin_plate_spline",
            "degree": 1,
            "smoothing": 0,
            "metric": "planar",
            "tolerance": "exact",
        },
        "precision": "f64",
        "digits": "exact",
    },
    # From the south, row by row.
    "expected": [[at((x, y)) for x in range(shape[0])] for y in range(shape[1])],
}
path = Path(__file__).resolve().parents[2] / "api/src/account/canary.json"
path.write_text(json.dumps(document, indent=1) + "\n")
