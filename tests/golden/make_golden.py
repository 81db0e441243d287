"""Makes reference.json: what SciPy (and, for kernels that SciPy lacks, NumPy) computes.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_golden.py

Every kernel x degree of the drift x smoothing x 1-D and 2-D in the convention of
`RBFInterpolator`, and the seven functions of `Rbf` x epsilon x smooth x 1-D and 2-D. Numbers are
written so that they read back to the same bits. The seed is fixed; another version of NumPy or
SciPy may change last digits, which is why both are pinned.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
from scipy.interpolate import Rbf, RBFInterpolator

DEGREES = [-1, 0, 1, 2]
# Multiplies distances, in about 1/spacing of the stations; scale-free kernels ignore it.
EPSILON = {
    "linear": None,
    "thin_plate_spline": None,
    "cubic": None,
    "quintic": None,
    "multiquadric": 0.8,
    "inverse_multiquadric": 0.8,
    "inverse_quadratic": 0.8,
    "gaussian": 0.9,
    "exponential": 0.3,
    "matern32": 0.5,
    "matern52": 0.6,
    "wendland_c2": 0.15,
    "wendland_c4": 0.15,
}


def wendland_c2(r):
    return np.maximum(1 - r, 0) ** 4 * (4 * r + 1)


def wendland_c4(r):
    return np.maximum(1 - r, 0) ** 6 * (35 * r**2 + 18 * r + 3) / 3


# Not in SciPy: the same system, written out, in extended precision where the machine has it.
OTHERS = {
    "exponential": lambda r: np.exp(-r),
    "matern32": lambda r: (1 + np.sqrt(np.longdouble(3)) * r) * np.exp(-np.sqrt(np.longdouble(3)) * r),
    "matern52": lambda r: (1 + np.sqrt(np.longdouble(5)) * r + 5 * r**2 / 3)
    * np.exp(-np.sqrt(np.longdouble(5)) * r),
    "wendland_c2": wendland_c2,
    "wendland_c4": wendland_c4,
}
SCIPYS = {
    "linear": lambda r: -r,
    "thin_plate_spline": lambda r: np.where(r == 0, 0, r**2 * np.log(np.where(r == 0, 1, r))),
    "cubic": lambda r: r**3,
    "quintic": lambda r: -(r**5),
    "multiquadric": lambda r: -np.sqrt(r**2 + 1),
    "inverse_multiquadric": lambda r: 1 / np.sqrt(r**2 + 1),
    "inverse_quadratic": lambda r: 1 / (r**2 + 1),
    "gaussian": lambda r: np.exp(-(r**2)),
}


def distances(a, b):
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))


def drift(places, stations, degree):
    """Monomials in coordinates shifted and scaled to -1..1 on the stations."""
    low, high = stations.min(axis=0), stations.max(axis=0)
    unit = (places - (low + high) / 2) / ((high - low) / 2)
    columns = [np.ones(len(places), dtype=unit.dtype)] if degree >= 0 else []
    dims = unit.shape[1]
    if degree >= 1:
        columns += [unit[:, k] for k in range(dims)]
    if degree >= 2:
        columns += [unit[:, j] * unit[:, k] for j in range(dims) for k in range(j, dims)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(places), 0), unit.dtype)


def saddle(stations, phi, epsilon, smoothing, degree):
    a = phi(epsilon * distances(stations, stations)) + np.diag(smoothing)
    p = drift(stations, stations, degree)
    q = p.shape[1]
    return np.block([[a, p], [p.T, np.zeros((q, q))]])


def solve_extended(matrix, rhs):
    """Gauss with partial pivoting in the type of the matrix (LAPACK knows no extended one)."""
    m, x = matrix.copy(), rhs.astype(matrix.dtype)
    n = len(m)
    for k in range(n):
        pivot = k + np.argmax(np.abs(m[k:, k]))
        m[[k, pivot]], x[[k, pivot]] = m[[pivot, k]], x[[pivot, k]]
        factors = m[k + 1 :, k] / m[k, k]
        m[k + 1 :] -= factors[:, None] * m[k]
        x[k + 1 :] -= factors[:, None] * x[k]
    for k in reversed(range(n)):
        x[k] = (x[k] - m[k, k + 1 :] @ x[k + 1 :]) / m[k, k]
    return x


def by_hand(stations, values, targets, phi, epsilon, smoothing, degree):
    y, t = stations.astype(np.longdouble), targets.astype(np.longdouble)
    matrix = saddle(y, phi, np.longdouble(epsilon), smoothing.astype(np.longdouble), degree)
    q = len(matrix) - len(y)
    rhs = np.concatenate([values.astype(np.longdouble), np.zeros((q, values.shape[1]))])
    unknowns = solve_extended(matrix, rhs)
    row = np.concatenate([phi(np.longdouble(epsilon) * distances(t, y)), drift(t, y, degree)], axis=1)
    return (row @ unknowns).astype(float)


def network(rng, dims):
    """Stations off the origin with unequal axes, two fields, targets inside and a little outside."""
    n = 13 if dims == 1 else 25
    low = np.array([100.0, 28.0])[:dims]
    size = np.array([12.0, 7.0])[:dims]
    while True:
        stations = (low + size * rng.random((n, dims))).round(4)
        gaps = distances(stations, stations) + 1e9 * np.eye(n)
        if gaps.min() > 0.25:
            break
    targets = (low + size * (1.1 * rng.random((20, dims)) - 0.05)).round(4)
    x = (stations - low) / size
    first = 40 + 30 * np.sin(4 * x[:, 0]) + 10 * x[:, -1] ** 2
    second = rng.normal(5, 2, n)
    return {
        "stations": stations,
        "targets": targets,
        "values": np.stack([first, second], axis=1).round(6),
        "per_station": (0.05 + 0.2 * rng.random(n)).round(4),
    }


def native_cases(net, dims):
    n = len(net["stations"])
    for kernel, epsilon in EPSILON.items():
        for degree in DEGREES:
            for name, smoothing in [
                ("none", np.zeros(n)),
                ("same", np.full(n, 0.1)),
                ("per_station", net["per_station"]),
            ]:
                shape = 1.0 if epsilon is None else epsilon
                if kernel in OTHERS:
                    phi = OTHERS[kernel]
                    result = by_hand(
                        net["stations"], net["values"], net["targets"], phi, shape, smoothing, degree
                    )
                else:
                    phi = SCIPYS[kernel]
                    interpolator = RBFInterpolator(
                        net["stations"],
                        net["values"],
                        kernel=kernel,
                        epsilon=epsilon,
                        degree=degree,
                        smoothing=smoothing,
                    )
                    result = interpolator(net["targets"])
                matrix = saddle(net["stations"], phi, shape, smoothing, degree).astype(float)
                yield {
                    "dims": dims,
                    "convention": "native",
                    "kernel": kernel,
                    "epsilon": epsilon,
                    "degree": degree,
                    "smoothing": name,
                    "condition": np.linalg.cond(matrix),
                    "result": result,
                }


def rbf_cases(net, dims):
    names = ["multiquadric", "inverse", "gaussian", "linear", "cubic", "quintic", "thin_plate"]
    axes = list(net["stations"].T)
    for function in names:
        for epsilon in [None, 1.3]:
            for smooth in [0.0, 0.07]:
                shape = {} if epsilon is None else {"epsilon": epsilon}
                results = []
                for column in net["values"].T:
                    rbf = Rbf(*axes, column, function=function, smooth=smooth, **shape)
                    results.append(rbf(*net["targets"].T))
                yield {
                    "dims": dims,
                    "convention": "scipy-rbf",
                    "kernel": function,
                    "epsilon": epsilon,
                    "degree": None,
                    "smoothing": smooth,
                    "condition": np.linalg.cond(rbf.A),
                    "result": np.stack(results, axis=1),
                }


def plain(value):
    """Arrays as lists; columns of two-dimensional ones as lists, for fields and axes."""
    if isinstance(value, np.ndarray):
        return value.T.tolist()
    return float(value) if isinstance(value, np.floating) else value


def main():
    # A degree below the least is on purpose.
    warnings.filterwarnings("ignore", message="`degree` should not be below")
    rng = np.random.default_rng(20170707)
    networks, cases = [], []
    for dims in [1, 2]:
        net = network(rng, dims)
        networks.append({"dims": dims} | {k: plain(v) for k, v in net.items()})
        for case in [*native_cases(net, dims), *rbf_cases(net, dims)]:
            cases.append({k: plain(v) for k, v in case.items()})
    made_with = f"SciPy {scipy.__version__}, NumPy {np.__version__}"
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    head = json.dumps({"made_with": made_with, "networks": networks}, separators=(",", ":"))
    text = head[:-1] + ',"cases":[\n' + lines + "\n]}\n"
    pathlib.Path(__file__).with_name("reference.json").write_text(text)
    print(f"{len(cases)} cases, {len(text)} bytes, {made_with}")


if __name__ == "__main__":
    main()
