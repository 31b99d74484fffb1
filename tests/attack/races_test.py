"""Making, reading and deleting at once, by two tenants of the same names: nothing of another's, and no fault."""

import random
import threading
import time
import unittest

import world as worlds
from support.client import Client
from support.service import Service
from world import World, start_service

SECONDS = 8


class RaceTest(unittest.TestCase):
    service: Service
    world: World

    @classmethod
    def setUpClass(cls):
        cls.service = start_service(access_log="false", log_level="info")
        cls.addClassCleanup(cls.service.close)
        cls.world = World(cls.service)

    def setUp(self):
        self.ids = {self.world.a: [], self.world.b: []} # what each has made; some is deleted meanwhile
        self.problems = []
        self.calls = 0
        self.deadline = time.monotonic() + SECONDS

    def make(self, client, tenant, other):
        external = f"same-{random.randrange(20)}"
        reply = client.put(f"/v1/sessions/by-external-id/{external}", {"user_id": "same", "title": tenant})
        if reply.status in (200, 201):
            self.ids[tenant] = self.ids[tenant][-50:] + [reply.json()["id"]]
            self.look(reply, tenant)
        return reply

    def look(self, reply, tenant):
        if reply.status in (200, 201) and reply.json().get("title", tenant) != tenant:
            self.problems.append((tenant, reply))

    def act(self, client, tenant, other):
        own, others = self.ids[tenant], self.ids[other]
        kind = random.randrange(9)
        if kind < 2 or not own or not others:
            return self.make(client, tenant, other)
        path, stolen = "/v1/sessions/" + random.choice(own), "/v1/sessions/" + random.choice(others)
        if kind == 2:
            return client.delete(path)
        if kind == 3:
            reply = client.get(path)
            self.look(reply, tenant)
            return reply
        if kind == 4:
            return client.post(path + "/messages", {"role": "user", "content": "of " + tenant},
                               headers={"Idempotency-Key": f"k{random.randrange(50)}"})
        if kind == 5:
            reply = client.get(path + "/messages")
            if b"of " + other.encode() in reply.body:
                self.problems.append((tenant, reply))
            return reply
        if kind == 6:
            return client.post(path + "/turns", {"policy": random.choice(["interrupt", "reject"]), "wait_s": 0})
        if kind == 7:
            reply = client.get("/v1/sessions", query={"limit": 50})
            if any(each["title"] not in (tenant, None) for each in reply.json()["items"]):
                self.problems.append((tenant, reply))
            return reply
        reply = random.choice([lambda: client.get(stolen), lambda: client.delete(stolen),
                               lambda: client.post(stolen + "/fork", {"at_offset": 0}),
                               lambda: client.get(stolen + "/events"),
                               lambda: client.post(stolen + "/messages", {"role": "user", "content": "stolen"})])()
        if reply.status != 404:
            self.problems.append((tenant, reply))
        return reply

    def run_tenant(self, tenant, other, key):
        client = Client(self.service, key, checks=False)
        try:
            while time.monotonic() < self.deadline:
                reply = self.act(client, tenant, other)
                self.calls += 1
                if reply.status >= 500:
                    self.problems.append((tenant, reply))
        except Exception as why: # told by the test's own thread
            self.problems.append((tenant, repr(why)))
        finally:
            client.close()

    def test_two_tenants_of_the_same_names(self):
        a, b = self.world.a, self.world.b
        threads = [threading.Thread(target=self.run_tenant, args=each)
                   for each in [(a, b, self.world.a_key), (b, a, self.world.b_key)] * 3]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual([], self.problems[:5])
        self.assertGreater(self.calls, 200)
        print(f"{self.calls} calls", flush=True)

    def test_a_session_that_is_deleted_is_gone_for_all_at_once(self):
        client = Client(self.service, self.world.a_key, checks=False)
        for _ in range(30):
            made = self.world.made(client, "ada", None)["id"]
            client.post(f"/v1/sessions/{made}/messages", {"role": "user", "content": "x"})
            self.assertEqual(204, client.delete("/v1/sessions/" + made).status)
            for part in ("", "/messages", "/events", "/turns", "/export", "/participants"):
                reply = client.get(f"/v1/sessions/{made}{part}")
                self.assertEqual(404, reply.status, (part, reply))
        client.close()


if __name__ == "__main__":
    unittest.main(verbosity=1)
