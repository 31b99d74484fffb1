"""What tests of one file share: a service, a client of each test, and the ways of asking."""

import concurrent.futures
import unittest

from .client import Client
from .service import Service

UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def start_module_service(**options):
    """For setUpModule(): ended with the module, whatever happens."""
    service = Service(**options)
    unittest.addModuleCleanup(service.close)
    return service.start()


def at_once(actions):
    """Runs each in a thread of its own; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(actions))) as threads:
        return [each.result(60) for each in [threads.submit(action) for action in actions]]


def user(content="Hello.", **more):
    return {"role": "user", "content": content, **more}


def assistant(content="Hello to you.", **more):
    return {"role": "assistant", "content": content, **more}


class HttpTest(unittest.TestCase):
    """`service` is set by the file; the client has `key`, if there is one."""

    service = None
    key = None

    def setUp(self):
        self.client = self.new_client()

    def new_client(self, key=..., **more):
        client = Client(self.service, self.key if key is ... else key, **more)
        self.addCleanup(client.close)
        return client

    def assert_status(self, status, reply):
        self.assertEqual(status, reply.status, reply)
        return reply

    def assert_problem(self, reply, status, code):
        """RFC 9457, as API.md says, of that status and code. Returns it."""
        self.assertEqual((status, code), (reply.status, reply.code), reply)
        self.assertEqual("application/problem+json", reply.headers["Content-Type"])
        problem = reply.json()
        self.assertEqual(status, problem["status"])
        for field in ("title", "detail"):
            self.assertTrue(problem[field], field)
        self.assertEqual(reply.headers["X-Request-Id"], problem["request_id"])
        if status in (429, 503):
            self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        return problem

    def pointers(self, problem):
        return sorted(each["pointer"] for each in problem["errors"])

    def new_session(self, client=None, **fields):
        """Made, and given as it was answered."""
        reply = (client or self.client).post("/v1/sessions", {"user_id": "ada", **fields})
        return self.assert_status(201, reply).json()

    def new_path(self, **fields):
        return "/v1/sessions/" + self.new_session(**fields)["id"]

    def append(self, path, *messages, durability="durable", client=None):
        """Their offsets."""
        body = {"messages": list(messages or [user()])}
        reply = (client or self.client).post(path + "/messages", body, query={"durability": durability})
        return self.assert_status(201 if durability == "durable" else 202, reply).json()["offsets"]

    def start_turn(self, path, client=None, **fields):
        """The whole reply of a turn that is ours."""
        reply = (client or self.client).post(path + "/turns", fields or None)
        return self.assert_status(201, reply).json()

    def turns(self, path):
        return {each["id"]: each for each in self.assert_status(200, self.client.get(path + "/turns")).json()["items"]}

    def events(self, path, **query):
        return self.assert_status(200, self.client.get(path + "/events", query=query)).json()["items"]

    def contents(self, path, **query):
        reply = self.assert_status(200, self.client.get(path + "/messages", query=query))
        return [each["content"] for each in reply.json()["items"]]
