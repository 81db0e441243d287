"""Makes anisotropy.json: surfaces of SciPy's RBFInterpolator through coordinates that were stretched before.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_anisotropy.py

Shortened along a direction and lengthened across it, in a plane and in space; the seed is fixed.
"""

import json
import pathlib

import numpy as np
import scipy
from scipy.interpolate import RBFInterpolator

RADIUS = 6371.0088


def stretch(ratio, angle):
    """1/sqrt(ratio) along the direction, sqrt(ratio) across it."""
    a = np.radians(angle)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return turn.T @ np.diag([ratio**-0.5, ratio**0.5]) @ turn


def in_space(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    return RADIUS * np.column_stack(
        [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    )


def at_middle(stations, flat):
    """The map in space: along east and north at the mean of the stations."""
    up = stations.mean(axis=0)
    up /= np.linalg.norm(up)
    east = np.cross([0.0, 0.0, 1.0], up)
    east /= np.linalg.norm(east)
    frame = np.array([east, np.cross(up, east), up])
    whole = np.eye(3)
    whole[:2, :2] = flat
    return frame.T @ whole @ frame


def main():
    random = np.random.default_rng(2026)
    plane = random.uniform(0, 10, (60, 2)), random.uniform(-1, 11, (40, 2))
    globe = [
        np.column_stack([random.uniform(100, 112, n), random.uniform(28, 41, n)]) for n in (60, 40)
    ]
    values = random.normal(30, 8, 60)
    cases = []
    for metric, (stations, targets) in (("planar", plane), ("chordal", globe)):
        size = 1.0 if metric == "planar" else 100.0
        for kernel, degree, epsilon, smoothing in (
            ("linear", 0, 1.0, 0.0),
            ("linear", 1, 1.0, 0.3),
            ("multiquadric", 0, 0.7, 0.0),
            ("gaussian", 0, 0.8, 0.05),
            ("cubic", 1, 1.0, 0.0),
        ):
            # A drift of higher degree has other terms on the sphere.
            if metric == "chordal" and degree > 0:
                continue
            for ratio, angle in ((1.0, 0.0), (2.0, 30.0), (3.0, 90.0), (1.5, 150.0)):
                flat = stretch(ratio, angle)
                if metric == "planar":
                    mapped = stations @ flat.T, targets @ flat.T
                else:
                    space = in_space(*stations.T)
                    whole = at_middle(space, flat)
                    mapped = space @ whole.T, in_space(*targets.T) @ whole.T
                surface = RBFInterpolator(
                    mapped[0], values, kernel=kernel, degree=degree, epsilon=epsilon / size,
                    smoothing=smoothing,
                )
                cases.append({
                    "metric": metric, "kernel": kernel, "degree": degree,
                    "epsilon": epsilon / size, "smoothing": smoothing, "ratio": ratio,
                    "angle": angle, "expected": surface(mapped[1]).tolist(),
                })
    document = {
        "made_with": f"SciPy {scipy.__version__}",
        "stations": {"planar": plane[0].T.tolist(), "chordal": globe[0].T.tolist()},
        "targets": {"planar": plane[1].T.tolist(), "chordal": globe[1].T.tolist()},
        "values": values.tolist(),
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_name("anisotropy.json")
    path.write_text(json.dumps(document) + "\n")


main()
