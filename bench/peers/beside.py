"""Colloquy beside others: the same workload for each, in turn and repeated, in one run on one PostgreSQL server.

`./dev bench peers` runs it. Who they are, and what is fair and what is not, is in bench/README.md.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "http"))
import compare  # noqa: E402
import packages  # noqa: E402
from compare import Failure  # noqa: E402

PYTHON = "/usr/bin/python3" # the one that Debian's packages belong to
ROWS_COPIED_MAX = 300_000
QUICK_SECONDS_MAX = 165
PGBENCH_SECONDS_MIN = 3 # which include connecting
PEERS_APPEND = ["node-postgres", "node-postgres, INSERT alone", "LangGraph.js checkpointer", "asyncpg",
                "5 threads, psycopg2"]
PEERS_TURN = [each for each in PEERS_APPEND if "INSERT" not in each]
COMMANDS = {"node-postgres": ("node", "pg"), "node-postgres, INSERT alone": ("node", "pg-insert"),
            "LangGraph.js checkpointer": ("node", "langgraph"), "asyncpg": ("python", "asyncpg"),
            "5 threads, psycopg2": ("python", "threads")}
US, LIMIT, INSERTS = "Colloquy", "COPY, one for all rows", "pgbench, prepared INSERT"
FASTIFY = "Fastify and node-postgres"
MARKS = "<!-- beside others: written by `./dev bench peers` -->", "<!-- end of beside others -->"


class Beside:
    """The server, whose owner is `colloquy serve`, and the databases of all who are measured on it."""

    def __init__(self, options, folder, services):
        self.options, self.folder, self.services = options, folder, services
        self.node = packages.install("node", options.build)
        services.append(compare.start_colloquy(options, folder))
        self.services[0].wait_until_ready()
        self.database = compare.Database(folder / "data" / "postgres" / "socket", None)
        self.database.check_durability()
        self.found = {"append": {}, "turn": {}, "http append": {}, "http read": {}}
        self.facts = None
        self.make_databases()
        self.http = self.start_http()

    def sql(self, database, text):
        return self.database.run(database, "-c", text)

    def make_databases(self):
        self.sql("postgres", "CREATE DATABASE inside OWNER colloquy_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        self.sql("inside", "ALTER SCHEMA public OWNER TO colloquy_owner")
        migrated = subprocess.run([str(self.options.program), "migrate", "--database", self.conninfo()],
                                  capture_output=True, text=True)
        if migrated.returncode != 0:
            raise Failure(f"migrating: {migrated.stderr}")
        self.sql("inside", "CREATE TABLE bench_copy (LIKE events INCLUDING ALL); CREATE SEQUENCE bench_offsets CACHE 100")
        self.sql("postgres", "CREATE DATABASE peers TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        self.database.run("peers", "-f", str(HERE / "fastify" / "schema.sql"))
        ids = self.sql("peers", "INSERT INTO sessions (tenant_id, id, user_id) SELECT 'default', gen_random_uuid(), 'user'"
                                f" FROM generate_series(1, {self.options.sessions}) RETURNING id")
        self.ids = self.folder / "sessions.ids"
        self.ids.write_text(ids + "\n")

    def conninfo(self):
        return f"host={self.database.socket_dir} port=5432 user=colloquy_owner dbname=inside"

    def start_http(self):
        options = SimpleNamespace(**{**vars(self.options), "folder": self.options.build,
                                     "seconds_warm": max(1, round(self.options.seconds))})
        self.services.append(compare.start_peer(options, self.folder, self.database))
        self.services[1].wait_until_ready()
        measured = {US: compare.Measured(self.services[0], options, self.folder),
                    FASTIFY: compare.Measured(self.services[1], options, self.folder)}
        for each in measured.values():
            each.fill()
        return measured

    # What is measured: each gives {"per_s", "p50_ms", "p99_ms"}, as far as it has them.

    def inside(self, workload):
        """Through the service in the program's own process; every event is read back by it and counted here."""
        command = [str(self.options.program), "bench", workload, "--durability", "durable", "--database", self.conninfo(),
                   "--keep", "--json", "--sessions", str(self.options.sessions), "--concurrency",
                   str(self.options.concurrency_inside), "--duration", f"{round(self.options.seconds * 1000)}ms",
                   "--warm-up", f"{round(self.options.seconds_warm * 1000)}ms"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment("inside"))
        if done.returncode != 0:
            raise Failure(f"colloquy bench {workload}: {done.stderr}{done.stdout}")
        report = json.loads(done.stdout.strip().splitlines()[-1])
        self.facts = {"machine": report["machine"], "server": report["server"]}
        if report["server"]["row_level_security"] != "forced":
            raise Failure("row level security is not forced")
        found = report["measurements"][0]
        counted = self.database.counted("inside")
        if counted != found["events_verified"] or counted < found["operations"]:
            raise Failure(f"colloquy bench {workload}: {found['operations']} operations, {found['events_verified']} events "
                          f"were read back, {counted} are in the database")
        if workload == "append":
            self.database.run("inside", "-c", f"\\copy (SELECT * FROM events LIMIT {ROWS_COPIED_MAX}) TO "
                                              f"'{self.rows_file()}'")
        self.sql("inside", "TRUNCATE events")
        return {"per_s": found["per_s"], "p50_ms": found["latency_ms"]["p50"], "p99_ms": found["latency_ms"]["p99"]}

    def rows_file(self):
        return self.folder / "rows.copy"

    def copy(self):
        """The rows that the service wrote just before, by one COPY into a table with the same columns and indexes."""
        rows = sum(1 for _ in open(self.rows_file(), "rb"))
        self.sql("inside", "TRUNCATE bench_copy")
        self.sql("postgres", "CHECKPOINT")
        said = self.database.run("inside", "-c", "\\timing on", "-c", f"\\copy bench_copy FROM '{self.rows_file()}'")
        if self.sql("inside", "SELECT count(*) FROM bench_copy") != str(rows):
            raise Failure("COPY did not write all rows")
        milliseconds = float(said.split("Time:")[1].split()[0].replace(",", "."))
        return {"per_s": rows / milliseconds * 1000}

    def pgbench(self):
        self.sql("inside", "TRUNCATE bench_copy")
        command = [str(Path(self.database.psql).parent / "pgbench"), "-n", "-M", "prepared", "-c",
                   str(self.options.concurrency), "-T", str(max(PGBENCH_SECONDS_MIN, round(self.options.seconds))), "-f",
                   str(HERE / "pgbench.sql"), "-h", self.database.socket_dir, "-U", "postgres", "inside"]
        done = subprocess.run(command, capture_output=True, text=True)
        line = [each for each in done.stdout.splitlines() if each.startswith("tps = ")]
        if done.returncode != 0 or not line:
            raise Failure(f"pgbench: {done.stdout}{done.stderr}")
        return {"per_s": float(line[0].split()[2])}

    def environment(self, database):
        return {**os.environ, "PGHOST": self.database.socket_dir, "PGUSER": "postgres", "PGDATABASE": database,
                "NODE_ENV": "production", "STATEMENTS": str(HERE / "statements.json"),
                "PEER_CONNECTIONS": str(self.options.peer_connections)}

    def peer(self, name, workload):
        language, which = COMMANDS[name]
        self.sql("peers", "TRUNCATE events; UPDATE sessions SET next_offset = 0")
        if workload == "turn":
            self.fill_peers()
        self.sql("peers", "VACUUM sessions")
        script = [["node", "workload.mjs"], [PYTHON, str(HERE / "python" / "workload.py")]][language == "python"]
        done = subprocess.run([*script, which, workload, str(self.options.seconds), str(self.options.seconds_warm),
                               str(self.options.concurrency), str(self.ids)], capture_output=True, text=True,
                              cwd=self.node, env=self.environment("peers"))
        if done.returncode != 0:
            raise Failure(f"{name}: {done.stderr[-2000:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        self.check_peer(name, workload, found["operations"])
        return found

    def fill_peers(self):
        self.sql("peers", "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, data, messages)"
                          " SELECT tenant_id, id, nth, now(), 'message', 'user',"
                          " '{\"role\":\"user\",\"content\":\"' || repeat('x', 172) || '\"}', nth + 1"
                          " FROM sessions, generate_series(0, 19) AS nth; UPDATE sessions SET next_offset = 20;"
                          " ANALYZE events")

    def check_peer(self, name, workload, operations):
        if name == "LangGraph.js checkpointer":
            written = int(self.sql("peers", "SELECT count(*) FROM checkpoints"))
            self.sql("peers", "TRUNCATE checkpoints, checkpoint_blobs, checkpoint_writes")
        else:
            written = self.database.counted("peers")
            if workload == "turn":
                written = (written - 20 * self.options.sessions) / 2
        if written < operations:
            raise Failure(f"{name}: {operations} operations were answered, {written} are in the database")

    def over_http(self, name, what):
        measured = self.http[name]
        measured.measure(what, max(1, round(self.options.seconds)))
        return measured.rounds[what][-1]

    def steps(self):
        """(workload, who, how), in the order of a round; COPY takes the rows of the service's run before it."""
        yield "append", US, lambda: self.inside("append")
        yield "append", LIMIT, self.copy
        yield "append", INSERTS, self.pgbench
        for each in PEERS_APPEND:
            yield "append", each, lambda name=each: self.peer(name, "append")
        yield "turn", US, lambda: self.inside("turn")
        for each in PEERS_TURN:
            yield "turn", each, lambda name=each: self.peer(name, "turn")
        for what in ("append", "read"):
            for each in (US, FASTIFY):
                yield f"http {what}", each, lambda name=each, kind=what: self.over_http(name, kind)

    def run(self, begun):
        for number in range(1, self.options.rounds + 1):
            round_begun = time.monotonic()
            for workload, who, how in self.steps():
                self.sql("postgres", "CHECKPOINT")
                figures = how()
                self.found[workload].setdefault(who, []).append(figures)
                print(f"round {number}: {workload}: {who}: {figures['per_s']:.0f}/s", file=sys.stderr, flush=True)
            now = time.monotonic()
            if self.options.quick and now - begun + (now - round_begun) > QUICK_SECONDS_MAX:
                self.options.rounds = number # another one would not end in time
                return


def median(rounds, figure):
    values = [each[figure] for each in rounds if figure in each]
    return round(statistics.median(values), 3) if values else None


def summary_of(found):
    """{"append": {who: {"per_s", "p50_ms", "p99_ms", "rounds", "ratio", "p99_ratio"}}}: ratios are Colloquy's to theirs."""
    out = {}
    for workload, by_who in found.items():
        out[workload] = {}
        for who, rounds in by_who.items():
            row = {each: median(rounds, each) for each in ("per_s", "p50_ms", "p99_ms")}
            row["rounds"] = [round(each["per_s"], 1) for each in rounds]
            if who != US:
                row["ratio"] = round(out[workload][US]["per_s"] / row["per_s"], 3)
                if row["p99_ms"]:
                    row["p99_ratio"] = round(out[workload][US]["p99_ms"] / row["p99_ms"], 3)
            out[workload][who] = row
    return out


def cell(value, digits):
    return "" if value is None else f"{value:,.{digits}f}"


def table_of(summary):
    titles = {"append": "durable appends, 200 bytes", "turn": "turns: read the last 20, append two, durable",
              "http append": "HTTP: durable appends", "http read": "HTTP: reads of the last 20"}
    lines = ["| | a second | p50 ms | p99 ms | Colloquy's rate is | its p99 is |", "| --- | --- | --- | --- | --- | --- |"]
    for workload, by_who in summary.items():
        lines.append(f"| **{titles[workload]}** | | | | | |")
        for who, row in by_who.items():
            ratio, p99 = row.get("ratio"), row.get("p99_ratio")
            lines.append(f"| {who} | {cell(row['per_s'], 0)} | {cell(row['p50_ms'], 2)} | {cell(row['p99_ms'], 2)} | "
                         f"{'' if ratio is None else f'{ratio:.2f} ×'} | {'' if p99 is None else f'{p99:.2f} ×'} |")
    return "\n".join(lines)


def section_of(options, facts, loads, table):
    machine, server = facts["machine"], facts["server"]
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return "\n".join([
        MARKS[0], f"## Beside others, {date}", "",
        f"`./dev bench peers{' --quick' if options.quick else ''}`: medians of {options.rounds} round(s) of {options.seconds:g} s "
        f"for each, in turn, on one server; {options.sessions:,} sessions; {options.concurrency} operations under way for "
        f"each peer on {options.peer_connections} connections, {options.concurrency_inside} for Colloquy in its process; "
        f"64 HTTP connections.", "",
        f"{machine.get('processor', 'a processor')}, {machine['cores']} cores shared by all, {machine['memory']}, "
        f"{machine['kernel']}; load of the machine {loads[0]:.1f} before, {loads[1]:.1f} after.",
        f"PostgreSQL {server['server_version']}: fsync {server['fsync']}, synchronous_commit "
        f"{server['synchronous_commit']}, full_page_writes {server['full_page_writes']}; Colloquy's row level security "
        f"{server['row_level_security']}; every event of Colloquy's read back and compared.", "", table, MARKS[1]])


def write_results(file, section):
    text = file.read_text()
    if MARKS[0] in text:
        before, rest = text.split(MARKS[0], 1)
        text = before + section + rest.split(MARKS[1], 1)[1]
    else:
        title, rest = text.split("\n", 1)
        text = f"{title}\n\n{section}\n{rest}"
    file.write_text(text)


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench peers", description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="within three minutes: three short rounds, fewer on a slow machine")
    parser.add_argument("--json", action="store_true", help="end with one JSON object of medians and ratios")
    parser.add_argument("--rounds", type=int, help="[5; quick: 3]")
    parser.add_argument("--seconds", type=float, help="of each measurement [5; quick: 1]")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64, help="operations under way, of each peer [64]")
    parser.add_argument("--concurrency-inside", type=int, default=1000, help="of Colloquy in its process [1000]")
    parser.add_argument("--peer-connections", type=int, default=10, help="of each peer's pool [10]")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction,
                        help="write the table into bench/RESULTS.md [yes; quick: no]")
    options = parser.parse_args()
    options.program, options.build = options.program.resolve(), options.build.resolve()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 5.0)
    options.seconds_warm = 0.3 if options.quick else 1.0
    options.write = not options.quick if options.write is None else options.write
    options.connections = 64
    return options


def main():
    options = parse_options()
    folder = Path(tempfile.mkdtemp(prefix="peers-bench-", dir=options.build))
    services, loads, begun = [], [os.getloadavg()[0]], time.monotonic()
    try:
        beside = Beside(options, folder, services)
        beside.run(begun)
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        print(f"beside.py: failed: {failure}", file=sys.stderr)
        return 1
    finally:
        for each in reversed(services): # Colloquy last, since its server is everybody's
            each.stop()
        shutil.rmtree(folder, ignore_errors=True)
    loads.append(os.getloadavg()[0])
    summary = summary_of(beside.found)
    section = section_of(options, beside.facts, loads, table_of(summary))
    print("\n".join(section.splitlines()[1:-1]))
    print(f"\n{time.monotonic() - begun:.0f} s in all")
    if options.write:
        write_results(options.results, section)
    if options.json:
        print(json.dumps({"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **beside.facts,
                          "setup": {each: getattr(options, each) for each in (
                              "rounds", "seconds", "sessions", "concurrency", "concurrency_inside", "peer_connections")},
                          "load": loads, "results": summary}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
