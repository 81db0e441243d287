#!/usr/bin/env python3
"""How well maps foretell readings that were left out: Isopleth beside other people's methods.

    make skill                                        everything it needs, then this, then the page
    run.py --program PATH [--splits N] [--hours N]    judges what the record lacks
    run.py --program PATH --ours                      Isopleth again, in the hours and splits recorded

For every hour (cases.py) and split, all methods (methods.py) see the same training stations; errors are
taken at the places left out. The record is a file under benches/record/, written as it goes, and a run that
was ended goes on where it stopped. Needs the readings in ../shared/data (or ISOPLETH_SHARED).
"""

import argparse
import csv
import datetime
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import cases
import methods

RECORDS = cases.ROOT / "benches" / "record"
KEY = ["case", "variable", "time", "split", "method"]
COLUMNS = [*KEY, "stations", "judged", "mae", "rmse", "bias"]
OURS = "isopleth"


def record_path():
    kept = sorted(RECORDS.glob("skill-*.csv"))
    return kept[-1] if kept else RECORDS / f"skill-{datetime.date.today()}.csv"


def errors(found, truth):
    # A method that fails, or gives what is no number, has no errors: the record shows it as empty.
    if found is None or not np.all(np.isfinite(found)):
        return ["", "", ""]
    e = found - truth
    return [f"{v:.5g}" for v in (np.abs(e).mean(), np.sqrt((e * e).mean()), e.mean())]


def ours(program, hour, out, more=(), every=False):
    """Isopleth's own choice of everything: readings in, values at places out, all variables at once; `every` column
    that `more` options bring."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        train = hour.table[~out].drop(columns="town")
        train.insert(0, "station", [f"s{i}" for i in range(len(train))])
        train.assign(time=hour.time).to_csv(folder / "train.csv", index=False)
        at = hour.table[out][["lon", "lat"]].reset_index(drop=True)
        at.assign(place=at.index).to_csv(folder / "test.csv", index=False)
        words = [
            program,
            "points",
            folder / "train.csv",
            "--at",
            folder / "test.csv",
            "-o",
            folder / "values.csv",
        ]
        subprocess.run([*words, *more, "--quiet", "--cache", "none", "--threads", "1"], check=True)
        # Variables of different methods may come in rows of their own.
        values = pd.read_csv(folder / "values.csv").groupby("place").first().reindex(at.index)
        return values if every else values[hour.variables]


def attempt(method, *words):
    """None where another's method fails at these readings (a singular matrix, for example)."""
    try:
        return method(*words)
    except (np.linalg.LinAlgError, ValueError) as fault:
        print(f"  {getattr(method, 'keywords', '')}: {fault}", file=sys.stderr)
        return None


def judge(program, hour, split, done, others):
    """Rows of the record for what `done` lacks."""
    out = cases.left_out(hour, split)
    places = hour.table[["lon", "lat"]].to_numpy()
    mine = ours(program, hour, out)
    full = ~out & hour.table[hour.variables].notna().all(axis=1).to_numpy()
    chosen = {}
    if others:
        fields = hour.table.loc[full, hour.variables].to_numpy()
        for k, e in methods.KERNELS:
            chosen[k, e] = methods.best_smoothings(places[full], fields, k, e)
    for column, variable in enumerate(hour.variables):
        value = hour.table[variable].to_numpy()
        train, test = ~out & ~np.isnan(value), out & ~np.isnan(value)
        base = [hour.case, variable, hour.time, split]

        def row(method, found, base=base, value=value, train=train, test=test):
            return [*base, method, train.sum(), test.sum(), *errors(found, value[test])]

        yield row(OURS, mine[variable].to_numpy()[~np.isnan(value[out])])
        if not others:
            continue
        given = places[train], value[train], places[test]
        for name, method in methods.simple().items():
            if (*base, name) not in done:
                yield row(name, attempt(method, *given))
        for (k, e), smoothings in chosen.items():
            name = f"spline {methods.label(k, e)} best λ"
            if (*base, name) not in done:
                yield row(name, attempt(methods.spline, *given, k, e, smoothings[column]))


def judged(work):
    warnings.filterwarnings("ignore")
    _, hour, split, *_ = work
    return hour, split, list(judge(*work))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--program", required=True)
    words.add_argument("--splits", type=int, default=1, help="random splits, and as many of whole towns")
    words.add_argument("--hours", type=int, default=1000, help="only the first so many hours and days")
    words.add_argument("--ours", action="store_true", help="judge only Isopleth, anew")
    words.add_argument("--record", type=Path, default=record_path())
    words.add_argument("--jobs", type=int, default=os.cpu_count(), help="hours and splits side by side")
    words = words.parse_args()
    kept = (
        pd.read_csv(words.record, dtype=str, keep_default_na=False)
        if words.record.exists()
        else pd.DataFrame(columns=COLUMNS)
    )
    whole = {}
    for key in map(tuple, kept[kept["method"] != OURS][KEY].to_numpy()):
        whole.setdefault((key[0], key[2], key[3]), set()).add(key)
    last = f"spline {methods.label(*methods.KERNELS[-1])} best λ"
    start, work = time.time(), []
    for number in range(words.splits):
        for hour in cases.hours()[: words.hours]:
            for kind in ("random", "towns"):
                if hour.case == "germany" and kind == "towns":
                    continue  # rural stations, one to a town
                split = f"{kind} {number}"
                done = whole.get((hour.case, hour.time, split), set())
                finished = (hour.case, hour.variables[-1], hour.time, split, last) in done
                if finished == words.ours:
                    work.append((words.program, hour, split, done, not words.ours))
    # Many hours side by side, each on one thread; numbers are the same.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with multiprocessing.get_context("spawn").Pool(words.jobs) as pool:
        for hour, split, rows in pool.imap_unordered(judged, work):
            rows = pd.DataFrame(rows, columns=COLUMNS).astype(str)
            kept = pd.concat([kept, rows]).drop_duplicates(KEY, keep="last")
            part = words.record.with_suffix(".part")
            kept.to_csv(part, index=False, quoting=csv.QUOTE_MINIMAL)
            part.replace(words.record)
            print(f"{time.time() - start:6.0f} s  {hour.case} {hour.time} {split}", flush=True)


if __name__ == "__main__":
    main()
