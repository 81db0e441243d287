"""Which readings are judged, and which of them are left out."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = Path(os.environ.get("ISOPLETH_SHARED", ROOT.parent / "shared")) / "data"
SIX = ["pm25", "pm10", "so2", "no2", "o3", "co"]
AIRNOW_HOURS = ["2024-04-17T18:00Z", "2024-04-18T06:00Z", "2024-04-18T20:00Z"]
GERMAN_STEP = 14  # days: every fortnight of 2005
CELL = 1.0  # degrees: the "town" of a network that names none


@dataclass
class Hour:
    """One network at one time: `values` has a column for each variable, NaN where missing."""

    case: str
    time: str
    table: pd.DataFrame  # lon, lat, town and the variables; one row a place
    variables: list


def hours():
    """Every network and time, those that say most first."""
    china = pd.read_csv(SHARED / "china_network_6_hours.csv")
    china = [hour("china", t, rows, SIX, rows["city"]) for t, rows in china.groupby("time")]
    german = pd.read_csv(SHARED / "germany_pm10_2005.csv")
    days = sorted(german["time"].unique())[::GERMAN_STEP]
    german = [hour("germany", d, german[german["time"] == d], ["pm10"]) for d in days]
    places = pd.read_csv(SHARED / "airnow_stations.csv", dtype={"aqsid": str}).drop_duplicates("aqsid")
    airnow = pd.read_csv(SHARED / "airnow_20240417_18.csv.gz", dtype={"aqsid": str})
    names = {"PM2.5": "pm25", "OZONE": "o3"}
    airnow = airnow[airnow["parameter"].isin(names) & airnow["time_utc"].isin(AIRNOW_HOURS)]
    airnow = airnow.merge(places, on="aqsid")
    airnow = airnow[airnow["lon"].between(-130, -50) & airnow["lat"].between(22, 60)]
    wide = airnow.pivot_table(index=["time_utc", "lon", "lat"], columns="parameter", values="value")
    wide = wide.rename(columns=names).reset_index()
    airnow = [hour("airnow", t, rows, ["pm25", "o3"]) for t, rows in wide.groupby("time_utc")]
    return german + airnow[:1] + china[:1] + china[3:4] + airnow[1:] + china[1:3] + china[4:]


def hour(case, time, rows, variables, town=None):
    if town is None:
        town = (rows["lon"] // CELL).astype(str) + " " + (rows["lat"] // CELL).astype(str)
    rows = rows.assign(town=town.fillna("?"))
    means = {name: "mean" for name in variables} | {"town": "first"}
    table = rows.groupby(["lon", "lat"], as_index=False).agg(means)
    return Hour(case, str(time).replace("Z", ""), table, variables)


def left_out(hour, split):
    """Which places are left out: split "random 0" a fifth of them, "towns 0" a fifth of the towns, whole."""
    kind, number = split.split()
    dice = np.random.default_rng([int(number), kind == "towns"])
    if kind == "random":
        return dice.permutation(len(hour.table)) < len(hour.table) / 5
    towns = np.sort(hour.table["town"].unique())
    return hour.table["town"].isin(dice.permutation(towns)[: len(towns) // 5]).to_numpy()
