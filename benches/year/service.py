"""A service whose clock is told, its schedule, and what the system says of its memory and its disk.

The clock: a few lines in front of the program (clock.c) add to the time of day what a file says. It goes on as ours
does, and goes ahead when it is told to; timers go by the system's.
"""

import json
import os
import pathlib
import mmap
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

COMPILER = shutil.which("cc") or shutil.which("gcc")


class Clock:
    """The time of a service."""

    def __init__(self, folder, now):
        folder = pathlib.Path(folder)
        self.file, self.library = folder / "ahead", folder / "clock.so"
        source = pathlib.Path(__file__).resolve().with_name("clock.c")
        subprocess.run([COMPILER, "-O2", "-Wall", "-shared", "-fPIC", "-o", self.library, source], check=True)
        self.file.write_bytes(bytes(8))
        with open(self.file, "r+b") as file:
            self.ahead = mmap.mmap(file.fileno(), 8)
        self.set(now)

    @property
    def now(self):
        """Seconds since 1970, as the service has them."""
        return time.time() + struct.unpack("<q", self.ahead)[0] / 1e9

    def set(self, now):
        """Lets it go on from there."""
        self.ahead[:] = struct.pack("<q", int((now - time.time()) * 1e9))


class Service:
    """The program, started with a configuration; it may be killed and started again."""

    def __init__(self, program, config, clock=None):
        self.program, self.config, self.clock = program, config, clock
        self.starts = 0
        self.start()

    def start(self):
        environment = {**os.environ, "RUST_LOG": "warn,isopleth_api::serve=info", "TZ": "UTC"}
        if self.clock:
            environment |= {"LD_PRELOAD": str(self.clock.library), "TOLD_CLOCK": str(self.clock.file)}
        self.lines, self.url, listens = [], None, threading.Event()
        self.process = subprocess.Popen(
            [self.program, "serve", "--listen", "127.0.0.1:0", "--config", str(self.config)],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.starts += 1

        def read(pipe, lines):
            for line in pipe:
                # Of a service that fails all the time the last words are enough.
                lines.append(line)
                del lines[:-2000]
                found = re.search(r"127\.0\.0\.1:\d+", line)
                if found and not listens.is_set():
                    self.url = "http://" + found.group()
                    listens.set()

        threading.Thread(target=read, args=(self.process.stderr, self.lines), daemon=True).start()
        if not listens.wait(60):
            self.process.kill()
            raise SystemExit("the service does not listen:\n" + "".join(self.lines))

    def ask(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data is not None:
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(120)

    def memory(self):
        """Peak, and share of what is resident, in MB, as the system counts them."""
        folder = f"/proc/{self.process.pid}"
        peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(folder, "status").read_text())
        share = re.search(r"^Pss:\s+(\d+)", pathlib.Path(folder, "smaps_rollup").read_text(), re.M)
        return int(peak.group(1)) / 1000, int(share.group(1)) / 1000


class Rows:
    """The service's own rows, read beside it."""

    def __init__(self, data):
        self.path = pathlib.Path(data) / "isopleth.sqlite3"
        self.open()

    def open(self):
        self.database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)

    def all(self, sql, *of):
        try:
            return self.database.execute(sql, of).fetchall()
        except sqlite3.OperationalError:
            # Its files were replaced, or locked, while the service ended.
            self.database.close()
            self.open()
            return self.database.execute(sql, of).fetchall()

    def one(self, sql, *of):
        return self.all(sql, *of)[0][0]


def size_of(folder, but=()):
    """Bytes of the files below a folder, without those of some names."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            if name in but:
                continue
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                pass
    return total


def slope(points):
    """Least squares through (x, y): the rise of y from the first x to the last, and the mean of y."""
    count = len(points)
    if count < 3:
        return 0.0, points[-1][1] if points else 0.0
    mx = sum(x for x, _ in points) / count
    my = sum(y for _, y in points) / count
    square = sum((x - mx) ** 2 for x, _ in points)
    rise = sum((x - mx) * (y - my) for x, y in points) / square if square else 0.0
    return rise * (points[-1][0] - points[0][0]), my
