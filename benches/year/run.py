#!/usr/bin/env python3
"""A year of hours in minutes: does every one of them end as it must?

    benches/year/run.py --program target/release/isopleth
    benches/year/run.py --program target/release/isopleth --hours 300      (a short one)

The program serves one schedule: files of a folder become maps, which go to a folder. Its clock is told (service.py), a few hours at
a time. Of the hours 3 % have no file; others come late, in time or too late to be made, are corrected, in time or too late, come
again as they are, or are of too few stations. At random moments the service is killed twice (kill -9), and once its disk is full
for half a day (a small disk in memory; as root). At the end: is every hour what it must be, has it exactly its revisions, is the file of
the sink the latest one, has every revision been delivered, and have memory and disk stayed as they were after the first
tenth? Exit code 1 where not. Needs a C compiler for the clock, and netCDF4 to read the files.
"""

import argparse
import json
import math
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "jobs"))
from kill import Disk  # noqa: E402
from service import COMPILER, Clock, Rows, Service, size_of, slope  # noqa: E402

BEGIN = 1_830_297_600  # 2028-01-01T00:00Z: a year with a leap day.
HOUR = 3600
ZONE = "Europe/Berlin"
STATIONS = 12
ENOUGH = 6
HALF_A_DAY = 12

DATABASE = ("isopleth.sqlite3", "isopleth.sqlite3-wal", "isopleth.sqlite3-shm")

# What an hour can be, how many in a thousand, and what it ends as: state, revisions.
KINDS = {
    "missing": (30, ("missing", 0)),
    "late": (30, ("made", 1)),
    "too late": (10, ("missing", 0)),
    "corrected": (40, ("made", 2)),
    "corrected too late": (10, ("made", 1)),
    "again": (40, ("made", 1)),
    "too few": (10, ("too_few", 0)),
    "too few at first": (10, ("made", 1)),
}
NORMAL = ("made", 1)

CONFIG = """
data_dir = "{data}"
spill_dir = "{spill}"
job_concurrency = 2
auth = "off"

[sources.folder]
kind = "directory"
path = "{inbox}"
files = "{{time_utc:%Y/%m}}/{{time:%Y%m%dT%H%z}}.csv"

[sinks.folder]
kind = "directory"
path = "{outbox}"

[sinks.folder.files]
name = "{{time_utc:%Y%m%d%H}}.nc"
latest = "latest.nc"
"""


SCHEDULE = {
    "source": "folder",
    "cron": "0 * * * *",
    "zone": ZONE,
    "delay_seconds": 600,
    "give_up_seconds": 10_800,
    "poll_seconds": 600,
    "catch_up_hours": 48,
    "revise_hours": 24,
    "min_stations": ENOUGH,
    "sinks": ["folder"],
    "keep": {"count": 48, "inputs_days": 3},
    "map": {"grid": {"bounds": [5, 45, 15, 55], "shape": [40, 40]}, "method": {"kernel": "linear"}},
}


def value(hour, edition):
    """What all stations read: by it a map is known."""
    return 10 + hour % 997 + edition / 4


def table(hour, edition, stations=STATIONS):
    rows = ["station,lon,lat,time,pm25"]
    stamp = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(BEGIN + hour * HOUR))
    for k in range(stations):
        lon, lat = 5 + (k * 0.618033988749895) % 1 * 10, 45 + (k * 0.754877666) % 1 * 10
        rows.append(f"s{k},{lon:.4f},{lat:.4f},{stamp},{value(hour, edition)}")
    return "\n".join(rows) + "\n"


class Inbox:
    """The folder of files, which come whole by rename."""

    def __init__(self, folder, zone):
        from zoneinfo import ZoneInfo
        from datetime import datetime, timezone

        self.folder = folder
        self.name = lambda at: (
            time.strftime("%Y/%m/", time.gmtime(at))
            + datetime.fromtimestamp(at, timezone.utc).astimezone(ZoneInfo(zone)).strftime("%Y%m%dT%H%z")
            + ".csv"
        )

    def put(self, hour, text):
        path = self.folder / self.name(BEGIN + hour * HOUR)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(text)
        beside.rename(path)


