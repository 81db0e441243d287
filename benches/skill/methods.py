"""The other methods: each takes places (lon, lat) with values, and gives values at other places."""

import functools

import numpy as np

RADIUS = 6371.0088
POWERS = (1, 2, 3, 4)
VARIOGRAMS = ("linear", "power", "gaussian", "spherical", "exponential", "hole-effect")
RANGES = (100, 500)  # km: 1/ε of the kernels that have one
KERNELS = [(k, 1.0) for k in ("linear", "thin_plate_spline", "cubic", "quintic")] + [
    (k, 1 / r)
    for k in ("multiquadric", "inverse_multiquadric", "inverse_quadratic", "gaussian")
    for r in RANGES
]
SMOOTHINGS = np.logspace(-8, 1, 19)  # times the mean of |φ| between stations


def label(kernel, epsilon):
    return kernel if epsilon == 1.0 else f"{kernel} {round(1 / epsilon)} km"


def chordal(a, b):
    def ball(p):
        lon, lat = np.radians(p).T
        return RADIUS * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])

    return np.linalg.norm(ball(a)[:, None] - ball(b)[None], axis=2)


def plane(places, centre):
    """Lambert's azimuthal equal-area projection of the sphere, km."""
    lon, lat = np.radians(places).T
    lon0, lat0 = np.radians(centre)
    cosine = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon - lon0)
    scale = RADIUS * np.sqrt(2 / (1 + cosine))
    north = np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon - lon0)
    return np.column_stack([scale * np.cos(lat) * np.sin(lon - lon0), scale * north])


def mean(places, values, at):
    return np.full(len(at), values.mean())


def nearest(places, values, at):
    return values[chordal(at, places).argmin(axis=1)]


def idw(places, values, at, power):
    weights = np.maximum(chordal(at, places), 1e-6) ** -float(power)
    return weights @ values / weights.sum(axis=1)


def kriging(places, values, at, variogram):
    from pykrige.ok import OrdinaryKriging

    krige = OrdinaryKriging(
        *places.T, values, variogram_model=variogram, coordinates_type="geographic", verbose=False
    )
    return np.asarray(krige.execute("points", *at.T)[0])


def natural_neighbour(places, values, at):
    """Outside the hull, where it is not defined, the nearest station."""
    from metpy.interpolate import natural_neighbor_to_points

    centre = places.mean(axis=0)
    found = natural_neighbor_to_points(plane(places, centre), values, plane(at, centre))
    return np.where(np.isfinite(found), found, nearest(places, values, at))


def spline(places, values, at, kernel, epsilon, smoothing):
    from scipy.interpolate import RBFInterpolator

    centre = places.mean(axis=0)
    return RBFInterpolator(
        plane(places, centre), values, kernel=kernel, epsilon=epsilon, smoothing=smoothing
    )(plane(at, centre))


def phi(kernel, r):
    return {
        "linear": lambda: -r,
        "thin_plate_spline": lambda: np.where(r > 0, r * r * np.log(np.where(r > 0, r, 1)), 0),
        "cubic": lambda: r**3,
        "quintic": lambda: -(r**5),
        "multiquadric": lambda: -np.sqrt(1 + r * r),
        "inverse_multiquadric": lambda: 1 / np.sqrt(1 + r * r),
        "inverse_quadratic": lambda: 1 / (1 + r * r),
        "gaussian": lambda: np.exp(-r * r),
    }[kernel]()


def best_smoothings(places, fields, kernel, epsilon):
    """For each column of `fields` the λ of least mean absolute leave-one-out error, by Rippa's rule, from
    one eigendecomposition of the projected matrix."""
    where = plane(places, places.mean(axis=0))
    matrix = phi(kernel, epsilon * np.linalg.norm(where[:, None] - where[None], axis=2))
    x, y = ((where - where.mean(axis=0)) / np.ptp(where, axis=0).max()).T
    degree = {"thin_plate_spline": 1, "cubic": 1, "quintic": 2}.get(kernel, 0)
    drift = np.column_stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)])
    rest = np.linalg.qr(drift, mode="complete")[0][:, drift.shape[1] :]
    values, vectors = np.linalg.eigh(rest.T @ matrix @ rest)
    vectors = rest @ vectors
    carried = vectors.T @ fields
    scale = np.abs(matrix).mean()
    best = np.full(fields.shape[1], np.inf), np.zeros(fields.shape[1])
    for smoothing in scale * SMOOTHINGS:
        inverse = 1 / np.maximum(values + smoothing, smoothing / 2)
        errors = (vectors @ (inverse[:, None] * carried)) / ((vectors**2) @ inverse)[:, None]
        score = np.abs(errors).mean(axis=0)
        best = np.minimum(best[0], score), np.where(score < best[0], smoothing, best[1])
    return best[1]


def simple():
    """Names and functions of the methods that need no choice."""
    found = {"mean": mean, "nearest": nearest, "natural neighbour": natural_neighbour}
    found |= {f"idw p={p}": functools.partial(idw, power=p) for p in POWERS}
    found |= {f"kriging {v}": functools.partial(kriging, variogram=v) for v in VARIOGRAMS}
    for kernel, epsilon in KERNELS:
        name = f"spline {label(kernel, epsilon)} λ=0"
        found[name] = functools.partial(spline, kernel=kernel, epsilon=epsilon, smoothing=0.0)
    return found
