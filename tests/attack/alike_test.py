"""A's thing, asked for by B, beside one that never was: 10,000 pairs, by bytes and by time."""

import http.client
import os
import statistics
import time
import unittest

import world as worlds  # first: it makes support/ known
from support.service import Service
from world import World, new_id, start_service, without_id

# As a test of every day it compares bytes, and times only as far as a machine that others use allows: what is looked up in
# another way takes several times as long. COLLOQUY_ATTACK_PAIRS=10000 COLLOQUY_ATTACK_DIFFERENCE=0.05 is for a quiet one.
PAIRS = int(os.environ.get("COLLOQUY_ATTACK_PAIRS", "2000"))
DIFFERENCE_MAX = float(os.environ.get("COLLOQUY_ATTACK_DIFFERENCE", "0.5"))
MEASUREMENTS_MAX = 3  # the machine is not ours alone


def setUpModule():
    AlikeTest.service = start_service(access_log="false", log_level="info")
    unittest.addModuleCleanup(AlikeTest.service.close)
    AlikeTest.world = World(AlikeTest.service)


class Asker:
    def __init__(self, service, key):
        self.connection = http.client.HTTPConnection(service.host, service.port, timeout=40)
        self.headers = {"Authorization": "Bearer " + key}

    def ask(self, path):
        """The reply, and the nanoseconds it took."""
        began = time.perf_counter_ns()
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        took = time.perf_counter_ns() - began
        return worlds.Reply(answer.status, answer.headers, body), took


class AlikeTest(unittest.TestCase):
    service: Service
    world: World

    def measure(self, real_path, other_path, pairs):
        """Medians of both; every reply is the same but for its request id."""
        asker = Asker(self.service, self.world.b_key)
        times = ([], [])
        expected = None
        for number in range(pairs):
            paths = (real_path(number), other_path(number))
            order = (0, 1) if number % 2 == 0 else (1, 0) # neither profits from being the second
            for which in order:
                reply, took = asker.ask(paths[which])
                seen = without_id(reply)
                expected = expected or seen
                self.assertEqual(404, reply.status, reply)
                self.assertEqual(expected, seen)
                times[which].append(took)
        asker.connection.close()
        return statistics.median(times[0]), statistics.median(times[1])

    def assert_alike(self, name, real_path, other_path, pairs=PAIRS):
        self.measure(real_path, other_path, 200) # connections, plans, caches
        for attempt in range(1, MEASUREMENTS_MAX + 1):
            real, other = self.measure(real_path, other_path, pairs)
            difference = abs(real - other) / min(real, other)
            print(f"{name}: {pairs} pairs, medians {real / 1000:.1f} us (another's) and {other / 1000:.1f} us (never "
                  f"was), {difference:.1%} apart", flush=True)
            if difference < DIFFERENCE_MAX:
                return
        self.fail(f"{name}: the times differ by {difference:.1%} in measurement {attempt}")

    def test_sessions(self):
        self.assert_alike("a session", lambda _: "/v1/sessions/" + self.world.session,
                          lambda _: "/v1/sessions/" + new_id())

    def test_a_sessions_many_ids(self):
        """One id again and again could be remembered; so could neither of two that are fixed."""
        never = new_id()
        self.assert_alike("a session, the other id fixed, too", lambda _: "/v1/sessions/" + self.world.session,
                          lambda _: "/v1/sessions/" + never, max(1, PAIRS // 5))

    def test_parts_of_a_session(self):
        for part in ("messages", "events", "turns", "participants", "export", "messages?token_budget=1000"):
            with self.subTest(part):
                self.assert_alike(part, lambda _: f"/v1/sessions/{self.world.session}/{part}",
                                  lambda _: f"/v1/sessions/{new_id()}/{part}", max(1, PAIRS // 5))

    def test_tenants(self):
        self.assert_alike("a tenant", lambda _: f"/v1/tenants/{self.world.a}",
                          lambda number: f"/v1/tenants/tenant-{number}", max(1, PAIRS // 5))


if __name__ == "__main__":
    unittest.main(verbosity=1)
