"""`colloquy bench`, each workload in this process and over HTTP: that it does what it says and reads back what it wrote, and
that its report is a page that a browser shows from disk. Counts are asserted, never speed.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))
from support.service import PROGRAM, SOURCE_DIR, Service  # noqa: E402

TRANSCRIPTS = sorted(str(each) for each in (SOURCE_DIR / "examples/conversations").glob("*.jsonl"))
# So many operations, however long they take on this machine.
OPERATIONS = 150
SHORT = ["--warm-up", "0ms", "--duration", "100s", "--operations", str(OPERATIONS), "--tenants", "3", "--concurrency", "8"]
READ = 20 # messages of a history


def run_bench(*arguments, fails=False):
    """(its last line as JSON, all it said)"""
    done = subprocess.run([PROGRAM, "bench", *arguments, "--json"], capture_output=True, text=True, timeout=120,
                          env={name: os.environ[name] for name in ("PATH", "HOME", "ASAN_OPTIONS") if name in os.environ})
    if fails:
        return done
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Bench(unittest.TestCase):
    def check(self, found, sessions, operations=OPERATIONS):
        name = found["workload"], found["variant"], found["loop"]
        self.assertEqual(found["operations"], operations, name)
        self.assertEqual(found["sessions"], sessions, name)
        self.assertEqual(found["refused"], {}, name)
        latency = found["latency_ms"]
        self.assertLessEqual(latency["p50"], latency["p99"], name)
        self.assertLessEqual(latency["p99"], latency["max"], name)
        curve = found["per_s_over_time"]
        done = sum(curve["per_s"]) * curve["bucket_ms"] / 1000
        self.assertGreaterEqual(round(done), found["operations"], name)

    def check_events(self, found, sessions, said_before, messages_each):
        """Those of an operation that was not counted, because it ended behind the last one, are there, too."""
        written = found["events_verified"] - said_before * sessions
        self.assertGreaterEqual(written, found["operations"] * messages_each, found)
        self.assertEqual(written % max(messages_each, 1), 0, found)

    def test_logs_in_this_process(self):
        report = run_bench("append", "turn", "history", "--sessions", "20,40", *SHORT)
        self.assertEqual(report["server"]["row_level_security"], "forced")
        self.assertEqual(report["server"]["synchronous_commit"], "on")
        made = [(each["workload"], each["variant"], each["sessions"]) for each in report["measurements"]]
        self.assertEqual(made, [(*workload, sessions) for workload in [("append", "accepted"), ("append", "durable")]
                                for sessions in (20,)] +
                         [("append", "accepted", 40), ("append", "durable", 40)] +
                         [(workload, "", sessions) for workload in ("turn", "history") for sessions in (20, 40)])
        for each in report["measurements"]:
            self.check(each, each["sessions"])
            self.assertGreater(each["own_cpu_us"], 0)
            if each["variant"] == "durable": # what is read from memory takes nothing of the server
                self.assertGreater(each["server_cpu_us"], 0)
            if "ASAN_OPTIONS" not in os.environ:
                self.assertGreater(each["allocations"], 1)
            said_before, messages_each = {"append": (0, 1), "turn": (READ, 2), "history": (READ, 0)}[each["workload"]]
            if each["variant"] != "durable": # which goes on in the sessions of the accepted ones
                self.check_events(each, each["sessions"], said_before, messages_each)

    def test_an_open_loop_begins_what_is_due_whatever_is_under_way(self):
        report = run_bench("append", "--durability", "durable", "--rate", "500", "--sessions", "50", *SHORT)
        found = report["measurements"][0]
        self.check(found, 50)
        self.assertEqual(found["offered_per_s"], 500)
        # What was begun has its latency, from when it was due, however late it was done.
        self.assertGreaterEqual(found["latency_ms"]["count"], OPERATIONS)
        self.assertEqual(found["latency_ms"]["count"], found["late_ms"]["count"])
        self.assertEqual(found["latency_ms"]["count"], found["events_verified"])

    def test_skew_chooses_some_sessions_more_often(self):
        report = run_bench("append", "--durability", "accepted", "--skew", "1.2", "--sessions", "50", *SHORT)
        self.check(report["measurements"][0], 50)
        self.check_events(report["measurements"][0], 50, 0, 1)

    def test_the_others_in_this_process(self):
        report = run_bench("mixed", "wake", "fanout", "lease", "documents", "--sessions", "30", "--subscribers", "7",
                           "--transcripts", TRANSCRIPTS[0], *SHORT)
        by_name = {each["workload"]: each for each in report["measurements"]}
        for each in by_name.values():
            self.check(each, 30, operations=30 if each["workload"] == "wake" else OPERATIONS) # each sleeps once
        self.assertEqual(by_name["wake"]["events_verified"], 30 * READ)
        self.assertGreater(by_name["mixed"]["events_verified"], 0)
        self.assertGreater(by_name["mixed"]["parts_ms"]["start turn"]["count"], 0)
        self.check_events(by_name["fanout"], 30, 0, 1)
        self.assertGreater(by_name["documents"]["parts_ms"]["find one"]["count"], 0)

    def test_over_http(self):
        service = Service(settings={"session_idle_timeout": "1s"})
        try:
            service.start()
            url = f"http://{service.host}:{service.port}"
            report = run_bench("append", "turn", "history", "mixed", "fanout", "documents", "--url", url, "--sessions", "20",
                               "--subscribers", "5", "--transcripts", TRANSCRIPTS[0], *SHORT)
            for each in report["measurements"]:
                self.check(each, 20)
                self.assertNotIn("allocations", each)
            self.assertEqual(len(report["measurements"]), 7)
        finally:
            service.stop()

    def test_a_service_that_is_not_there_is_a_failure(self):
        done = run_bench("append", "--url", "http://127.0.0.1:1", *SHORT, fails=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:1", done.stderr)

    def test_mistakes_are_all_told_and_nothing_is_begun(self):
        done = run_bench("apend", "mixed", "--rate", "fast", "--sessions", "10,0", "--url", "https://x", "--durability", "no",
                         fails=True)
        self.assertEqual(done.returncode, 2)
        for each in ("apend", "transcripts", "fast", "10,0", "https://x", "durability"):
            self.assertIn(each, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
