#!/usr/bin/env python3
"""Four times as many requests as the service can answer, of mixed sizes, for minutes.

    storm.py --program PATH                          five minutes, at least 10 000 requests
    storm.py --program PATH --seconds 30 --requests 500
    storm.py --program PATH --keep                   adds a line to benches/record/

Starts the service itself on a free port, with a folder of its own and a budget of memory. Requests are small maps that
somebody waits for (values of a registered network; readings with their stations), hours of maps at once, and jobs. First
the capacity is measured, by as many clients as there are places to compute, each waiting for its answer. Then requests
come at random moments at four times that rate, whether those before are answered or not, and latency counts from the
moment at which a request was to be sent. Told, and judged: every refusal is a 503 or 429 with Retry-After, every other
answer is whole, small maps take less than half a second in all but one of a hundred, memory stays within the budget, no
job fails, and the service ends well afterwards. Needs nothing but Python and Linux.
"""

import argparse
import collections
import csv
import datetime
import http.client
import json
import math
import os
import pathlib
import platform
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
CONCURRENCY, OF_A_MAP, FACTORS = 4, 128 * MIB, 64 * MIB
# What maps may take, factorisations kept, and the program itself with bodies and answers under way.
BUDGET = CONCURRENCY * OF_A_MAP + FACTORS + 192 * MIB
SETTINGS = {
    "CONCURRENCY": str(CONCURRENCY),
    "MEMORY_BYTES_PER_MAP": str(OF_A_MAP),
    "FACTOR_MEMORY_BYTES": str(FACTORS),
    "JOB_QUEUE_LENGTH": "20",
    "REQUESTS_PER_MINUTE": "0",
}
STATIONS, BODIES = 300, 16
GRID = {"bounds": [-10, 40, 10, 55], "shape": [200, 150]}
# Of a hundred requests; seconds within which 99 of 100 that are answered must be.
SHARES = {"values": 45, "readings": 35, "hours": 16, "job": 4}
INTERACTIVE, LIMIT = ("values", "readings"), 0.5
WORKERS = 96
FIELDS = ["seconds", "capacity", "rate", "kind", "sent", "answered", "refused", "p50_ms", "p99_ms", "longest_ms",
          "peak_bytes", "largest_pss_bytes", "budget_bytes"]  # fmt: skip


def network():
    draw = random.Random(7)
    return [
        {"id": f"s{k:03}", "lon": round(draw.uniform(-9.9, 9.9), 4), "lat": round(draw.uniform(40.1, 54.9), 4)}
        for k in range(STATIONS)
    ]


def values(stations, k):
    draw = random.Random(k)
    wave = [draw.uniform(0, 6) for _ in range(2)]
    return [
        round(30 + 15 * math.sin(s["lon"] / 3 + wave[0]) + 10 * math.cos(s["lat"] / 2 + wave[1]) + draw.gauss(0, 2), 1)
        for s in stations
    ]


def table(stations, k, hours):
    rows = ["station,lon,lat,time,pm25"]
    for hour in range(hours):
        moment = f"2024-03-{1 + hour // 24:02}T{hour % 24:02}:00:00Z"
        for s, value in zip(stations, values(stations, 100 * k + hour)):
            rows.append(f"{s['id']},{s['lon']},{s['lat']},{moment},{value}")
    return "\n".join(rows).encode()


def requests():
    """By kind: (path, headers, body) in turns."""
    stations = network()
    kinds = collections.defaultdict(list)
    text = {"content-type": "application/json", "accept": "application/x-netcdf"}
    for k in range(BODIES):
        moment, now = f"2024-03-01T{k:02}:00:00Z", values(stations, k)
        body = {"time": moment, "values": {"pm25": {s["id"]: v for s, v in zip(stations, now)}}}
        kinds["values"].append(("/v1/networks/storm/maps", text, json.dumps(body).encode()))
        body = {"grid": GRID, "stations": stations, "times": [moment], "values": {"pm25": [now]}}
        kinds["readings"].append(("/v1/maps", text, json.dumps(body).encode()))
        rows = {"content-type": "text/csv"}
        shape = ["300x200", "500x400", "800x600"][k % 3]
        path = f"/v1/maps?bounds=-10,40,10,55&shape={shape}"
        kinds["hours"].append((path, rows, table(stations, k, [6, 12, 24][k % 3])))
        if k < 4:
            path = "/v1/maps?bounds=-10,40,10,55&shape=1000x700&kernel=linear"
            kinds["job"].append((path, {**rows, "prefer": "respond-async"}, table(stations, k, 48)))
    return kinds


