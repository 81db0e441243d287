"""Makes correlation.json: what pandas and NumPy say of the correlation of pairs of stations.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_correlation.py

Fourteen stations with gaps, far from zero; among them one that always reads the same, one with few
readings, one that repeats another and one that mirrors it. Distances are great circles by the
haversine formula.
"""

import json
import pathlib

import numpy as np
import pandas as pd

STATIONS, TIMES = 14, 200
RADIUS_KM = 6371.0088


def main():
    random = np.random.default_rng(20261121)
    common = np.cumsum(random.normal(size=TIMES))
    share = random.uniform(0, 1, STATIONS)
    values = 1e4 + share * common[:, None] + random.normal(size=(TIMES, STATIONS))
    values[:, 3] = 42.5
    values[:, 6] = values[:, 5]
    values[:, 7] = 3 - 2 * values[:, 5]
    values[random.uniform(size=values.shape) < 0.15] = np.nan
    values[7:, 9] = np.nan
    lon, lat = random.uniform(100, 110, STATIONS), random.uniform(30, 38, STATIONS)

    frame = pd.DataFrame(values)
    correlation = frame.corr(min_periods=2).to_numpy()
    present = frame.notna().to_numpy().astype(int)
    count = present.T @ present
    x, y = np.radians(lon), np.radians(lat)
    half = (
        np.sin((y[:, None] - y) / 2) ** 2
        + np.cos(y[:, None]) * np.cos(y) * np.sin((x[:, None] - x) / 2) ** 2
    )
    distance = 2 * RADIUS_KM * np.arcsin(np.sqrt(half))

    def plain(number):
        return None if np.isnan(number) else float(number)

    pairs = [
        {
            "pair": [i, j],
            "readings": int(count[i, j]),
            "distance_km": float(distance[i, j]),
            "correlation": plain(correlation[i, j]),
        }
        for i in range(STATIONS)
        for j in range(i + 1, STATIONS)
    ]
    reference = {
        "made_with": {"numpy": np.__version__, "pandas": pd.__version__},
        "lon": lon.tolist(),
        "lat": lat.tolist(),
        "values": [[plain(v) for v in row] for row in values],
        "pairs": pairs,
    }
    path = pathlib.Path(__file__).with_name("correlation.json")
    path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
