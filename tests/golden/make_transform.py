"""Makes transform.json: Box and Cox's family, forward and back, and its likeliest λ, by SciPy.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_transform.py
"""

import json
import pathlib

import numpy as np
import scipy
from scipy.special import boxcox, inv_boxcox
from scipy.stats import boxcox_normmax

READINGS = [1e-3, 0.2, 1.0, 7.5, 42.0, 350.0, 9000.0]


def main():
    families = [
        {
            "lambda": power,
            "readings": READINGS,
            "forward": boxcox(READINGS, power).tolist(),
            "back": inv_boxcox(boxcox(READINGS, power), power).tolist(),
        }
        for power in [0.0, 0.05, 0.3, 0.5, 1.0]
    ]
    rng = np.random.default_rng(1964)
    samples = []
    for readings in [rng.lognormal(3.0, 0.7, 400), rng.gamma(2.5, 14.0, 400), rng.normal(6.0, 1.0, 400) ** 2]:
        readings = np.round(readings, 3) + 1.0
        samples.append({"readings": readings.tolist(), "lambda": float(boxcox_normmax(readings, method="mle"))})
    made = {"scipy": scipy.__version__, "families": families, "samples": samples}
    path = pathlib.Path(__file__).with_name("transform.json")
    path.write_text(json.dumps(made, indent=1) + "\n")
    print([s["lambda"] for s in samples])


if __name__ == "__main__":
    main()