def plan(hours, generator, calm):
    """What each hour is, and what comes when: (time in hours, hour, text). Of calm ones nothing is odd."""
    kinds, events = {}, []
    names, weights = list(KINDS), [share for share, _ in KINDS.values()]
    names.append("normal")
    weights.append(1000 - sum(weights))
    for hour in range(hours):
        kind = "normal" if hour in calm else generator.choices(names, weights)[0]
        kinds[hour] = kind
        between = generator.uniform
        first, then = table(hour, 0), table(hour, 1)
        if kind == "missing":
            continue
        if kind == "late":
            events.append((hour + between(5, 40), hour, first))
        elif kind == "too late":
            events.append((hour + between(60, 90), hour, first))
        elif kind == "too few":
            events.append((hour + between(0, 0.1), hour, table(hour, 0, ENOUGH - 1)))
        else:
            start = table(hour, 0, ENOUGH - 1) if kind == "too few at first" else first
            events.append((hour + between(0, 0.1), hour, start))
            if kind == "corrected":
                events.append((hour + between(8, 16), hour, then))
            elif kind == "corrected too late":
                events.append((hour + between(36, 60), hour, then))
            elif kind == "again":
                # The same readings, in another order: other bytes.
                head, *rows = first.splitlines()
                events.append((hour + between(8, 12), hour, first))
                events.append((hour + between(13, 20), hour, "\n".join([head, *reversed(rows)])))
            elif kind == "too few at first":
                events.append((hour + between(8, 40), hour, first))
    return kinds, sorted(events)


