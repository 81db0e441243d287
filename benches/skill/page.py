#!/usr/bin/env python3
"""Tables and pictures of docs/skill.md, from the record and, for the pictures, the program.

page.py RECORD --program PATH      renews docs/skill.md between its marks, and docs/images/skill-*.png
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import cases
import run

DOCS = cases.ROOT / "docs"
BEGIN, END = "<!-- table: benches/skill/page.py -->", "<!-- end of table -->"
FAMILIES = {"kriging": "kriging", "idw": "IDW", "natural": "natural neighbour", "spline": "spline"}


def means(record):
    """Errors by case, variable and kind of split; only methods that never failed there."""
    rows = pd.read_csv(record)
    rows["kind"] = rows["split"].str.split().str[0]
    group = rows.groupby(["case", "variable", "kind", "method"])
    table = group[["mae", "rmse"]].mean()
    table["fits"] = group.size()
    return table[~group["mae"].apply(lambda e: e.isna().any())]


def compare(table):
    """A row for each case, variable and kind: ours, the best of the others, its name, the ratio."""
    for key, rows in table.groupby(level=[0, 1, 2]):
        rows = rows.droplevel([0, 1, 2])
        others = rows.drop(index=run.OURS)
        found = dict(zip(["case", "variable", "kind"], key), fits=int(rows.loc[run.OURS, "fits"]))
        for measure in ("mae", "rmse"):
            mine, best = rows.loc[run.OURS, measure], others[measure].idxmin()
            found |= {measure: mine, f"{measure} best": best, f"{measure} other": others.loc[best, measure]}
            found[f"{measure} ratio"] = mine / others.loc[best, measure]
            for start, family in FAMILIES.items():
                some = others[others.index.str.startswith(start)][measure].min()
                found[f"{measure} {family}"] = mine / some
        yield found


def markdown(rows):
    lines = [
        "| readings | variable | left out | fits | MAE | best of the others | × | RMSE | best of the others | × |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = [r["case"], r["variable"], r["kind"], r["fits"]]
        for m in ("mae", "rmse"):
            cells += [f"{r[m]:.3g}", f"{r[m + ' other']:.3g} {r[m + ' best']}", f"{r[m + ' ratio']:.3f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    ratios = np.array([r[f"{m} ratio"] for r in rows for m in ("mae", "rmse")])
    lines += [
        "",
        f"Of {len(ratios)} comparisons Isopleth is better in {(ratios < 1).sum()}, not worse by more than 2 % in "
        f"{(ratios <= 1.02).sum()}; the median ratio is {np.median(ratios):.3f}, the largest {ratios.max():.3f}.",
    ]
    lines += ["", "Ratio to the best of each family (MAE / RMSE), median over the rows above:", ""]
    lines += ["| " + " | ".join(FAMILIES.values()) + " |", "|" + "---|" * len(FAMILIES)]
    cell = lambda f: " / ".join(f"{np.median([r[f'{m} {f}'] for r in rows]):.3f}" for m in ("mae", "rmse"))
    lines.append("| " + " | ".join(map(cell, FAMILIES.values())) + " |")
    return "\n".join(lines)


def ratios_picture(rows, path):
    figure, axes = plt.subplots(1, 2, figsize=(11, 6), sharey=True, layout="constrained")
    names = [f"{r['case']} {r['variable']}, {r['kind']}" for r in rows]
    for axis, measure in zip(axes, ("mae", "rmse")):
        for family in FAMILIES.values():
            axis.plot([r[f"{measure} {family}"] for r in rows], names, "o", label=f"best {family}")
        axis.axvline(1, color="black", lw=0.8)
        axis.axvline(1.02, color="black", lw=0.8, ls=":")
        axis.set_xlabel(f"{measure.upper()} of Isopleth / of the best of a family (below 1: better)")
    axes[0].invert_yaxis()
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def grid_map(program, hour, variable, lon, lat):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        table = hour.table[["lon", "lat", variable]].dropna()
        table.insert(0, "station", [f"s{i}" for i in range(len(table))])
        table.assign(time=hour.time).to_csv(folder / "r.csv", index=False)
        x, y = np.meshgrid(lon, lat)
        pd.DataFrame({"lon": x.ravel(), "lat": y.ravel()}).to_csv(folder / "at.csv", index=False)
        words = [program, "points", folder / "r.csv", "--at", folder / "at.csv", "-o", folder / "v.csv"]
        subprocess.run([*words, "--quiet", "--cache", "none"], check=True)
        return pd.read_csv(folder / "v.csv")[variable].to_numpy().reshape(x.shape)


def map_picture(program, hour, variable, path):
    """The map with its stations; errors where a fifth was left out; foretold against observed."""
    out = cases.left_out(hour, "random 0")
    table = hour.table[out].reset_index(drop=True)
    found = run.ours(program, hour, out)[variable].to_numpy()
    truth = table[variable].to_numpy()
    here = hour.table.dropna(subset=variable)
    lon = np.linspace(here["lon"].min() - 1, here["lon"].max() + 1, 240)
    lat = np.linspace(here["lat"].min() - 1, here["lat"].max() + 1, 180)
    surface = grid_map(program, hour, variable, lon, lat)
    low, high = np.nanpercentile(here[variable], [1, 99])
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    shade = axes[0].pcolormesh(lon, lat, surface, vmin=low, vmax=high, cmap="viridis")
    axes[0].scatter(here["lon"], here["lat"], c=here[variable], vmin=low, vmax=high, s=6, ec="white", lw=0.2)
    axes[0].set_title(f"{hour.case} {variable} {hour.time}: map and stations")
    figure.colorbar(shade, ax=axes[0])
    error = found - truth
    span = np.nanpercentile(np.abs(error), 95)
    dots = axes[1].scatter(
        table["lon"], table["lat"], c=error, vmin=-span, vmax=span, cmap="RdBu_r", s=14, ec="grey", lw=0.2
    )
    axes[1].set_title("foretold − observed, at stations left out")
    figure.colorbar(dots, ax=axes[1])
    axes[2].plot(truth, found, ".", ms=4)
    axes[2].axline((low, low), slope=1, color="black", lw=0.8)
    axes[2].set(xlabel="observed", ylabel="foretold", title="stations left out")
    figure.savefig(path, dpi=100)
    plt.close(figure)


LEVELS = [0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975]


def below(program, hour):
    """By variable: for each left-out reading and level, whether it lies below that quantile."""
    out = cases.left_out(hour, "random 0")
    told = ",".join(map(str, LEVELS))
    found = run.ours(program, hour, out, ["--quantile", told], every=True)
    for variable in hour.variables:
        truth = hour.table.loc[out, variable].to_numpy()
        names = [f"{variable}_quantile_{level}".replace(".", "_") for level in LEVELS]
        known = ~np.isnan(truth)
        yield variable, truth[known, None] < found[names].to_numpy()[known]


def reliability_picture(program, path):
    """How often readings left out lie below the quantiles, beside how often they should."""
    seen = {}
    for hour in cases.hours():
        for variable, under in below(program, hour):
            seen.setdefault((hour.case, variable), []).append(under)
    figure, axis = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    low, high = LEVELS.index(0.05), LEVELS.index(0.95)
    held = {}
    for (case, variable), under in seen.items():
        under = np.concatenate(under)
        share = under.mean(axis=0)
        held[case, variable] = share[high] - share[low], len(under)
        label = f"{case} {variable} ({len(under)}), 90 %: {share[high] - share[low]:.3f}"
        axis.plot(LEVELS, share, ".-", lw=0.9, label=label)
    axis.plot([0, 1], [0, 1], color="black", lw=0.8)
    axis.set(xlabel="quantile", ylabel="share of readings left out below it", title="reliability of the intervals")
    axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return held


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("record", type=Path)
    words.add_argument("--program", required=True)
    words = words.parse_args()
    rows = list(compare(means(words.record)))
    page = DOCS / "skill.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    source = f"From `benches/record/{words.record.name}`."
    page.write_text(f"{before}{BEGIN}\n{source}\n\n{markdown(rows)}\n{END}{after}", encoding="utf-8")
    images = DOCS / "images"
    ratios_picture(rows, images / "skill-ratios.png")
    found = {}
    for hour in cases.hours():
        found.setdefault(hour.case, hour)
    map_picture(words.program, found["china"], "o3", images / "skill-china-o3.png")
    map_picture(words.program, found["airnow"], "pm25", images / "skill-airnow-pm25.png")
    for (case, variable), (share, count) in reliability_picture(words.program, images / "skill-reliability.png").items():
        print(f"{case} {variable}: 90 % intervals hold {share:.3f} of {count} readings left out")


if __name__ == "__main__":
    main()