class Service:
    def __init__(self, program, folder):
        self.log_path = pathlib.Path(folder, "log")
        settings = {f"ISOPLETH_SERVE_{name}": value for name, value in SETTINGS.items()}
        settings["ISOPLETH_SERVE_DATA_DIR"] = f"{folder}/data"
        settings["RUST_LOG"] = "warn,isopleth_api::serve=info"
        words = [program, "serve", "--listen", "127.0.0.1:0"]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(words, stderr=log, stdout=subprocess.DEVNULL, env={**os.environ, **settings})
        for _ in range(300):
            found = re.search(r"127\.0\.0\.1:(\d+)", self.log())
            if found:
                self.address = ("127.0.0.1", int(found[1]))
                break
            time.sleep(0.1)
        else:
            sys.exit(f"the service does not begin:\n{self.log()}")
        self.largest_pss, self.watched = 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def _kib(self, file, name):
        try:
            found = re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(f"/proc/{self.process.pid}/{file}").read_text(), re.M)
        except OSError:
            return 0
        return int(found[1]) * 1024 if found else 0

    def _watch(self):
        while not self.watched.wait(0.5):
            self.largest_pss = max(self.largest_pss, self._kib("smaps_rollup", "Pss"))

    def peak(self):
        return self._kib("status", "VmHWM")

    def end(self):
        self.watched.set()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "nothing within 90 s of SIGTERM"


class Client:
    """One connection, opened again when it is closed."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def ask(self, method, path, headers=None, body=None):
        """Status, headers and body."""
        for again in (True, False):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(*self.address, timeout=120)
            try:
                try:
                    self.connection.request(method, path, body, headers or {})
                except ConnectionError:
                    # Refused before the body was taken: the answer is there all the same.
                    if not fresh:
                        raise
                answer = self.connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connection = None
                # A connection kept for long may have been closed meanwhile; a new one may not.
                if fresh or not again:
                    raise

    def json(self, method, path, body=None):
        headers = {"content-type": "application/json"}
        status, _, text = self.ask(method, path, headers, body and json.dumps(body).encode())
        return status, json.loads(text or b"null")


class Account:
    """What became of the requests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seconds = collections.defaultdict(list)
        self.statuses = collections.defaultdict(collections.Counter)
        self.wrong, self.jobs = [], []

    def book(self, kind, seconds, status, headers, body):
        with self.lock:
            self.statuses[kind][status] += 1
            if status in (200, 201):
                self.seconds[kind].append(seconds)
                if status == 201:
                    self.jobs.append(json.loads(body)["id"])
                elif not body.startswith(b"\x89HDF") or len(body) != int(headers.get("content-length", -1)):
                    self.wrong.append(f"{kind}: {len(body)} bytes that are no whole file")
            elif status not in (429, 503) or not headers.get("retry-after", "").isdigit():
                self.wrong.append(f"{kind}: {status} {dict(headers)} {body[:300]!r}")

    def broke(self, kind, error):
        with self.lock:
            self.statuses[kind]["broken"] += 1
            self.wrong.append(f"{kind}: {error!r}")


def draw_kind(draw):
    return draw.choices(list(SHARES), list(SHARES.values()))[0]


def capacity(service, kinds, seconds):
    """Requests a second when each client waits for its answer, and for the end of its job."""
    stop, counts = time.monotonic() + seconds, [0] * (CONCURRENCY + 1)
    account = Account()

    def work(number):
        client, draw = Client(service.address), random.Random(number)
        while time.monotonic() < stop:
            kind = draw_kind(draw)
            path, headers, body = draw.choice(kinds[kind])
            status, headers, body = client.ask("POST", path, headers, body)
            account.book(kind, 0, status, headers, body)
            if status == 201:
                job = json.loads(body)["id"]
                while client.json("GET", f"/v1/jobs/{job}")[1]["status"] in ("accepted", "running"):
                    time.sleep(0.02)
            counts[number] += status in (200, 201)

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if account.wrong:
        sys.exit("while capacity was measured:\n" + "\n".join(account.wrong[:10]))
    return sum(counts) / (time.monotonic() - began)


def storm(service, kinds, rate, seconds, seed):
    account, due, draw = Account(), queue.Queue(), random.Random(seed)

    def work():
        client = Client(service.address)
        while True:
            task = due.get()
            if task is None:
                return
            moment, kind, (path, headers, body) = task
            try:
                status, headers, body = client.ask("POST", path, headers, body)
                account.book(kind, time.monotonic() - moment, status, headers, body)
            except (OSError, http.client.HTTPException) as error:
                account.broke(kind, error)

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    moment = time.monotonic()
    end, late = moment + seconds, 0.0
    while moment < end:
        moment += draw.expovariate(rate)
        time.sleep(max(0.0, moment - time.monotonic()))
        late = max(late, due.qsize())
        kind = draw_kind(draw)
        due.put((moment, kind, draw.choice(kinds[kind])))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    if late > WORKERS:
        print(f"note: up to {late:.0f} requests waited for one of {WORKERS} clients", file=sys.stderr)
    return account


