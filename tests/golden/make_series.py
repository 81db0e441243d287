"""Makes series.json: what pandas makes of hourly readings with gaps and spikes.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python make_series.py

Two series of eleven days, one with a few gaps and spikes, one with long gaps. Readings are rounded
to a tenth, so that they are the same in any text. Nothing here is shared with the program: windows
are those of pandas, rules on data capture are counted in pandas.
"""

import json
import pathlib

import numpy as np
import pandas as pd

HOUR = pd.Timedelta(hours=1)


def series(seed, missing):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-03-01T00:00Z", "2024-03-11T23:00Z", freq="h")
    hours = np.arange(len(times))
    values = 60 + 30 * np.sin(2 * np.pi * hours / 24) + np.cumsum(rng.normal(0, 3, len(times)))
    values[rng.integers(0, len(times), 6)] += 300
    whole = pd.Series(np.round(values, 1), index=times)
    return whole[rng.random(len(times)) > missing]


def hourly(readings):
    """On the full grid of hours, NaN where missing."""
    return readings.asfreq("h")


def running(readings, hours, capture, end):
    least = max(1, int(np.ceil(capture * hours)))
    if end:
        return hourly(readings).rolling(hours, min_periods=least).mean()
    # Looking forward is looking back on the reversed series.
    return hourly(readings)[::-1].rolling(hours, min_periods=least).mean()[::-1]


def in_zone(readings, zone, end):
    """With times such that a reading's calendar day is the day it counts for."""
    moved = readings.copy()
    moved.index = moved.index - (pd.Timedelta(seconds=1) if end else pd.Timedelta(0))
    moved.index = moved.index.tz_convert(zone)
    return moved


def days(readings, zone, end, capture):
    grouped = in_zone(readings, zone, end).resample("D")
    return grouped.mean()[grouped.count() >= capture * 24].dropna()


def mda8(readings, zone, rule):
    """Readings bear the start of their hour."""
    # Windows may reach before the first and beyond the last reading.
    grid = pd.date_range(readings.index[0] - 8 * HOUR, readings.index[-1] + 8 * HOUR, freq="h")
    forward = readings.reindex(grid)[::-1].rolling(8, min_periods=6).mean()[::-1].dropna()
    begin = forward.index.tz_convert(zone)
    if rule == "eu":
        # A mean that ends at 24:00 belongs to that day.
        day, keep, least = (begin + 8 * HOUR - pd.Timedelta(seconds=1)).normalize(), None, 18
    elif rule == "us":
        day, keep, least = begin.normalize(), begin.hour >= 7, 13
    else:
        day, keep, least = begin.normalize(), begin.hour <= 16, 14
    frame = pd.DataFrame({"day": day, "mean": forward.to_numpy()})
    frame = frame if keep is None else frame[keep]
    grouped = frame.groupby("day")["mean"]
    return grouped.max()[grouped.count() >= least]


def filled(readings, hours):
    """Gaps of up to so many missing hours in a line; pandas' own limit fills part of longer ones."""
    grid = hourly(readings)
    gap = grid.isna()
    length = gap.groupby((~gap).cumsum()).transform("sum")
    line = grid.interpolate("linear", limit_area="inside")
    return line[~gap | (length <= hours)].dropna()


def hampel(readings, width):
    """Three hours on either side, five readings at least, no less than the tenth they are rounded to."""
    grid = hourly(readings)

    def outside(window):
        present = window[~np.isnan(window)]
        if len(present) < 5 or np.isnan(window[3]):
            return 0.0
        median = np.median(present)
        scale = max(1.4826 * np.median(np.abs(present - median)), 0.1)
        return float(abs(window[3] - median) > width * scale)

    padding = pd.date_range(grid.index[0] - 3 * HOUR, grid.index[-1] + 3 * HOUR, freq="h")
    spikes = grid.reindex(padding).rolling(7, center=True, min_periods=1).apply(
        lambda w: outside(w) if len(w) == 7 else 0.0, raw=True
    )
    return readings[spikes.reindex(readings.index) == 0.0]


def told(result):
    seconds = (result.index.tz_convert("UTC") - pd.Timestamp("1970-01-01", tz="UTC")) // pd.Timedelta("1s")
    return [[int(s), float(v)] for s, v in zip(seconds, result.to_numpy()) if not np.isnan(v)]


def main():
    cases = []
    for name, readings in {"few gaps": series(1, 0.05), "many gaps": series(2, 0.3)}.items():
        expected = {
            "8h end": running(readings, 8, 0.75, True),
            "8h start": running(readings, 8, 0.75, False),
            "24h end": running(readings, 24, 0.75, True),
            "24h end, capture 0": running(readings, 24, 0, True),
            "day start +08:00": days(readings, "Asia/Shanghai", False, 0.75),
            "day end +08:00": days(readings, "Asia/Shanghai", True, 0.75),
            "mda8 -05:00": mda8(readings, "Etc/GMT+5", "eu"),
            "mda8-us -05:00": mda8(readings, "Etc/GMT+5", "us"),
            "mda8-cn -05:00": mda8(readings, "Etc/GMT+5", "cn"),
            "step 3h": readings.resample("3h").mean(),
            "step 3h end": readings.resample("3h", closed="right", label="right").mean(),
            "fill 2h": filled(readings, 2),
            "despike 5": hampel(readings, 5),
        }
        cases.append({
            "name": name,
            "readings": told(readings),
            "expected": {key: told(result) for key, result in expected.items()},
        })
    made_by = f"pandas {pd.__version__}, numpy {np.__version__}"
    path = pathlib.Path(__file__).with_name("series.json")
    path.write_text(json.dumps({"made_by": made_by, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
