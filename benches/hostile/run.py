#!/usr/bin/env python3
"""Hostile requests against a service: does it answer, live, and keep its memory?

    benches/hostile/run.py --program target/release/isopleth [--requests 20000] [--seed 1]

Starts a service of its own on loopback and sends requests that no honest client sends (and some that one does), from
several threads. Fails if an answer is 5xx other than 503, if an honest request is not answered as it should be, if
the process ends or writes of a panic or an error, or if its memory goes on growing. Needs nothing but Python.
"""

import argparse
import collections
import gzip
import json
import os
import random
import re
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time

SETTINGS = {
    # What honest requests need, so that dishonest ones meet the limits.
    "MAX_BODY_BYTES": "1000000",
    "MAX_CELLS": "100000",
    "MAX_VALUES": "1000000",
    "HEAD_READ_SECONDS": "5",
    "BODY_READ_SECONDS": "5",
    "QUEUE_WAIT_SECONDS": "10",
    "QUEUE_LENGTH": "64",
    "REQUESTS_PER_MINUTE": "0",
    "REQUESTS_AT_ONCE": "0",
    "MAX_CONNECTIONS_PER_ADDRESS": "1000",
}
TABLE = "station,lon,lat,time,pm25\na,101,31,2026-01-01T00:00Z,5\nb,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\n"
QUERY = "bounds=100,30,110,38&shape=5x4&kernel=linear"
DOCUMENT = {
    "grid": {"bounds": [100, 30, 110, 38], "shape": [5, 4]},
    "method": {"kernel": "linear"},
    "stations": [{"id": "a", "lon": 101, "lat": 31}, {"id": "b", "lon": 108, "lat": 32}, {"id": "c", "lon": 104, "lat": 37}],
    "times": ["2026-01-01T00:00:00Z"],
    "values": {"pm25": [[5, 9, 7]]},
}
BOMB = gzip.compress(b"0" * 50_000_000)
ODD = ["NaN", "Infinity", "-Infinity", "1e999", "-0", "null", "true", '""', '"x"', "[]", "{}", "[[[[]]]]", "1e-999",
       "9" * 400, '"\\ud800"', '"\\u0000"', "0x10", "1.", "'1'", '"' + "y" * 5000 + '"']
PATHS = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/", "/v1/maps", "/v1/estimates",
         "/v1/crossvalidations", "/v1/kernels", "/v1/keys", "/v1/networks", "/v1/jobs", "/jobs", "/processes", "/collections"]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "", "P\tT"]
TYPES = ["application/json", "text/csv", "multipart/form-data; boundary=B", "multipart/form-data", "text/plain", "",
         "application/json; charset=utf-16", "TEXT/CSV", "\x7f", "*/*", "application/x-www-form-urlencoded"]


def noise(rng, most):
    return rng.randbytes(rng.randrange(most))


def letters(rng, most):
    return "".join(rng.choices(string.printable, k=rng.randrange(most)))


def message(method, target, headers, body=b"", length=None):
    """A request as bytes. The length is told as it is, unless another one is."""
    head = [f"{method} {target} HTTP/1.1", "host: t", "connection: close"] + [f"{k}: {v}" for k, v in headers]
    if length is None:
        length = len(body)
    if length is not False:
        head.append(f"content-length: {length}")
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def path(rng, query=QUERY):
    return rng.choice(PATHS[6:9]) + "?" + query


def odd_document(rng):
    """A document in which some value or key is something else."""
    text = json.dumps(DOCUMENT)
    for _ in range(rng.randrange(1, 4)):
        spots = [m.span() for m in re.finditer(r'-?\d+(\.\d+)?|"[^"]*"|\[[^\[\]]*\]', text)]
        if not spots:
            break
        start, end = rng.choice(spots)
        text = text[:start] + rng.choice(ODD) + text[end:]
    return text.encode("utf-8", "surrogatepass")


