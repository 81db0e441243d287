"""Makes variance.json: kriging and Gaussian process variances by scikit-learn and PyKrige.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_variance.py

scikit-learn's `GaussianProcessRegressor` without a drift, with noise on the diagonal; PyKrige's
`OrdinaryKriging` (a constant) and `UniversalKriging` (a plane). Their kernels in our terms are kept
with each case. The seed is fixed.
"""

import json
import pathlib

import numpy as np
import pykrige
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, Matern

LENGTH = 3.0  # of the unit of the coordinates


def gaussian_processes(stations, values, targets):
    kernels = {
        "exponential": (Matern(LENGTH, nu=0.5), 1 / LENGTH),
        "matern32": (Matern(LENGTH, nu=1.5), 1 / LENGTH),
        "matern52": (Matern(LENGTH, nu=2.5), 1 / LENGTH),
        # exp(-r²/2l²)
        "gaussian": (RBF(LENGTH / 3), 3 / (np.sqrt(2) * LENGTH)),
    }
    for name, (kernel, epsilon) in kernels.items():
        for smoothing in [0.0, 0.05]:
            process = GaussianProcessRegressor(kernel, alpha=smoothing + 1e-300, optimizer=None)
            _, deviation = process.fit(stations, values).predict(targets, return_std=True)
            yield {"by": "GaussianProcessRegressor", "kernel": name, "epsilon": epsilon, "degree": -1,
                   "smoothing": smoothing, "variance": (deviation**2).tolist()}


def krigings(stations, values, targets):
    (x, y), (tx, ty) = stations.T, targets.T
    ordinary = pykrige.OrdinaryKriging
    linear = {"variogram_model": "linear", "variogram_parameters": {"slope": 1.0, "nugget": 0.0}}
    # PyKrige's range is where 95 % is reached: 1 - exp(-3h/range).
    shape = {"sill": 1.0, "range": 3 * LENGTH, "nugget": 0.0}
    exponential = {"variogram_model": "exponential", "variogram_parameters": shape}
    plane = {"drift_terms": ["regional_linear"]}
    for by, model, drift, kernel, epsilon, degree in [
        (ordinary, linear, {}, "linear", 1.0, 0),
        (ordinary, exponential, {}, "exponential", 1 / LENGTH, 0),
        (pykrige.UniversalKriging, linear, plane, "linear", 1.0, 1),
        (pykrige.UniversalKriging, exponential, plane, "exponential", 1 / LENGTH, 1),
    ]:
        kriging = by(x, y, values, **model, **drift)
        _, variance = kriging.execute("points", tx, ty)
        yield {"by": by.__name__, "kernel": kernel, "epsilon": epsilon, "degree": degree,
               "smoothing": 0.0, "variance": np.asarray(variance).tolist()}


def main():
    rng = np.random.default_rng(20050101)
    stations = (np.array([100.0, 28.0]) + np.array([12.0, 7.0]) * rng.random((30, 2))).round(3)
    targets = (np.array([99.0, 27.0]) + np.array([14.0, 9.0]) * rng.random((25, 2))).round(3)
    values = rng.normal(size=30)
    cases = [*gaussian_processes(stations, values, targets), *krigings(stations, values, targets)]
    made_with = f"scikit-learn {sklearn.__version__}, PyKrige {pykrige.__version__}, NumPy {np.__version__}"
    head = {"made_with": made_with, "stations": stations.T.tolist(), "targets": targets.T.tolist()}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    text = json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n"
    pathlib.Path(__file__).with_name("variance.json").write_text(text)
    print(f"{len(cases)} cases, {len(text)} bytes, {made_with}")


if __name__ == "__main__":
    main()
