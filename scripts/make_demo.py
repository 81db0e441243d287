#!/usr/bin/env python3
"""Makes the example readings, examples/demo_readings.csv, from a known truth.

    python3 scripts/make_demo.py            writes the file
    python3 scripts/make_demo.py --check    fails unless the file is what this script makes

140 cities are drawn where the truth's largest cluster is; each has ten stations within 0.2 degrees;
around them up to 300 km of nothing. Over eight hours of 2026-01-01 (UTC), the truth is

    pm25(lon, lat, t) = 35 + 25 sin((lon - 73 + 2 t)/9) cos((lat - 18)/7)
                           + 60 exp(-((lon - 114 - 0.4 t)^2 + (lat - 37)^2)/18)

in µg/m³, with t in hours. A reading is the truth at its station plus a normal error of 1.5, never below
1, rounded to 0.1; one in 25 is missing. The generator of random numbers is our own, so that every
Python makes the same bytes.
"""

import math
import sys
from pathlib import Path

OUT = Path(__file__).parent.parent / "examples" / "demo_readings.csv"
CITIES, STATIONS, HOURS = 140, 10, 8


class Random:
    """SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195)."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)

    def normal(self):
        """The sum of twelve uniform numbers less 6: normal enough, and the same everywhere."""
        return sum(self.uniform() for _ in range(12)) - 6


def truth(lon, lat, hour):
    waves = 25 * math.sin((lon - 73 + 2 * hour) / 9) * math.cos((lat - 18) / 7)
    plume = 60 * math.exp(-((lon - 114 - 0.4 * hour) ** 2 + (lat - 37) ** 2) / 18)
    return 35 + waves + plume


def stations(random):
    for city in range(CITIES):
        # Crowded in the east, thin in the west.
        lon = 135 - 62 * (0.08 + 0.9 * random.uniform() ** 1.7)
        lat = 20 + 32 * random.uniform()
        for number in range(STATIONS):
            yield (
                f"C{city:03d}{number}",
                round(lon + 0.2 * random.normal() / 2, 4),
                round(lat + 0.2 * random.normal() / 2, 4),
            )


def text():
    random = Random(2026)
    places = list(stations(random))
    lines = ["station,lon,lat,time,pm25"]
    for hour in range(HOURS):
        for station, lon, lat in places:
            value = max(1.0, truth(lon, lat, hour) + 1.5 * random.normal())
            shown = "" if random.uniform() < 1 / 25 else f"{value:.1f}"
            lines.append(f"{station},{lon},{lat},2026-01-01T{hour:02d}:00:00Z,{shown}")
    return "\n".join(lines) + "\n"


def main():
    made = text()
    if sys.argv[1:] == ["--check"]:
        if OUT.read_text() != made:
            sys.exit(f"{OUT} is not what {sys.argv[0]} makes: run it without --check")
        return
    OUT.write_text(made)
    print(f"{OUT}: {len(made.splitlines()) - 1} readings")


if __name__ == "__main__":
    main()