def cut(rng, text):
    """Bytes lost, doubled or changed."""
    data = bytearray(text)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(3)
        if what == 0:
            del data[at:at + rng.randrange(1, 20)]
        elif what == 1:
            data[at:at] = noise(rng, 8)
        else:
            data[at:at] = data[at:at + rng.randrange(1, 40)]
    return bytes(data)


# Each gives the bytes to send, or (bytes, statuses that are right).

def honest_table(rng):
    return message("POST", "/v1/maps?" + QUERY, [("content-type", "text/csv")], TABLE.encode()), {200, 503}


def honest_document(rng):
    return message("POST", "/v1/maps?f=json", [("content-type", "application/json")], json.dumps(DOCUMENT).encode()), {200, 503}


def honest_question(rng):
    return message("GET", rng.choice(["/healthz", "/v1/kernels", "/metrics", "/openapi.json"]), []), {200}


def any_request(rng):
    headers = [(rng.choice(["accept", "content-type", "range", "x-a", "expect", "upgrade", "x-forwarded-for", "authorization", "cookie"]),
                letters(rng, 40).replace("\r", "").replace("\n", "")) for _ in range(rng.randrange(6))]
    target = rng.choice(PATHS) + rng.choice(["", "/", "//", "/../..", "/%00", "/%2e%2e/", "?", "?f=", "?" + letters(rng, 30).replace("\n", "")])
    return message(rng.choice(METHODS), target, headers, noise(rng, 200))


def bytes_alone(rng):
    return noise(rng, 2000)


def odd_json(rng):
    return message("POST", path(rng, "f=json"), [("content-type", "application/json")], odd_document(rng))


def broken_json(rng):
    return message("POST", path(rng, ""), [("content-type", "application/json")], cut(rng, json.dumps(DOCUMENT).encode()))


def deep_json(rng):
    deep = rng.choice([100, 1000, 100_000])
    body = rng.choice([b"[" * deep, b'{"a":' * deep, b'{"stations":' + b"[" * deep + b"]" * deep + b"}"])
    return message("POST", "/v1/maps", [("content-type", "application/json")], body), {400, 413, 422, 503}


def unequal_arrays(rng):
    document = json.loads(json.dumps(DOCUMENT))
    document["values"]["pm25"] = [[1.0] * rng.randrange(6) for _ in range(rng.randrange(4))]
    if rng.random() < 0.5:
        document["times"] = ["2026-01-01T00:00:00Z"] * rng.randrange(4)
    return message("POST", path(rng, ""), [("content-type", "application/json")], json.dumps(document).encode())


def broken_table(rng):
    return message("POST", path(rng), [("content-type", "text/csv")], cut(rng, TABLE.encode()))


def not_unicode(rng):
    body = TABLE.encode() + b"\xff\xfe\xc3\x28,\x80,\xed\xa0\x80,2026,5\n" + noise(rng, 300)
    return message("POST", path(rng), [("content-type", "text/csv")], body)


def odd_query(rng):
    values = ["nan,0,1,1", "1,2,3", "0,0,0,0", "-1e308,-90,1e308,90", "73,18,135,1e999", "a,b,c,d", "0" * 3000]
    query = "&".join([
        f"bounds={rng.choice(values)}",
        f"shape={rng.choice(['0x0', '1x1', '-1x5', '99999999999x2', '4294967296x4294967296', 'axb', '5x4'])}",
        rng.choice(["epsilon=nan", "epsilon=-1", "smoothing=inf", "degree=99", "kernel=x", "f=exe", "tolerance=0", "x=%ff", "crs=%00"]),
    ])
    return message("POST", path(rng, query), [("content-type", "text/csv")], TABLE.encode()), {400, 406, 413, 414, 415, 422, 503}


def bomb(rng):
    return message("POST", "/v1/maps?" + QUERY, [("content-type", "text/csv"), ("content-encoding", "gzip")], BOMB), {413, 503}


