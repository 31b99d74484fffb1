"""The cases over HTTP, on a database as it is by default and, with COLLOQUY_COLLATION=icu, on one whose text is ordered
as a language orders it."""

import os
import sys
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))

import cases  # noqa: E402
from support.cases import at_once  # noqa: E402
from support.client import Client  # noqa: E402
from support.postgres import Server  # noqa: E402
from support.service import Service  # noqa: E402
from support.tenants import Operator  # noqa: E402

CALL_TIMEOUT_S = 120
world = None


def setUpModule():
    global world
    world = World(os.environ.get("COLLOQUY_COLLATION") == "icu")
    unittest.addModuleCleanup(world.close)
    world.start()


def quote(name):
    # A part of a path that is only dots is taken for what leads elsewhere.
    return urllib.parse.quote(name, safe="").replace(".", "%2E")


class World:
    """The service, and tenants and keys as cases need them."""

    def __init__(self, is_icu):
        self.server = Server(is_icu=True) if is_icu else None
        arguments = ["--database", self.server.uri()] if self.server else []
        self.service = Service(arguments=arguments)
        self.number = 0

    def start(self):
        self.service.start()
        self.operator = Operator(self.service)

    def close(self):
        self.operator.client.close()
        self.service.close()
        if self.server:
            self.server.close()

    def crash(self):
        self.operator.client.close()
        self.service.kill()
        self.start()

    def new_tenant(self):
        self.number += 1
        return self.operator.new_tenant(name=f"case-{self.number}")


class Run:
    """One case, with the tenants and keys that it uses."""

    def __init__(self, case):
        self.case = case
        self.tenants = {}
        self.keys = {}
        self.cursor = None
        self.found = []

    def key(self, step):
        whose = step.get("as", "own")
        name = (whose, step.get("user"))
        if name not in self.keys:
            if whose not in self.tenants:
                self.tenants[whose] = world.new_tenant()
            more = {"user_id": step["user"]} if "user" in step else {}
            self.keys[name] = world.operator.new_key(self.tenants[whose], **more)[0]
        return self.keys[name]

    def call(self, step, body=None):
        """Closed afterwards: a case may call in several threads, and after a restart."""
        name = quote(cases.expand(step.get("collection", self.case.collection)))
        store = quote(step.get("store", self.case.collection))
        paths = {"insert": f"/v1/collections/{name}/documents", "collections": "/v1/collections",
                 "delete-collection": f"/v1/collections/{name}", "open-store": f"/v1/stores/{store}/open",
                 "failed-migrations": f"/v1/stores/{store}/failed-migrations"}
        path = paths.get(step["do"], f"/v1/collections/{name}/{step['do']}")
        method = {"collections": "GET", "failed-migrations": "GET", "delete-collection": "DELETE"}.get(step["do"], "POST")
        query = dict(step.get("query", {}))
        if step.get("cursor") == "next" and method == "GET":
            query["cursor"] = self.cursor
        client = Client(world.service, self.key(step), timeout=CALL_TIMEOUT_S)
        try:
            return client.call(method, path, body.encode() if method == "POST" else None, query=query)
        finally:
            client.close()

    def body(self, step):
        if step.get("cursor") == "next" and step["do"] == "query":
            return cases.dump({**cases.expand(step["body"]), "cursor": self.cursor})
        return cases.body_of(step)

    def complain(self, step, what):
        self.found.append(f"{step.get('do', 'at once')} {cases.short(step)}: {what}")

    def run_step(self, step):
        if step["do"] == "crash-in":
            return self.crash_in(step)
        reply = self.call(step, self.body(step))
        answered = cases.parse(reply.text) if reply.body else {}
        if "error" in step:
            wanted = step["error"]
            if reply.code != wanted:
                self.complain(step, f"{reply}, expected {wanted}")
            elif cases.expand(step.get("tells", "")) not in answered["detail"]:
                self.complain(step, f"detail: {answered['detail']}")
            return answered
        if reply.status not in (200, 201, 204):
            self.complain(step, reply)
            return answered
        for each in cases.complaints(step, answered, reply.text):
            self.complain(step, each)
        self.cursor = answered.get("next_cursor", self.cursor)
        return answered

    def run_at_once(self, step):
        for each in step["at_once"]:
            self.key(each)
        replies = at_once([lambda each=each: self.call(each, self.body(each)) for each in step["at_once"]])
        tally = {}
        for reply in replies:
            tally[reply.code or "ok"] = tally.get(reply.code or "ok", 0) + 1
        if tally != step["tally"]:
            self.complain(step, f"{tally} {replies}")
        for name, total in step.get("sum", {}).items():
            counted = sum(reply.json().get(name, 0) for reply in replies)
            if counted != total:
                self.complain(step, f"{name} in sum {counted}")

    def crash_in(self, step):
        """The service is killed while it is at it: when some documents are converted, and not all."""
        def call():
            try:
                self.call({**step, "do": "open-store"}, cases.body_of(step))
            except (OSError, AssertionError, ValueError, EOFError):
                pass  # as the client of a service that crashes
        self.key(step)
        done = cases.dump({"where": {"version": {"$eq": step["body"]["version"]}}, "limit": 1})
        caller = threading.Thread(target=call)
        caller.start()
        while self.call({"do": "query"}, done).json()["total_count"] == 0 and caller.is_alive():
            time.sleep(0.01)
        world.crash()
        count = self.call({"do": "query"}, done).json()["total_count"]
        if not 0 < count < step["of"]:
            self.complain(step, f"{count} of {step['of']} were converted: that is not the middle")
        caller.join(CALL_TIMEOUT_S)

    def run(self):
        for body in self.case.setup():
            reply = self.call({"do": "insert"}, body)
            if reply.status != 201:
                self.complain({"do": "setup"}, reply)
        for step in self.case.steps:
            if "at_once" in step:
                self.run_at_once(step)
            else:
                self.run_step(step)
        return self.found


class HttpCases(unittest.TestCase):
    def test_every_case(self):
        shared = {}  # cases that only look begin with the same documents, so one tenant does
        count = 0
        for case in cases.load():
            if case.only not in (None, "http"):
                continue
            count += 1
            with self.subTest(str(case)):
                run = Run(case)
                if case.is_short and case.file in shared:
                    run.tenants, run.keys, case.texts, case.documents = shared[case.file]
                found = run.run()
                if case.is_short:
                    shared[case.file] = (run.tenants, run.keys, [], [])
                self.assertEqual([], found)
        print(f"{count} cases over HTTP", flush=True)
        self.assertGreaterEqual(count, 200)


if __name__ == "__main__":
    unittest.main(verbosity=1)
