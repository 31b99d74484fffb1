"""Hostile names and values at every place that takes one: what the server is asked to do is the same text whatever they
are, and the database afterwards is what it was."""

import itertools
import json
import re
import sys
import time
import unittest
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))

from support.client import Client  # noqa: E402
from support.postgres import Server  # noqa: E402
from support.service import Service  # noqa: E402
from support.tenants import Operator  # noqa: E402

# In each hostile text, so that it is found wherever it goes.
MARK = "zqxmark"
HOSTILE = [text.replace("M", MARK) for text in (
    "'M", "''M", "\"M", "\\M", "\\'M; --", "M'; DROP TABLE documents; --", "M\"; DROP TABLE documents; --", "$1M", "M$$",
    "$M$; DROP TABLE documents; $M$", "%sM", "%M%", "M_", "*M", "M/*", "M*/; --", "M' OR '1'='1", "M') OR 1=1; --",
    "E'\\x27M'", "U&'\\0027M'", "M' UNION SELECT sha256 FROM api_keys --", "{M}", "M}", "{M,\"}", "[\"M\"]", "M\n\r\t",
    "../M", ".M", "M\u2019", "\uff07M", "M\u02bc", "\u0001M", "COPY documents TO PROGRAM 'M'", "M::regclass", "pg_sleep(5)M",
    "M'||pg_sleep(5)||'", "tenant_id=M", "id' = 'id", "\"tenant_id\"M", "NULL -- M")]

ALLOWED = (200, 201, 204, 400, 404, 409)