def bad_gzip(rng):
    packed = gzip.compress(TABLE.encode())
    body = rng.choice([packed[: rng.randrange(len(packed))], cut(rng, packed), gzip.compress(packed), b"\x1f\x8b", b""])
    return message("POST", path(rng), [("content-type", "text/csv"), ("content-encoding", "gzip")], body)


def half_body(rng):
    return message("POST", path(rng), [("content-type", "text/csv")], TABLE.encode(), length=len(TABLE) + rng.randrange(1, 10_000))


def wrong_length(rng):
    length = rng.choice([0, 1, 5, "-1", "x", "99999999999999999999", "5, 6", "+5", " ", 10**12])
    return message("POST", path(rng), [("content-type", "text/csv")], TABLE.encode(), length=length)


def two_of_one(rng):
    twice = rng.choice([
        [("content-type", "text/csv"), ("content-type", "application/json")],
        [("content-type", "text/csv"), ("content-length", "3")],
        [("content-type", "text/csv"), ("transfer-encoding", "chunked")],
        [("content-type", "text/csv"), ("transfer-encoding", "chunked"), ("transfer-encoding", "identity")],
        [("content-type", "text/csv"), ("content-encoding", "gzip"), ("content-encoding", "br")],
    ])
    return message("POST", path(rng), twice, TABLE.encode())


def bad_chunks(rng):
    body = rng.choice([b"5\r\nabcde\r\n", b"FFFFFFFFFFFFFFFF\r\nx", b"-1\r\n", b"zz\r\nabc\r\n0\r\n\r\n", noise(rng, 200),
                       b"1;" + b"e" * 5000 + b"\r\na\r\n0\r\n\r\n", b"0\r\n" + b"t: v\r\n" * 500 + b"\r\n"])
    return message("POST", path(rng), [("content-type", "text/csv"), ("transfer-encoding", "chunked")], body, length=False)


def bad_form(rng):
    part = b'--B\r\ncontent-disposition: form-data; name="readings"; filename="r.csv"\r\n\r\n' + TABLE.encode() + b"\r\n"
    body = rng.choice([part, part * 2 + b"--B--\r\n", b"--B\r\n\r\n--B--", cut(rng, part + b"--B--\r\n"), b"--B\r\n" * 1000,
                       part.replace(b"readings", b"request") + b"--B--\r\n", noise(rng, 500)])
    return message("POST", path(rng, ""), [("content-type", "multipart/form-data; boundary=B")], body)


def long_head(rng):
    many = [(f"x-{k}", "v" * rng.choice([1, 100])) for k in range(rng.choice([50, 99, 150, 2000]))]
    target = "/v1/kernels?" + "q" * rng.choice([10, 9000, 70_000])
    return message("GET", target, rng.choice([many, [("x-long", "v" * 100_000)], []]))


def wrong_type(rng):
    return message("POST", path(rng), [("content-type", rng.choice(TYPES))], rng.choice([TABLE.encode(), b"", json.dumps(DOCUMENT).encode()]))


def bad_keys(rng):
    key = rng.choice(["iso_", "iso_boot_" + "0" * 64, "Bearer " + letters(rng, 30).strip(), "Basic eDp5", "\x00", "iso_" + "a" * 9000])
    return message("GET", "/v1/kernels", [(rng.choice(["authorization", "x-api-key"]), key.replace("\n", "").replace("\r", ""))])


KINDS = [honest_table, honest_document, honest_question, any_request, bytes_alone, odd_json, odd_json, broken_json, deep_json,
         unequal_arrays, broken_table, broken_table, not_unicode, odd_query, bad_gzip, half_body, wrong_length, two_of_one,
         bad_chunks, bad_form, long_head, wrong_type, bad_keys]
# After these the service would wait for more, until its patience ends.
UNFINISHED = {any_request, bytes_alone, half_body, wrong_length, two_of_one, bad_chunks, long_head}
# Costly for whoever sends them, too: one in so many.
BOMBS = 500


