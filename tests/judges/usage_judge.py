"""Runs the DuckDB queries of docs/account.md over the files of a service, and compares them with `isopleth usage --json`.

usage_judge.py move DATABASE     moves what was booked to 1 to 3 March 2026, many times over, as if it had been then
usage_judge.py compare FOLDER PAGE SUMMARY
"""
import json
import math
import re
import sqlite3
import sys

DAY_MS = 86_400_000
FIRST = 1_772_323_200_000  # 2026-03-01


def move(path):
    """Every row becomes 150, over three days and all hours; the counts of ends follow."""
    db = sqlite3.connect(path)
    names = [row[1] for row in db.execute("PRAGMA table_info(usage)") if row[1] != "number"]
    rows = [dict(zip(names, row)) for row in db.execute(f"SELECT {', '.join(names)} FROM usage ORDER BY number")]
    db.execute("DELETE FROM usage")
    db.execute("DELETE FROM usage_seen")
    db.execute("UPDATE jobs SET account = NULL")
    flags = ["uncertainty", "mask", "transform", "quality", "bounds", "thin"]
    for k in range(150 * len(rows)):
        row = dict(rows[k % len(rows)])
        if row["way"] == "job" and k >= len(rows):
            row["way"] = "once"
        row["began_ms"] = row["ended_ms"] = FIRST + k * 7919 * 1000 % (3 * DAY_MS)
        row["client"] = f"key:{k * k % 7}"
        if row["exit"] == "successful":
            row["cells"] *= 1 + k % 40
            row["run_seconds"] *= 1 + k * 31 % 17
            row["peak_bytes"] += k * 1001
            for j, flag in enumerate(flags):
                row[flag] = int((k * (j + 3) // 5 + j * (k % 3)) % 4 == 0)
        places = ", ".join("?" * len(names))
        db.execute(f"INSERT INTO usage ({', '.join(names)}) VALUES ({places})", [row[name] for name in names])
    db.execute("""INSERT INTO usage_seen SELECT ended_ms / 86400000, way, count(*), 0 FROM usage GROUP BY 1, 2""")
    db.execute("""UPDATE jobs SET account = owner, finished = (SELECT ended_ms / 1000 FROM usage WHERE usage.name = jobs.id)
                  WHERE id IN (SELECT name FROM usage WHERE way = 'job')""")
    db.commit()


def queries(page):
    blocks = re.findall(r"```sql\n-- (\w+)\n(.*?)```", open(page).read(), re.S)
    assert len(blocks) >= 10, blocks
    return dict(blocks)


def same(name, ours, theirs):
    """Counts and names as they are; sums are added up in another order."""
    assert len(ours) == len(theirs), f"{name}: {len(ours)} rows, DuckDB has {len(theirs)}"
    for one, other in zip(ours, theirs):
        for a, b in zip(one, other):
            close = isinstance(a, float) and isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
            assert a == b or close, f"{name}: {one} is {other} to DuckDB"


def compare(folder, page, summary):
    import os

    import duckdb

    os.chdir(folder)
    db = duckdb.connect()
    asked = queries(page)
    db.sql(asked.pop("view"))
    told = {name: db.sql(sql).fetchall() for name, sql in asked.items()}
    ours = json.load(open(summary))
    group = lambda of: [(g["name"], g["runs"], g["successful"], g["values"], g["seconds"], g["cpu_seconds"]) for g in of]
    none_is_zero = lambda rows: [tuple(0 if cell is None else cell for cell in row) for row in rows]
    same("all", group([ours["all"]]), none_is_zero(told["all"]))
    for name in ["kernels", "clients", "sizes", "hours"]:
        same(name, group(ours[name]), none_is_zero(told[name]))
    same("failures", [(f["exit"], f["problem"], f["runs"]) for f in ours["failures"]], told["failures"])
    for name in ["predicted_seconds", "predicted_bytes"]:
        of = ours[name]
        same(name, [tuple(of[key] for key in ["runs", "q10", "q50", "q90", "q99"])], told[name])
    same("peak_bytes", [(ours["peak_bytes"],)], told["peak_bytes"])
    pair = lambda one, other, both, r: (*sorted([one, other]), both, None if r is None or math.isnan(r) else r)
    pairs = sorted(pair(p["one"], p["other"], p["both"], p["correlation"]) for p in ours["together"])
    same("together", pairs, sorted(pair(*row) for row in told["together"]))
    assert len(pairs) > 5 and len(ours["kernels"]) > 1 and len(ours["hours"]) == 24, ours
    assert told["waiting"], "nobody waited"
    features = dict(ours["features"])
    for name, count in features.items():
        found = db.sql(f"SELECT count(*) FROM runs WHERE good AND {name}").fetchall()[0][0]
        assert found == count, (name, found, count)
    print(f"{ours['all']['runs']} runs, {len(asked)} queries")


if __name__ == "__main__":
    {"move": move, "compare": compare}[sys.argv[1]](*sys.argv[2:])