class Injection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings={"log_statement": "all", "log_parameter_max_length": "0",
                                      "log_parameter_max_length_on_error": "0", "log_min_error_statement": "log"})
        cls.addClassCleanup(cls.server.close)
        cls.service = Service(arguments=["--database", cls.server.uri()])
        cls.addClassCleanup(cls.service.close)
        cls.service.start()
        operator = Operator(cls.service)
        cls.tenant, cls.key = operator.new_tenant_key()
        _, cls.bystander_key = operator.new_tenant_key()
        cls.user_keys = [operator.new_key(cls.tenant, user_id=text)[0] for text in HOSTILE[:8]]

    def setUp(self):
        self.client = self.client_of(self.key)
        bystander = self.client_of(self.bystander_key)
        bystander.post("/v1/collections/mine/documents", {"id": "mine", "version": "1", "creation_utc": "1"})
        self.bystander = bystander
        self.before = self.shape()

    def tearDown(self):
        self.assertEqual(self.before, self.shape(), "the database is not what it was")
        mine = self.bystander.post("/v1/collections/mine/query", {}).json()
        self.assertEqual([{"id": "mine", "version": "1", "creation_utc": "1"}], mine["items"])
        log = self.statements()
        self.assertNotIn(MARK, log, "it is in the text of a statement")
        self.assertIn("documents", log)

    def client_of(self, key):
        client = Client(self.service, key)
        self.addCleanup(client.close)
        return client

    def shape(self):
        """All tables, columns, functions, roles and their rights."""
        return self.server.psql(
            "SELECT 'r', oid::text, relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "UNION ALL SELECT 'c', attrelid::text, attname, atttypid::text FROM pg_attribute JOIN pg_class ON "
            "pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace "
            "UNION ALL SELECT 'f', oid::text, proname, proacl::text FROM pg_proc WHERE pronamespace = "
            "'public'::regnamespace UNION ALL SELECT 'u', oid::text, rolname, rolsuper::text FROM pg_roles ORDER BY 1,2,3")

    def statements(self):
        return (self.server.folder / "log").read_text(errors="replace")

    def call(self, method, path, body=None, client=None, **more):
        reply = (client or self.client).call(method, path, body, **more)
        self.assertIn(reply.status, ALLOWED, (path, body, reply))
        return reply

    def wait_for_erasures(self):
        """A deleted collection's documents go afterwards, by statements of their own."""
        deadline = time.monotonic() + 30
        while (left := self.server.psql("SELECT count(*) FROM document_erasures")) != ["0"]:
            self.assertLess(time.monotonic(), deadline, left)
            time.sleep(0.02)

    @staticmethod
    def quote(text):
        return urllib.parse.quote(text, safe="").replace(".", "%2E")

    def test_the_log_would_show_it(self):
        self.server.psql("SELECT 'shown-in-the-log'")
        self.assertIn("shown-in-the-log", self.statements())

    def test_collections_ids_and_fields(self):
        for text in HOSTILE:
            with self.subTest(text):
                path = "/v1/collections/" + self.quote(text)
                document = {"id": text, "version": text, "creation_utc": text, text: text, "customer_id": text,
                            "session_id": text, "agent_id": text, "deep": {text: [text, {text: None}]}}
                self.assertEqual([text], self.call("POST", path + "/documents", document,
                                                   headers={"Idempotency-Key": urllib.parse.quote(text)}).json()["ids"])
                for field in ("id", "creation_utc", "version", "customer_id", "session_id", "agent_id", text):
                    found = self.call("POST", path + "/query", {"where": {field: {"$eq": text}}}).json()
                    self.assertEqual(([document], 1), (found["items"], found["total_count"]), field)
                self.assertEqual([text], [each["name"] for each in
                                          self.call("GET", "/v1/collections", query={"limit": 1000}).json()["items"]])
                changed = self.call("POST", path + "/update-one", {"where": {text: {"$eq": text}}, "set": {
                    text: [text], "id": text + "2"}}).json()
                self.assertEqual({**document, text: [text], "id": text + "2"}, changed["document"])
                self.assertEqual(1, self.call("POST", path + "/delete-one", {"where": {
                    "id": {"$in": [text, text + "2"]}}}).json()["deleted"])
                self.assertEqual(204, self.call("DELETE", path).status)

    def test_every_operator(self):
        path = "/v1/collections/operators"
        for number, text in enumerate(HOSTILE):
            self.call("POST", path + "/documents", {"id": f"{number:03}", "version": "1", "creation_utc": "1", "v": text})
        count = len(HOSTILE)
        ordered = sorted(HOSTILE)
        for text in HOSTILE:
            at = ordered.index(text)
            for operator, operand, expected in (
                    ("$eq", text, 1), ("$ne", text, count - 1), ("$gt", text, count - 1 - at), ("$gte", text, count - at),
                    ("$lt", text, at), ("$lte", text, at + 1), ("$in", [text, "x"], 1), ("$nin", [text, "x"], count - 1)):
                found = self.call("POST", path + "/query", {"where": {"v": {operator: operand}}, "limit": 1}).json()
                self.assertEqual(expected, found["total_count"], (operator, text))
            found = self.call("POST", path + "/query", {"where": {"$or": [{"v": {"$eq": text}}, {text: {"$gt": text}}]}})
            self.assertEqual(1, found.json()["total_count"])
            self.assertEqual(400, self.call("POST", path + "/query", {"where": {"v": {text: 1}}}).status)
            self.assertEqual(400, self.call("POST", path + "/query", {"where": {"v": text}}).status)
        self.call("DELETE", path)

    def test_orders_and_cursors(self):
        path = "/v1/collections/orders"
        self.call("POST", path + "/documents", {"id": "a", "version": "1", "creation_utc": "1"})
        self.call("POST", path + "/documents", {"id": "b", "version": "1", "creation_utc": None})
        real = self.call("POST", path + "/query", {"limit": 1}).json()["next_cursor"]
        for text in HOSTILE:
            for body in ({"where": {}, "sort": [{"field": text}]}, {"where": {}, "sort": [{"field": text, "order": "desc"}]}):
                self.assertIsNotNone(self.call("POST", path + "/find-one", body).json()["document"])
            for sort in (text, {"by": text}, {"order": text}, [{"field": text}]):
                self.assertEqual(400, self.call("POST", path + "/query", {"sort": sort}).status)
            self.assertEqual(400, self.call("POST", path + "/find-one", {"where": {}, "sort": [
                {"field": "a", "order": text}]}).status)
            for cursor in (text, real + text, text + real):
                self.assertEqual(400, self.call("POST", path + "/query", {"cursor": cursor}).status, cursor)
            for place in ({"creation_utc": text, "id": text}, {"creation_utc": None, "id": text}):
                self.assertEqual(200, self.call("POST", path + "/query", {"cursor": place}).status)
            for target in ("/v1/collections", "/v1/stores/s/failed-migrations"):
                self.assertIn(self.call("GET", target, query={"cursor": text}).status, (400, 404))
        self.call("DELETE", path)

    def test_stores(self):
        for number, text in enumerate(HOSTILE):
            with self.subTest(text):
                collection = f"store-{number}"
                self.call("POST", f"/v1/collections/{collection}/documents", {
                    "documents": [{"id": "a", "version": text, "creation_utc": "1", text: 1},
                                  {"id": "b", "version": text + "x", "creation_utc": "1", text: 1}]})
                path = "/v1/stores/" + self.quote(text)
                opened = {"version": text, "allow_migration": True, "collections": [collection]}
                self.assertEqual(text, self.call("POST", path + "/open", opened).json()["version"])
                # The rename ends with a name of its own, so that the next step takes it away.
                steps = [{"from": text, "to": "~" + text, "collection": collection, "rename": {text: text + "2"},
                          "remove": ["no " + text], "set": {text + "3": {text: [text]}}, "set_default": {text + "4": text}}]
                done = self.call("POST", path + "/open", {**opened, "version": "~" + text, "converters": steps}).json()
                if "code" not in done:
                    self.assertEqual((1, 1), (done["migrated"], done["failed"]), done)
                    failed = self.call("GET", path + "/failed-migrations").json()["items"]
                    self.assertEqual([text + "x"], [each["document"]["version"] for each in failed])
                    kept = self.call("POST", f"/v1/collections/{collection}/find-one", {"where": {}}).json()["document"]
                    self.assertEqual({"id": "a", "version": "~" + text, "creation_utc": "1", text + "2": 1,
                                      text + "3": {text: [text]}, text + "4": text}, kept)
                else:
                    self.assertEqual("store_outdated", done["code"], done)

    def test_users(self):
        for text, key in zip(HOSTILE, self.user_keys):
            with self.subTest(text):
                client = self.client_of(key)
                path = "/v1/collections/users"
                self.assertEqual(201, self.call("POST", path + "/documents", {
                    "id": text, "version": "1", "creation_utc": "1", "customer_id": text}, client=client).status)
                found = self.call("POST", path + "/query", {}, client=client).json()
                self.assertEqual([text], [each["id"] for each in found["items"]])

    def test_many_fields_in_one_filter(self):
        path = "/v1/collections/many"
        document = {"id": "a", "version": "1", "creation_utc": "1", **{text: text for text in HOSTILE}}
        self.call("POST", path + "/documents", document)
        nested = {"$and": [{"$or": [{a: {"$eq": a}}, {b: {"$ne": b}}]} for a, b in itertools.pairwise(HOSTILE)]}
        self.assertEqual([document], self.call("POST", path + "/query", {"where": nested}).json()["items"])
        self.assertEqual([document], self.call("POST", path + "/query", {"where": {
            text: {"$eq": text} for text in HOSTILE}}).json()["items"])
        self.call("DELETE", path)

    def test_as_raw_bytes_of_a_path(self):
        for part in (b"a'%20OR%201=1", b"%27%3B--", b"a;b", b"a'b", b"a\"b"):
            for target in (b"/v1/collections/" + part + b"/query", b"/v1/stores/" + part + b"/open"):
                body = {"version": "1", "allow_migration": True} if target.endswith(b"open") else {}
                reply = self.client.send("POST", target.decode(), json.dumps(body).encode(), {
                    "Authorization": "Bearer " + self.key, "Content-Type": "application/json"})
                self.assertIn(reply.status, ALLOWED, reply)

    def test_no_statement_has_a_text_of_its_own(self):
        """The same calls with other names and values lead to the same statements."""
        def texts(run):
            before = len(self.statements())
            run()
            new = self.statements()[before:]
            return set(re.findall(r"execute [^:]*: (.*)", new)) | set(re.findall(r"statement: (.*)", new))

        def calls(name, value):
            def run():
                path = "/v1/collections/" + self.quote(name)
                self.call("POST", path + "/documents", {"id": value, "version": "1", "creation_utc": value, name: value})
                self.call("POST", path + "/query", {"where": {name: {"$in": [value, value]}, "$or": [{"id": {"$gt": value}},
                                                                                                     {"id": {"$lte": value}}]}})
                self.call("POST", path + "/find-one", {"where": {}, "sort": [{"field": name}]})
                self.call("POST", path + "/update-one", {"where": {"id": {"$eq": value}}, "set": {name: value}})
                self.call("POST", path + "/delete-one", {"where": {"id": {"$eq": value}}})
                self.call("DELETE", path)
                self.wait_for_erasures()
            return run
        first = texts(calls("plain", "value"))
        self.assertTrue(first)
        for text in HOSTILE[:12]:
            second = texts(calls(text, text))
            about = {each for each in second - first if "document" in each or "collection" in each}
            self.assertEqual(set(), about)


if __name__ == "__main__":
    unittest.main(verbosity=1)
