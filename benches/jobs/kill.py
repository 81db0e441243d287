#!/usr/bin/env python3
"""Kills the service, or fills its disk, at random moments of a job and looks what becomes of it.

    benches/jobs/kill.py target/release/isopleth --kills 50 --fields 200
    benches/jobs/kill.py target/release/isopleth --kills 20 --signal TERM
    benches/jobs/kill.py target/release/isopleth --kills 20 --disk-full      (as root: it mounts a small disk)

One job is accepted by a service that runs none; its folder is copied for each trial, so that all trials make the same
map. The first is undisturbed. In each of the others the service gets the signal at a random moment and is started
again. With --disk-full the folder is a small disk in memory, which is full from a random moment on and has room again some
seconds later; the service goes on all the time. Told: whether the bytes are those of the first, how many blocks were computed
twice, what is left in the folder. Needs nothing but Python.
"""

import argparse
import errno
import hashlib
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


class Service:
    """A running service on a folder."""

    def __init__(self, program, data, jobs, extra=None):
        settings = {
            "ISOPLETH_SERVE_DATA_DIR": str(data),
            "ISOPLETH_SERVE_JOB_CONCURRENCY": str(jobs),
            "ISOPLETH_SERVE_FACTOR_DIR": str(data / "factors"),
            "RUST_LOG": "info,isopleth_api::jobs=debug",
        }
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0"],
            env={**os.environ, **settings, **(extra or {})},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines, self.url, self.listens = [], None, threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self.listens.wait(60):
            sys.exit("the service does not listen:\n" + "".join(self.lines))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"127\.0\.0\.1:\d+", line)
            if found and not self.url:
                self.url = "http://" + found.group()
                self.listens.set()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def wait(self, job):
        while True:
            status = self.get(f"/v1/jobs/{job}")
            if status["status"] not in ("accepted", "running"):
                return status
            time.sleep(0.02)

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(120)
        time.sleep(0.05)

    def blocks(self):
        """Numbers of the blocks that this process computed."""
        told = [re.search(r"\"block\":(\d+)", line) for line in self.lines if "block done" in line]
        return [int(found.group(1)) for found in told if found]


def readings(stations, hours):
    rows = ["station,lon,lat,time,pm25"]
    for hour in range(hours):
        stamp = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(1_767_225_600 + 3600 * hour))
        for k in range(stations):
            lon, lat = 100 + (k * 0.618033988749895) % 1 * 10, 30 + (k * 0.754877666) % 1 * 8
            # Every station is silent now and then, each at other hours.
            if (k * 7 + hour * 3) % 41 == 0:
                continue
            value = 40 + 10 * math.sin(lon / 3 + hour / 5) + 5 * math.cos(lat)
            rows.append(f"s{k},{lon:.4f},{lat:.4f},{stamp},{value:.3f}")
    return "\n".join(rows).encode()


class Disk:
    """A small disk in memory, mounted on a folder."""

    def __init__(self, folder, size):
        self.folder, self.ballast = folder, folder / "ballast"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)

    def fill(self):
        """To the last page, again where something was removed meanwhile."""
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def end(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


def left_over(data):
    """What should not be there after the end."""
    names = [str(p.relative_to(data)) for d in ("work", "inputs", "maps") for p in (data / d).rglob("*")]
    return sorted(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--stations", type=int, default=300)
    parser.add_argument("--shape", default="700x500")
    parser.add_argument("--signal", choices=["KILL", "TERM"], default="KILL")
    parser.add_argument("--disk-full", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    how = getattr(signal, "SIG" + arguments.signal)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        seed = folder / "seed"
        service = Service(arguments.program, seed, 0)
        query = f"bounds=100,30,110,38&shape={arguments.shape}&kernel=linear"
        request = urllib.request.Request(
            f"{service.url}/v1/maps?{query}",
            data=readings(arguments.stations, arguments.fields),
            headers={"content-type": "text/csv", "prefer": "respond-async"},
        )
        with urllib.request.urlopen(request) as answer:
            job = json.load(answer)["id"]
        service.end()

        def trial(name, moment=None):
            data = folder / name
            disk = None
            if arguments.disk_full and moment is not None:
                # Room for the work and the map, with what is being put together, and for the database.
                disk = Disk(data, 4 * size + (64 << 20))
            shutil.copytree(seed, data, dirs_exist_ok=True)
            try:
                return run(data, moment, disk)
            finally:
                if disk:
                    disk.end()
                shutil.rmtree(data)

        def run(data, moment, disk):
            began = time.monotonic()
            service = Service(arguments.program, data, 1)
            computed, at_kill = [], None
            if disk:
                time.sleep(moment)
                at_kill = len(list((data / "work").rglob("block-*.json")))
                free = time.monotonic() + random.uniform(0.5, 5)
                while time.monotonic() < free:
                    disk.fill()
                    time.sleep(0.05)
                disk.ballast.unlink()
            elif moment is not None:
                time.sleep(moment)
                service.end(how)
                computed += service.blocks()
                at_kill = len(list((data / "work").rglob("block-*.json")))
                service = Service(arguments.program, data, 1)
            status = service.wait(job)
            seconds = time.monotonic() - began
            deadline = time.monotonic() + 30
            while any((data / "work").iterdir()) or any((data / "inputs").iterdir()):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            service.end()
            computed += service.blocks()
            left = left_over(data)
            files = [p for p in left if p.startswith("maps/") and p.endswith(".nc")]
            digest = hashlib.sha256((data / files[0]).read_bytes()).hexdigest() if files else None
            size = (data / files[0]).stat().st_size if files else 0
            return status, digest, computed, [p for p in left if p not in files], seconds, at_kill, size

        size = 0
        status, whole, computed, left, seconds, _, size = trial("undisturbed")
        if status["status"] != "successful":
            sys.exit(f"undisturbed: {status}")
        blocks = status["blocks"]["total"]
        print(f"undisturbed: {blocks} blocks, {size / 1e6:.1f} MB, {seconds:.2f} s, left over: {left}")
        same = finished = clean = repeated = inside = 0
        most_repeated = 0
        for k in range(arguments.kills):
            moment = random.uniform(0, seconds)
            status, digest, computed, left, took, at_kill, _ = trial(f"trial-{k}", moment)
            twice = max(0, len(computed) - blocks)
            finished += status["status"] == "successful"
            same += digest == whole
            clean += not left
            inside += 0 < at_kill < blocks
            repeated += twice
            most_repeated = max(most_repeated, twice)
            print(
                f"{k + 1:3}: {'disk full' if arguments.disk_full else arguments.signal} after {moment:.2f} s, {at_kill} of {blocks} blocks done then; "
                f"{status['status']}, same bytes: {digest == whole}, {twice} blocks twice, left over: {left}, {took:.2f} s",
                flush=True,
            )
        print(
            f"{arguments.kills} trials: {finished} finished, {same} with the same bytes, {clean} left nothing behind; "
            f"{inside} were hit between the first and the last block; completed blocks computed again: {repeated} "
            f"(at most {most_repeated} in a trial)"
        )
        sys.exit(0 if finished == same == clean == arguments.kills else 1)


if __name__ == "__main__":
    main()
