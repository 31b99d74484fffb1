"""One measurement of a peer in Python: workload.py PEER WORKLOAD SECONDS SECONDS_WARM CONCURRENCY SESSIONS_FILE

PEER is asyncpg (its pool) or threads (a ThreadPoolExecutor of five over psycopg2); WORKLOAD is append or turn (reads the
last 20 messages, appends two). libpq's PG* variables say where. Ends with one line of JSON.
"""

import asyncio
import concurrent.futures
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

TENANT = "default"
MESSAGE_BYTES = 200
READ = 20
THREADS = 5
STATEMENTS = json.loads(Path(os.environ["STATEMENTS"]).read_text())
CONNECTIONS = int(os.environ.get("PEER_CONNECTIONS", "10"))


def message(role):
    opening = f'{{"role":"{role}","content":"'
    return opening + "x" * (MESSAGE_BYTES - len(opening) - 2) + '"}'


USER, ASSISTANT = message("user"), message("assistant")


class Clock:
    """When to begin counting and when to end, and what was counted."""

    def __init__(self, seconds, seconds_warm):
        self.counted_from = time.perf_counter() + seconds_warm
        self.until = self.counted_from + seconds
        self.seconds, self.ends, self.latencies = seconds, [], []

    def note(self, start): # from any thread, so nothing is added up here
        end = time.perf_counter()
        self.ends.append(end)
        if self.counted_from <= end < self.until:
            self.latencies.append(end - start)

    def report(self):
        ordered = sorted(self.latencies)
        share = lambda part: ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000
        return {"operations": len(self.ends), "per_s": len(ordered) / self.seconds, "p50_ms": share(0.5),
                "p99_ms": share(0.99)}


async def run_asyncpg(workload, seconds, seconds_warm, concurrency, sessions):
    import asyncpg
    import uuid

    keys = [uuid.UUID(each) for each in sessions]
    pool = await asyncpg.create_pool(min_size=CONNECTIONS, max_size=CONNECTIONS, host=os.environ["PGHOST"],
                                     user=os.environ["PGUSER"], database=os.environ["PGDATABASE"])
    at = 0

    async def append(connection, key):
        if not await connection.fetch(STATEMENTS["append"], TENANT, key, "user", USER):
            raise RuntimeError("an append gave no offset")

    async def turn(connection, key):
        rows = await connection.fetch(STATEMENTS["newest"], TENANT, key)
        if len([json.loads(row["data"]) for row in rows]) != READ:
            raise RuntimeError("a history is too short")
        if len(await connection.fetch(STATEMENTS["append_two"], TENANT, key, "user", USER, "assistant",
                                      ASSISTANT)) != 2:
            raise RuntimeError("a turn gave no offsets")

    operation = {"append": append, "turn": turn}[workload]
    clock = Clock(seconds, seconds_warm)

    async def caller():
        nonlocal at
        while (start := time.perf_counter()) < clock.until:
            key = keys[at % len(keys)]
            at += 1
            async with pool.acquire() as connection:
                await operation(connection, key)
            clock.note(start)

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    await pool.close()
    return clock.report()


def run_threads(workload, seconds, seconds_warm, concurrency, sessions):
    import psycopg2

    # $1 is %(p1)s there.
    statements = {name: re.sub(r"\$(\d+)", r"%(p\1)s", text) for name, text in STATEMENTS.items()}
    own = threading.local()

    def execute(name, *values):
        if not hasattr(own, "connection"):
            own.connection = psycopg2.connect("")
            own.connection.autocommit = True
        with own.connection.cursor() as cursor:
            cursor.execute(statements[name], {f"p{number}": value for number, value in enumerate(values, 1)})
            return cursor.fetchall()

    def append(key):
        if not execute("append", TENANT, key, "user", USER):
            raise RuntimeError("an append gave no offset")

    def turn(key):
        rows = execute("newest", TENANT, key)
        if len([json.loads(row[3]) for row in rows]) != READ:
            raise RuntimeError("a history is too short")
        if len(execute("append_two", TENANT, key, "user", USER, "assistant", ASSISTANT)) != 2:
            raise RuntimeError("a turn gave no offsets")

    operation = {"append": append, "turn": turn}[workload]
    room = threading.Semaphore(concurrency)
    failures = []
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        clock = Clock(seconds, seconds_warm)
        at = 0
        while (start := time.perf_counter()) < clock.until and not failures:
            if not room.acquire(timeout=0.1):
                continue

            def ended(future, submitted=start):
                if future.exception() is None:
                    clock.note(submitted)
                else:
                    failures.append(future.exception())
                room.release()

            pool.submit(operation, sessions[at % len(sessions)]).add_done_callback(ended)
            at += 1
    if failures:
        raise failures[0]
    return clock.report()


def main():
    peer, workload, seconds, seconds_warm, concurrency, sessions_file = sys.argv[1:]
    sessions = Path(sessions_file).read_text().split()
    arguments = workload, float(seconds), float(seconds_warm), int(concurrency), sessions
    found = asyncio.run(run_asyncpg(*arguments)) if peer == "asyncpg" else run_threads(*arguments)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