def send(address, data, hang_up=False):
    """The status of the answer; 0 where the connection was closed without one. Hanging up: nothing more is to come."""
    # A port of one address is not free again for a minute; loopback has 16 million addresses.
    source = f"127.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    with socket.create_connection(address, timeout=60, source_address=(source, 0)) as stream:
        try:
            stream.sendall(data)
            if hang_up:
                stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It has answered already and does not want the rest.
        answer = b""
        try:
            while chunk := stream.recv(65536):
                if len(answer) < 4096:
                    answer += chunk
        except ConnectionResetError:
            pass
    found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return int(found[1]) if found else 0, answer


class Service:
    def __init__(self, program, folder):
        self.log_path = os.path.join(folder, "log")
        settings = {f"ISOPLETH_SERVE_{k}": v for k, v in SETTINGS.items()}
        settings["ISOPLETH_SERVE_DATA_DIR"] = os.path.join(folder, "data")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0"], stderr=log, env=os.environ | settings | {"RUST_LOG": "warn,isopleth_api::serve=info"})
        for _ in range(200):
            found = re.search(r"127\.0\.0\.1:(\d+)", self.log())
            if found:
                self.address = ("127.0.0.1", int(found[1]))
                return
            time.sleep(0.1)
        sys.exit(f"the service does not begin:\n{self.log()}")

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024


def worker(service, seed, share, counts, wrong, done):
    rng = random.Random(seed)
    for _ in range(share):
        kind = bomb if rng.randrange(BOMBS) == 0 else rng.choice(KINDS)
        made = kind(rng)
        data, right = made if isinstance(made, tuple) else (made, None)
        try:
            status, answer = send(service.address, data, kind in UNFINISHED)
        except OSError as error:
            wrong.append(f"{kind.__name__}: {error!r}")
            status, answer = -1, b""
        counts[kind.__name__][status] += 1
        bad = status >= 500 and status != 503
        if bad or (right and status not in right):
            wrong.append(f"{kind.__name__}: {status}\n  sent {data[:400]!r}\n  told {answer[:600]!r}")
        done[0] += 1
        if len(wrong) > 20:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(arguments.program, folder)
        counts = collections.defaultdict(collections.Counter)
        wrong, done, memory, start = [], [0], [], time.monotonic()
        share = -(-arguments.requests // arguments.threads)
        threads = [threading.Thread(target=worker, args=(service, f"{arguments.seed}/{k}", share, counts, wrong, done), daemon=True)
                   for k in range(arguments.threads)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            if service.process.poll() is not None:
                sys.exit(f"the service ended with {service.process.returncode}\n{service.log()[-4000:]}")
            memory.append((done[0], service.resident()))
        seconds = time.monotonic() - start
        time.sleep(2)
        status, _ = send(service.address, message("GET", "/healthz", []))
        last = service.resident()
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(60)
        log = service.log()

    for kind in sorted(counts):
        print(f"{kind:16}", *(f"{s or 'closed'}: {n}" for s, n in sorted(counts[kind].items())), sep="  ")
    # After a third everything has been met and every pool is filled.
    settled = max((m for d, m in memory if d < done[0] / 3), default=last)
    peak = max([m for _, m in memory] + [last])
    print(f"{done[0]} requests in {seconds:.1f} s ({done[0] / seconds:.0f}/s); resident {settled / 1e6:.1f} MB after a third, "
          f"{peak / 1e6:.1f} MB at most, {last / 1e6:.1f} MB at the end")
    if status != 200 or code != 0:
        wrong.append(f"at the end: health {status}, exit code {code}")
    if last > settled * 1.25 + 16e6:
        wrong.append(f"memory grew from {settled / 1e6:.1f} to {last / 1e6:.1f} MB")
    bad_lines = [line for line in log.splitlines() if "panicked" in line or '"level":"ERROR"' in line]
    wrong += [f"log: {line}" for line in bad_lines[:20]]
    for line in wrong:
        print("WRONG", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
