"""Colloquy's HTTP beside a small service of Fastify and node-postgres, under wrk, in one run on one PostgreSQL server.

`./dev bench http` runs it. What is measured, and why it is a fair comparison, is in bench/README.md.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))
import packages  # noqa: E402

START_SECONDS = 120
FILL_SECONDS = 180
STOP_SECONDS = 20
MESSAGES_READ = 20
# What Colloquy is to reach, as multiples of the peer's.
APPENDS_WANTED, READS_WANTED, P99_WANTED = 5.0, 7.0, 0.1


Failure = packages.Failure


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A process that serves HTTP on a port of this machine."""

    def __init__(self, name, port, command, log, environment=None, cwd=None):
        self.name, self.port, self.log = name, port, log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=cwd,
                                            env={**os.environ, **(environment or {})})

    def ask(self, method, path, body=None):
        """(status, the reply's JSON)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return self.ask_on(connection, method, path, body)
        finally:
            connection.close()

    @staticmethod
    def ask_on(connection, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else None

    def wait_until_ready(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} has ended with {self.process.returncode}; it said:\n{self.said()}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        raise Failure(f"{self.name} is not ready after {START_SECONDS} s; it said:\n{self.said()}")

    def said(self):
        return Path(self.log).read_text(errors="replace")[-2000:]

    def make_sessions(self, count):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        ids = []
        for number in range(count):
            status, made = self.ask_on(connection, "POST", "/v1/sessions", {"user_id": f"user-{number % 100}"})
            if status != 201:
                raise Failure(f"{self.name}: a session was not made: {status} {made}")
            ids.append(made["id"])
        connection.close()
        random.Random(1).shuffle(ids)
        return ids

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Database:
    """The server that the embedded cluster's socket leads to."""

    def __init__(self, socket_dir, bin_dir):
        self.socket_dir = str(socket_dir)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda path: float(path.parts[-3]))
        self.psql = bin_dir / "psql" if bin_dir else (found[-1] if found else "psql")

    def run(self, database, *arguments):
        done = subprocess.run([str(self.psql), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.socket_dir,
                               "-U", "postgres", "-d", database, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def check_durability(self):
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            if self.run("postgres", "-c", f"SHOW {name}") != "on":
                raise Failure(f"{name} is off on this server: nothing that is measured here would be durable")

    def counted(self, database):
        """How many messages there are; fails if a log has a hole."""
        holes = self.run(database, "-c", 'SELECT count(*) FROM (SELECT FROM events GROUP BY tenant_id, log_id '
                                         'HAVING count(*) <> max("offset") + 1) AS broken')
        if holes != "0":
            raise Failure(f"{database}: {holes} logs have holes")
        return int(self.run(database, "-c", "SELECT count(*) FROM events WHERE kind = 'message'"))


def run_wrk(options, service, ids_file, script, seconds):
    """wrk's figures of one run; any reply but 2xx, or none, is a failure of the run."""
    command = ["wrk", f"-c{options.connections}", "-t1", f"-d{seconds}s", "--latency", "--timeout", "10s",
               "-s", str(HERE / script), f"http://127.0.0.1:{service.port}", "--", str(ids_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise Failure(f"wrk against {service.name}: {done.stdout}{done.stderr}")
    figures = json.loads(lines[-1])
    if figures["failed"] or not figures["requests"]:
        raise Failure(f"wrk against {service.name}: {figures['failed']} of {figures['requests']} requests failed; it "
                      f"said:\n{service.said()}")
    return {"per_s": figures["requests"] / figures["duration_us"] * 1e6, "p50_ms": figures["p50_us"] / 1e3,
            "p99_ms": figures["p99_us"] / 1e3, "requests": figures["requests"]}


class Measured:
    """A service under measurement: its sessions, and the figures of each round."""

    def __init__(self, service, options, folder):
        self.service, self.options = service, options
        self.ids = service.make_sessions(options.sessions)
        self.ids_file = folder / f"{service.name}.ids"
        self.ids_file.write_text("".join(f"{each}\n" for each in self.ids))
        self.rounds = {"append": [], "read": []}
        self.acknowledged = 0

    def measure(self, what, seconds, keep=True):
        script = {"append": "append.lua", "read": "newest.lua"}[what]
        figures = run_wrk(self.options, self.service, self.ids_file, script, seconds)
        if what == "append":
            self.acknowledged += figures["requests"]
        if keep:
            self.rounds[what].append(figures)

    def fill(self):
        """Until each session has as many messages as are read at once. Warms up, too."""
        until = time.monotonic() + FILL_SECONDS
        while time.monotonic() < until:
            self.measure("append", self.options.seconds_warm, keep=False)
            if all(self.newest(each) == MESSAGES_READ for each in self.ids[:: max(1, len(self.ids) // 50)]):
                self.measure("read", self.options.seconds_warm, keep=False)
                return
        raise Failure(f"{self.service.name}: sessions do not fill up")

    def newest(self, session):
        status, page = self.service.ask("GET", f"/v1/sessions/{session}/messages?order=desc&limit={MESSAGES_READ}")
        if status != 200:
            raise Failure(f"{self.service.name}: {status} {page}")
        offsets = [item["offset"] for item in page["items"]]
        if offsets != sorted(offsets, reverse=True) or len(set(offsets)) != len(offsets):
            raise Failure(f"{self.service.name}: wrong page: {offsets}")
        return len(offsets)

    def median(self, what, figure):
        return statistics.median(each[figure] for each in self.rounds[what])

    def report(self):
        return {f"{what}_{figure}": round(self.median(what, figure), 3)
                for what in ("append", "read") for figure in ("per_s", "p50_ms", "p99_ms")}


def ratios_of(ours, theirs):
    return {
        "append_per_s": ours.median("append", "per_s") / theirs.median("append", "per_s"),
        "read_per_s": ours.median("read", "per_s") / theirs.median("read", "per_s"),
        "append_p99": ours.median("append", "p99_ms") / theirs.median("append", "p99_ms"),
        "read_p99": ours.median("read", "p99_ms") / theirs.median("read", "p99_ms"),
    }


def is_reached(ratios):
    return (ratios["append_per_s"] >= APPENDS_WANTED and ratios["read_per_s"] >= READS_WANTED and
            ratios["append_p99"] <= P99_WANTED and ratios["read_p99"] <= P99_WANTED)


def print_table(measured):
    print(f"{'':10} {'appends/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'reads/s':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for each in measured:
        row = each.report()
        print(f"{each.service.name:10} {row['append_per_s']:10.0f} {row['append_p50_ms']:8.2f} "
              f"{row['append_p99_ms']:8.2f} {row['read_per_s']:10.0f} {row['read_p50_ms']:8.2f} "
              f"{row['read_p99_ms']:8.2f}")


def start_colloquy(options, folder):
    port = free_port()
    service = Service("colloquy", port, [str(options.program), "serve", "--listen", f"127.0.0.1:{port}", "--data-dir",
                                         str(folder / "data")], folder / "colloquy.log")
    return service


def start_peer(options, folder, database):
    peer = packages.install("fastify", options.folder or tempfile.gettempdir())
    database.run("postgres", "-c", "DROP DATABASE IF EXISTS peer")
    database.run("postgres", "-c", "CREATE DATABASE peer")
    database.run("peer", "-f", str(peer / "schema.sql"))
    port = free_port()
    return Service("fastify", port, ["node", "server.mjs"], folder / "fastify.log", cwd=peer, environment={
        "PORT": str(port), "PGHOST": database.socket_dir, "PGUSER": "postgres", "PGDATABASE": "peer",
        "NODE_ENV": "production"})


def measure_all(options, folder, services):
    database = Database(options.postgres or folder / "data" / "postgres" / "socket", options.postgres_bin_dir)
    measured = []
    if not options.peer_only:
        services.append(start_colloquy(options, folder))
        services[-1].wait_until_ready()
        measured.append(Measured(services[-1], options, folder))
    database.check_durability()
    services.append(start_peer(options, folder, database))
    services[-1].wait_until_ready()
    measured.append(Measured(services[-1], options, folder))
    for each in measured:
        each.fill()
    for number in range(options.rounds):
        for what in ("append", "read"):
            # Neither is always the first, and neither pays for the other's dirty pages.
            for each in measured if number % 2 == 0 else reversed(measured):
                database.run("postgres", "-c", "CHECKPOINT")
                each.measure(what, options.seconds)
                print(f"round {number + 1}: {each.service.name}: {each.rounds[what][-1]['per_s']:.0f} {what}s/s, p99 "
                      f"{each.rounds[what][-1]['p99_ms']:.2f} ms", file=sys.stderr)
    for each in measured:
        name = {"fastify": "peer"}.get(each.service.name, each.service.name)
        kept = database.counted(name)
        if kept < each.acknowledged:
            raise Failure(f"{each.service.name}: {each.acknowledged} appends were answered, {kept} are in the database")
    return measured


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, help="the colloquy program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of one measurement")
    parser.add_argument("--seconds-warm", type=int, default=5, help="of a run before that does not count")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the data folder is made; it goes away again")
    parser.add_argument("--require", action="store_true", help="fail unless what Colloquy is to reach is reached")
    parser.add_argument("--peer-only", action="store_true", help="the peer alone; needs --postgres")
    parser.add_argument("--postgres", help="socket folder of a server that runs already, whose user postgres we may be")
    parser.add_argument("--postgres-bin-dir", type=Path)
    options = parser.parse_args()
    if options.peer_only and not options.postgres:
        parser.error("--peer-only needs --postgres: a server is started by colloquy only")
    if not options.peer_only and not options.program:
        parser.error("--program is needed")
    return options


def main():
    options = parse_options()
    folder = Path(tempfile.mkdtemp(prefix="http-bench-", dir=options.folder)).resolve()
    services = []
    try:
        measured = measure_all(options, folder, services)
    except (Failure, OSError, http.client.HTTPException) as failure:
        print(f"compare.py: failed: {failure}", file=sys.stderr)
        for service in services:
            if service.process.poll() is not None:
                print(f"{service.name} has ended with {service.process.returncode}; it said:\n{service.said()}",
                      file=sys.stderr)
        return 1
    finally:
        for service in reversed(services): # Colloquy last, since its server is everybody's
            service.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print_table(measured)
    line = {each.service.name: each.report() for each in measured}
    line["setup"] = {"rounds": options.rounds, "seconds": options.seconds, "connections": options.connections,
                     "sessions": options.sessions, "processors": os.cpu_count()}
    if len(measured) == 2:
        ratios = ratios_of(*measured)
        line["ratios"] = {name: round(ratio, 3) for name, ratio in ratios.items()}
        print("Colloquy's as multiples of Fastify's: " + ", ".join(f"{n} {r:.2f}" for n, r in ratios.items()))
    print(json.dumps(line))
    return 1 if options.require and len(measured) == 2 and not is_reached(ratios) else 0


if __name__ == "__main__":
    sys.exit(main())
