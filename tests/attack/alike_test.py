"""A's thing, asked for by B, beside one that never was: 10,000 pairs, by bytes and by time."""

import http.client
import json
import os
import statistics
import time
import unittest

import world as worlds  # first: it makes support/ known
from support.service import Service
from world import COLLECTION, World, new_id, start_service, without_id

# As a test of every day it compares bytes, and times only as far as a machine that others use allows: what is looked up in
# another way takes several times as long. COLLOQUY_ATTACK_PAIRS=10000 COLLOQUY_ATTACK_DIFFERENCE=0.05 is for a quiet one.
PAIRS = int(os.environ.get("COLLOQUY_ATTACK_PAIRS", "2000"))
DIFFERENCE_MAX = float(os.environ.get("COLLOQUY_ATTACK_DIFFERENCE", "0.5"))
MEASUREMENTS_MAX = 3  # the machine is not ours alone


def setUpModule():
    AlikeTest.service = start_service(access_log="false", log_level="info")
    unittest.addModuleCleanup(AlikeTest.service.close)
    AlikeTest.world = world = World(AlikeTest.service)
    world.must(world.a_client.post("/v1/customers", {"id": "customer-of-a", "name": "secret of A", "tags": ["vip"]}))
    world.must(world.a_client.post("/v1/context-variables", {"id": "variable-of-a", "name": "secret of A"}))
    world.must(world.a_client.put("/v1/context-variables/variable-of-a/values/DEFAULT", {"data": "secret of A"}))


class Asker:
    def __init__(self, service, key):
        self.connection = http.client.HTTPConnection(service.host, service.port, timeout=40)
        self.headers = {"Authorization": "Bearer " + key}

    def ask(self, path, body=None, method=None):
        """The reply, and the nanoseconds it took."""
        text = None if body is None else json.dumps(body)
        method = method or ("GET" if body is None else "POST")
        headers = self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        began = time.perf_counter_ns()
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        body = answer.read()
        took = time.perf_counter_ns() - began
        return worlds.Reply(answer.status, answer.headers, body), took


class AlikeTest(unittest.TestCase):
    service: Service
    world: World

    def measure(self, real_path, other_path, pairs, status=404):
        """Medians of both; every reply is the same but for its request id. What is asked is a path, or what ask() takes."""
        asker = Asker(self.service, self.world.b_key)
        times = ([], [])
        expected = None
        for number in range(pairs):
            paths = (real_path(number), other_path(number))
            order = (0, 1) if number % 2 == 0 else (1, 0) # neither profits from being the second
            for which in order:
                asked = paths[which]
                reply, took = asker.ask(*((asked,) if isinstance(asked, str) else asked))
                seen = without_id(reply)
                expected = expected or seen
                self.assertEqual(status, reply.status, reply)
                self.assertEqual(expected, seen)
                times[which].append(took)
        asker.connection.close()
        return statistics.median(times[0]), statistics.median(times[1])

    def assert_alike(self, name, real_path, other_path, pairs=PAIRS, status=404):
        self.measure(real_path, other_path, 200, status) # connections, plans, caches
        for attempt in range(1, MEASUREMENTS_MAX + 1):
            real, other = self.measure(real_path, other_path, pairs, status)
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
        for part in ("messages", "events", "turns", "participants", "export", "messages?token_budget=1000",
                     "events?include_deleted=true"):
            with self.subTest(part):
                self.assert_alike(part, lambda _: f"/v1/sessions/{self.world.session}/{part}",
                                  lambda _: f"/v1/sessions/{new_id()}/{part}", max(1, PAIRS // 5))

    def test_documents(self):
        """A's document in A's collection; one that never was in it; and that in a collection that never was."""
        def where(document):
            return {"where": {"id": {"$eq": document}}}

        for call, more in (("query", {}), ("find-one", {}), ("delete-one", {}), ("update-one", {"set": {"x": 1}})):
            with self.subTest(call):
                self.assert_alike(call, lambda _: (f"{COLLECTION}/{call}", {**where("document-of-a-1"), **more}),
                                  lambda _: (f"{COLLECTION}/{call}", {**where(new_id()), **more}),
                                  max(1, PAIRS // 5), 200)
                self.assert_alike(call + " in a collection", lambda _: (f"{COLLECTION}/{call}", {"where": {}, **more}),
                                  lambda _: (f"/v1/collections/{new_id()}/{call}", {"where": {}, **more}),
                                  max(1, PAIRS // 5), 200)

    def test_collections_and_stores(self):
        self.assert_alike("deleting a collection", lambda _: (COLLECTION, None, "DELETE"),
                          lambda _: ("/v1/collections/" + new_id(), None, "DELETE"), max(1, PAIRS // 5))
        self.assert_alike("a store's failed migrations", lambda _: "/v1/stores/a-store/failed-migrations",
                          lambda _: f"/v1/stores/{new_id()}/failed-migrations", max(1, PAIRS // 5), 404)

    def test_customers_and_variables(self):
        for path, real in (("/v1/customers/{}", "customer-of-a"), ("/v1/customers/{}/tags", "customer-of-a"),
                           ("/v1/context-variables/{}", "variable-of-a"),
                           ("/v1/context-variables/{}/values", "variable-of-a"),
                           ("/v1/context-variables/{}/values/DEFAULT", "variable-of-a"),
                           ("/v1/context-variables/{}/lookup", "variable-of-a")):
            with self.subTest(path):
                self.assert_alike(path, lambda _: path.format(real), lambda _: path.format(new_id()),
                                  max(1, PAIRS // 5))

    def test_tenants(self):
        self.assert_alike("a tenant", lambda _: f"/v1/tenants/{self.world.a}",
                          lambda number: f"/v1/tenants/tenant-{number}", max(1, PAIRS // 5))


if __name__ == "__main__":
    unittest.main(verbosity=1)