def afterwards(service, account):
    """The service is well, and jobs are done or dismissed; what is wrong is told."""
    client, wrong, states = Client(service.address), [], collections.Counter()
    for job in account.jobs:
        status, told = client.json("GET", f"/v1/jobs/{job}")
        if told["status"] in ("accepted", "running"):
            status, told = client.json("DELETE", f"/v1/jobs/{job}")
        states[told["status"]] += 1
        if status != 200 or told["status"] not in ("successful", "dismissed"):
            wrong.append(f"job {job}: {status} {told}")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        text = client.ask("GET", "/metrics")[2].decode()
        busy = [int(re.search(rf"^isopleth_{name} (\d+)", text, re.M)[1]) for name in ("computing", "waiting")]
        if busy == [0, 0]:
            break
        time.sleep(0.1)
    else:
        wrong.append(f"a minute after the last request {busy[0]} compute and {busy[1]} wait")
    return wrong, states


def share(seconds, part):
    """The least time within which this part of all were answered."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def keep(rows):
    model = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine()
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    name = "".join(c if c.isalnum() else "-" for c in model.lower()).strip("-")
    path = ROOT / "benches" / "record" / f"storm-{datetime.date.today()}-{name}.csv"
    new = not path.exists()
    with open(path, "a", newline="") as file:
        if new:
            file.write(f"# {model}, {os.cpu_count()} cores, commit {commit.stdout.strip()}\n")
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--requests", type=int, default=10_000, help="at least so many")
    parser.add_argument("--measure", type=float, default=20, help="seconds in which capacity is measured")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    kinds = requests()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(options.program, folder)
        try:
            client = Client(service.address)
            registered = {"stations": network(), "grid": GRID, "units": {"pm25": "ug/m3"}}
            status, told = client.json("PUT", "/v1/networks/storm", registered)
            if status not in (200, 201):
                sys.exit(f"the network: {status} {told}")
            able = capacity(service, kinds, options.measure)
            rate = max(4 * able, options.requests / options.seconds)
            print(f"capacity {able:.1f} requests a second; now {rate:.1f} ({rate / able:.1f} times) for {options.seconds:.0f} s")
            account = storm(service, kinds, rate, options.seconds, options.seed)
            wrong, states = afterwards(service, account)
            peak = service.peak()
        finally:
            code = service.end()
        log = service.log()
    wrong += account.wrong
    if code != 0:
        wrong.append(f"the service ended with {code}")
    if "panicked" in log:
        wrong.append(f"a panic:\n{log[-2000:]}")
    if max(peak, service.largest_pss) > BUDGET:
        wrong.append(f"memory: {peak} bytes at most (VmHWM), PSS {service.largest_pss}, of {BUDGET}")
    rows = []
    for kind in [*SHARES, "interactive"]:
        among = INTERACTIVE if kind == "interactive" else (kind,)
        seconds = [s for name in among for s in account.seconds[name]]
        counts = sum((account.statuses[name] for name in among), collections.Counter())
        milliseconds = [round(1000 * share(seconds, part), 1) for part in (0.5, 0.99, 1)]
        rows.append(dict(zip(FIELDS, [
            options.seconds, round(able, 2), round(rate, 2), kind, sum(counts.values()), len(seconds),
            counts[503] + counts[429], *milliseconds, peak, service.largest_pss, BUDGET,
        ])))  # fmt: skip
        print(f"{kind:12} {dict(counts)}, p50 {milliseconds[0]} ms, p99 {milliseconds[1]} ms, longest {milliseconds[2]} ms")
    print(f"memory: VmHWM {peak / MIB:.0f} MiB, PSS {service.largest_pss / MIB:.0f} MiB, budget {BUDGET / MIB:.0f} MiB; jobs {dict(states)}")
    if not rows[-1]["p99_ms"] < 1000 * LIMIT:
        wrong.append(f"interactive: 99 of 100 within {rows[-1]['p99_ms']} ms, not {1000 * LIMIT:.0f}")
    if options.keep:
        keep(rows)
    for line in wrong[:20]:
        print(f"WRONG {line}")
    if wrong:
        sys.exit(f"{len(wrong)} wrong")
    print("all as it should be")


if __name__ == "__main__":
    main()