class Year:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.generator = random.Random(arguments.seed)
        self.last = arguments.hours + 100
        self.full = int(arguments.hours * 0.45) // arguments.step * arguments.step
        # An hour that is first looked at when the disk has room again is not seen before its correction.
        calm = range(self.full - arguments.step, self.full + HALF_A_DAY + 1)
        self.kinds, self.events = plan(arguments.hours, self.generator, calm)
        for hour in range(arguments.hours, self.last):
            self.kinds[hour] = "normal"
            self.events.append((hour + 0.05, hour, table(hour, 0)))
        self.events.sort()
        self.next = 0
        self.disk = None
        self.points = []
        self.prepare()

    def prepare(self):
        folder = self.folder
        data = folder / "data"
        if os.geteuid() == 0 and not self.arguments.no_disk:
            try:
                self.disk = Disk(data, 512 << 20)
            except Exception as error:
                print(f"no disk can be mounted ({error}): it will not be full", flush=True)
                data.mkdir(exist_ok=True)
        else:
            print("not root: the disk will not be full", flush=True)
            data.mkdir()
        names = {"data": data, "spill": folder / "spill", "inbox": folder / "in", "outbox": folder / "out"}
        for path in names.values():
            path.mkdir(exist_ok=True)
        config = folder / "service.toml"
        config.write_text(CONFIG.format(**names))
        self.inbox, self.outbox, self.data = Inbox(names["inbox"], ZONE), names["outbox"], data
        # The schedule begins with its first hour.
        self.clock = Clock(folder, BEGIN - 60)
        self.service = Service(self.arguments.program, config, self.clock)
        self.service.ask("/v1/schedules/year", "PUT", SCHEDULE)
        self.rows = Rows(data)

    def arrive(self, until):
        """Files that have come by then."""
        while self.next < len(self.events) and self.events[self.next][0] <= until:
            _, hour, text = self.events[self.next]
            self.inbox.put(hour, text)
            self.next += 1

    def busy(self):
        now = self.clock.now
        made_to = self.rows.one("SELECT made_to FROM schedules WHERE id = 'year'")
        if made_to < (now - 600) // HOUR * HOUR:
            return "hours without rows"
        slots = self.rows.one("SELECT count(*) FROM slots WHERE state = 'running' OR due <= ?", now)
        if slots:
            return f"{slots} hours to do"
        waiting = self.rows.one("SELECT count(*) FROM deliveries WHERE state = 'waiting' AND due <= ?", now)
        return f"{waiting} deliveries" if waiting else None

    def wake(self):
        """Word that time has passed, which it would notice within a second."""
        try:
            self.service.ask("/v1/schedules/year/resume", "POST")
        except (OSError, RuntimeError):
            pass

    def settle(self, patience=180):
        """Until nothing is due at this time."""
        deadline = time.monotonic() + patience
        while (what := self.busy()) is not None:
            if self.service.process.poll() is not None:
                raise SystemExit("the service ended:\n" + "".join(self.service.lines[-40:]))
            if time.monotonic() > deadline:
                words = "".join(self.service.lines[-20:])
                raise SystemExit(f"at {self.clock.now}: {what} after {patience} s\n{words}")
            time.sleep(0.004)

    def measure(self, at):
        peak, share = self.service.memory()
        self.points.append(
            {
                "hour": at,
                "start": self.service.starts,
                "peak": peak,
                "pss": share,
                "files": (size_of(self.data, ("ballast", *DATABASE)) - size_of(self.data / "usage", ())) / 1e6,
                "account": size_of(self.data / "usage", ()) / 1e6,
                "database": (self.data / "isopleth.sqlite3").stat().st_size / 1e6,
            }
        )

    def kill(self):
        """In the middle of the work, and started again."""
        moment = self.generator.uniform(0.005, 0.2)
        time.sleep(moment)
        running = self.busy()
        self.service.end(signal.SIGKILL)
        print(f"killed {moment * 1000:.0f} ms into the hours at {self.clock.now}, with {running or 'nothing to do'}", flush=True)
        self.service.start()

    def fill(self):
        """The disk is full, again wherever something was removed, until the event is set."""
        ended = threading.Event()

        def filling():
            while not ended.is_set():
                self.disk.fill()
                ended.wait(0.02)

        thread = threading.Thread(target=filling, daemon=True)
        thread.start()

        def free():
            ended.set()
            thread.join()
            self.disk.ballast.unlink()

        return free

    def run(self):
        arguments = self.arguments
        steps = list(range(arguments.step, self.last + 1, arguments.step))
        measured = len(steps) - 100 // arguments.step
        kills = sorted(self.generator.sample(range(1, max(3, measured * 4 // 10)), 2))
        began, told = time.monotonic(), 0
        for number, hour in enumerate(steps):
            if BEGIN + hour * HOUR <= self.clock.now:
                continue
            self.arrive(hour)
            if hour == self.full and self.disk:
                self.full_disk(hour)
                continue
            self.clock.set(BEGIN + hour * HOUR)
            self.wake()
            if number in kills:
                self.kill()
            self.settle()
            self.measure(hour)
            if hour * 10 // self.last > told:
                told = hour * 10 // self.last
                pace = (time.monotonic() - began) / hour * 1000
                point = self.points[-1]
                print(
                    f"hour {hour}: {pace:.1f} ms an hour; peak {point['peak']:.1f} MB, PSS {point['pss']:.1f} MB, "
                    f"files {point['files']:.2f} MB, database {point['database']:.2f} MB, account {point['account']:.2f} MB",
                    flush=True,
                )
        self.seconds = time.monotonic() - began

    def full_disk(self, hour):
        """Half a day goes by with a full disk."""
        made = lambda: self.rows.one("SELECT count(*) FROM slots WHERE revision > 0")
        free, before = self.fill(), made()
        while os.statvfs(self.data).f_bavail:
            time.sleep(0.01)
        try:
            for ahead in range(HALF_A_DAY):
                self.arrive(hour + ahead)
                self.clock.set(BEGIN + (hour + ahead) * HOUR)
                self.wake()
                time.sleep(0.5)
            words = sum(" full" in line or "No space" in line for line in self.service.lines)
            room = os.statvfs(self.data).f_bavail
            print(
                f"the disk was full for {HALF_A_DAY} hours ({room} pages free): {made() - before} maps meanwhile, "
                f"{words} lines of the log say so",
                flush=True,
            )
        finally:
            free()
        began = time.monotonic()
        self.wake()
        # Failures are tried again later each time, by the clock of the service.
        while self.busy() is not None and time.monotonic() - began < 300:
            time.sleep(0.1)
        self.settle(5)
        self.measure(hour)

    def wanted(self, hour):
        kind = self.kinds[hour]
        return KINDS[kind][1] if kind in KINDS else NORMAL

    def check(self):
        """All that is not as it must be."""
        wrong = []
        first, last = BEGIN, BEGIN + (self.arguments.hours - 1) * HOUR
        rows = self.rows.all(
            "SELECT hour, state, revision, problem, message FROM slots WHERE schedule = 'year' AND hour BETWEEN ? AND ?",
            first,
            last,
        )
        slots = {(hour - BEGIN) // HOUR: rest for hour, *rest in rows}
        if len(rows) != self.arguments.hours or len(slots) != self.arguments.hours:
            wrong.append(f"{len(rows)} rows of {len(slots)} hours, {self.arguments.hours} wanted")
        revisions = {}
        for hour, revision in self.rows.all("SELECT hour, revision FROM revisions ORDER BY hour, revision"):
            revisions.setdefault((hour - BEGIN) // HOUR, []).append(revision)
        for hour, (state, revision, _, message) in sorted(slots.items()):
            if (state, revision) != self.wanted(hour):
                wrong.append(f"hour {hour} ({self.kinds[hour]}): {state} {revision}, not {self.wanted(hour)}: {message}")
            if revisions.get(hour, []) != list(range(1, revision + 1)):
                wrong.append(f"hour {hour}: revisions {revisions.get(hour)}, the latest is {revision}")
        wrong += self.check_sink(slots)
        counts = self.rows.all("SELECT state, count(*) FROM deliveries GROUP BY state")
        wrong += [f"{count} deliveries are {state}" for state, count in counts if state not in ("done", "superseded")]
        failed = self.rows.all("SELECT hour, revision, message FROM deliveries WHERE state = 'failed'")
        wrong += [f"hour {(hour - BEGIN) // HOUR}, revision {revision}: {message}" for hour, revision, message in failed]
        latest = self.rows.one(
            "SELECT count(*) FROM slots WHERE revision > 0 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE "
            "deliveries.hour = slots.hour AND deliveries.revision = slots.revision AND deliveries.state = 'done')"
        )
        if latest:
            wrong.append(f"{latest} hours whose latest revision was not delivered")
        doubled = self.rows.all("SELECT map, count(*) FROM revisions GROUP BY map HAVING count(*) > 1")
        wrong += [f"map {name} is of {count} revisions" for name, count in doubled]
        return wrong

    def check_sink(self, slots):
        import netCDF4

        wrong = []
        made = {hour: revision for hour, (_, revision, *_) in slots.items() if revision}
        name = lambda hour: time.strftime("%Y%m%d%H.nc", time.gmtime(BEGIN + hour * HOUR))
        files = {path.name for path in self.outbox.iterdir() if path.name != "latest.nc"}
        newest = sorted(files)[-1]
        later = {name(hour) for hour in range(self.arguments.hours, self.last + 1)}
        wanted = {name(hour) for hour in made}
        wrong += [f"the sink lacks {file}" for file in sorted(wanted - files)]
        wrong += [f"the sink has {file}" for file in sorted(files - wanted - later)]
        for hour, revision in made.items():
            path = self.outbox / name(hour)
            if not path.exists():
                continue
            with netCDF4.Dataset(path) as file:
                values = file["pm25"][...]
                expected = value(hour, revision - 1)
                # 4 digits are kept.
                if not math.isclose(float(values.min()), expected, rel_tol=1e-3) or not math.isclose(
                    float(values.max()), expected, rel_tol=1e-3
                ):
                    wrong.append(f"{path.name} has {values.min()} to {values.max()}, not {expected}")
        latest = os.path.realpath(self.outbox / "latest.nc")
        if os.path.basename(latest) != newest:
            wrong.append(f"latest.nc leads to {os.path.basename(latest)}, the newest is {newest}")
        return wrong

    def flat(self):
        """What grows after the first tenth, in the process that lived longest; and what is too much."""
        tenth = self.arguments.hours / 10
        starts = [point["start"] for point in self.points]
        longest = max(set(starts), key=starts.count)
        told, wrong = {}, []
        for name, unit in (("peak", "MB"), ("pss", "MB"), ("files", "MB")):
            own = [p for p in self.points if p["start"] == longest or name == "files"]
            points = [(p["hour"], p[name]) for p in own if p["hour"] > tenth]
            # A process that began later warms up first, too.
            points = points[len(points) // 10 :]
            rise, mean = slope(points)
            told[name] = {"rise": round(rise, 3), "mean": round(mean, 2), "hours": points[-1][0] - points[0][0]}
            if rise > max(0.05 * mean, 2.0) and self.arguments.hours >= 1000:
                wrong.append(f"{name} rises by {rise:.2f} {unit} (mean {mean:.2f}) over {told[name]['hours']} hours")
        # Rows of hours stay for 400 days, those of jobs and removed maps for 90, the days of the account as long as it says.
        for name in ("database", "account"):
            points = [(p["hour"], p[name]) for p in self.points if p["hour"] > self.arguments.hours / 2]
            rise, mean = slope(points)
            told[f"{name}_bytes_an_hour"] = round(rise * 1e6 / (points[-1][0] - points[0][0]))
        return told, wrong

    def end(self):
        self.service.end()
        if self.disk:
            self.disk.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--step", type=int, default=4, help="hours that the clock goes on at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-disk", action="store_true", help="without a full disk")
    parser.add_argument("--record", help="append the figures to this file, a line of JSON")
    arguments = parser.parse_args()
    if not COMPILER:
        print("SKIPPED: there is no C compiler, so the program's clock cannot be told")
        return
    with tempfile.TemporaryDirectory() as folder:
        year = Year(arguments, pathlib.Path(folder))
        try:
            year.run()
            wrong = year.check()
            flat, rising = year.flat()
        finally:
            year.end()
    wrong += rising
    counts = {kind: list(year.kinds.values()).count(kind) for kind in [*KINDS, "normal"]}
    figures = {
        "hours": arguments.hours,
        "seed": arguments.seed,
        "seconds": round(year.seconds, 1),
        "starts": year.service.starts,
        "disk_was_full": year.disk is not None,
        "kinds": counts,
        "flat": flat,
        "wrong": len(wrong),
    }
    print(json.dumps(figures, indent=1))
    for line in wrong[:50]:
        print(line)
    if arguments.record:
        with open(arguments.record, "a", encoding="utf-8") as file:
            file.write(json.dumps({**figures, "when": time.strftime("%FT%TZ", time.gmtime())}) + "\n")
    print(f"{arguments.hours} hours in {year.seconds:.0f} s: {'all as they must be' if not wrong else f'{len(wrong)} are wrong'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
