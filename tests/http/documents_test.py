"""Documents as HTTP has them: what the contract suite (tests/documents) does not say: keys, repeats, limits, the log."""

import json
import threading
import unittest

from support.cases import HttpTest, at_once, start_module_service
from support.client import Client
from support.service import Service, eventually
from support.tenants import Operator


def setUpModule():
    HttpTest.service = start_module_service()


def document(name, **more):
    return {"id": name, "version": "1", "creation_utc": "2026-01-31T12:00:00Z", **more}


class DocumentTest(HttpTest):
    """Each test has a tenant of its own."""

    path = "/v1/collections/tickets"

    def setUp(self):
        self.operator = Operator(self.service)
        self.addCleanup(self.operator.client.close)
        self.tenant, self.key = self.operator.new_tenant_key()
        super().setUp()

    def client_with(self, scopes, **more):
        return self.new_client(self.operator.new_key(self.tenant, scopes, **more)[0])

    def insert(self, *names, client=None, path=None, **more):
        body = {"documents": [document(name, **more) for name in names]}
        return self.assert_status(201, (client or self.client).post((path or self.path) + "/documents", body))

    def ids(self, path=None, **body):
        reply = self.assert_status(200, self.client.post((path or self.path) + "/query", body))
        return [each["id"] for each in reply.json()["items"]]

    def log(self, action):
        return [each for each in self.client.get("/v1/audit", query={"action": action}).json()["items"]]


class Replies(DocumentTest):
    def test_each_call(self):
        one = document("a", n=1.5)
        self.assertEqual({"ids": ["a"]}, self.assert_status(201, self.client.post(self.path + "/documents", one)).json())
        self.assertEqual({"items": [one], "next_cursor": None, "total_count": 1},
                         self.client.post(self.path + "/query", {}).json())
        self.assertEqual({"document": one}, self.client.post(self.path + "/find-one", {"where": {}}).json())
        self.assertEqual({"matched": 1, "modified": 1, "document": {**one, "n": 2}},
                         self.client.post(self.path + "/update-one", {"where": {}, "set": {"n": 2}}).json())
        self.assertEqual({"deleted": 1, "document": {**one, "n": 2}},
                         self.client.post(self.path + "/delete-one", {"where": {}}).json())
        listed = self.client.get("/v1/collections").json()
        self.assertEqual(["tickets"], [each["name"] for each in listed["items"]])
        gone = self.assert_status(204, self.client.delete(self.path))
        self.assertEqual(b"", gone.body)
        self.assertEqual({"version": "1", "previous_version": None, "migrated": 0, "failed": 0}, self.client.post(
            "/v1/stores/tickets/open", {"version": "1", "allow_migration": False}).json())
        self.assertEqual({"items": [], "next_cursor": None},
                         self.client.get("/v1/stores/tickets/failed-migrations").json())

    def test_a_query_needs_no_body(self):
        self.insert("a")
        self.assertEqual(["a"], [each["id"] for each in self.client.post(self.path + "/query").json()["items"]])

    def test_every_mistake_is_told(self):
        problem = self.assert_problem(self.client.post(self.path + "/query", {
            "where": {"a": 1}, "sort": "up", "limit": 0, "cursor": 5, "more": 1}), 400, "invalid_request")
        self.assertEqual(["/cursor", "/limit", "/more", "/sort", "/where/a"], self.pointers(problem))
        problem = self.assert_problem(self.client.post(self.path + "/documents", {
            "documents": [{"id": 1, "version": "1", "creation_utc": "1"}, document("b"), {"version": "1"}, 5]}), 400,
            "invalid_request")
        self.assertEqual({"/documents/0/id", "/documents/3"},
                         set(self.pointers(problem)) & {"/documents/0/id", "/documents/1", "/documents/3"})

    def test_a_body_must_be_json(self):
        for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
            reply = self.client.post(self.path + "/documents", json.dumps(document("a")).encode(), headers=headers)
            self.assert_problem(reply, 400, "invalid_request")

    def test_methods(self):
        for method, path in (("GET", self.path + "/query"), ("PUT", self.path + "/documents"), ("GET", self.path),
                             ("POST", "/v1/collections"), ("GET", "/v1/stores/a/open")):
            self.assert_problem(self.client.call(method, path, checks=False), 405, "method_not_allowed")
        self.assert_problem(self.client.get("/v1/stores/a", checks=False), 404, "not_found")


class Names(DocumentTest):
    def test_any_string_percent_encoded(self):
        for encoded, name in (("a%2Fb", "a/b"), ("%2E", "."), ("%2E%2E", ".."), ("%25", "%"), ("%20", " "), ("%2B", "+"),
                              ("+", "+"), ("%C3%A4", "\u00e4"), ("%F0%9F%98%80", "\U0001f600"), ("a%3Fb%23", "a?b#"),
                              ("query", "query"), ("%22%27", "\"'")):
            with self.subTest(name):
                path = "/v1/collections/" + encoded
                self.insert("x", path=path)
                self.assertEqual([name], [each["name"] for each in self.client.get("/v1/collections").json()["items"]])
                self.assert_status(204, self.client.delete(path))

    def test_what_is_none(self):
        for encoded in ("%00", "%FF", "%C0%80", "%ED%A0%80", "a" * 256):
            reply = self.client.post(f"/v1/collections/{encoded}/query", {})
            self.assert_problem(reply, 400, "invalid_request")
        for encoded in ("%zz", "", ".", ".."):
            reply = self.client.post(f"/v1/collections/{encoded}/query", {}, checks=False)
            self.assertIn(reply.status, (400, 404), encoded)


class Repeats(DocumentTest):
    def insert_with(self, key, body, path=None, client=None):
        return (client or self.client).post((path or self.path) + "/documents", body, headers={"Idempotency-Key": key})

    def test_an_insert_is_done_once(self):
        first = self.assert_status(201, self.insert_with("k", document("a")))
        again = self.assert_status(201, self.insert_with("k", document("a")))
        self.assertEqual(first.body, again.body)
        self.assertEqual(["a"], self.ids())
        self.assert_problem(self.insert_with("other", document("a")), 409, "conflict")

    def test_also_when_the_document_is_gone(self):
        self.insert_with("k", document("a"))
        self.client.post(self.path + "/delete-one", {"where": {}})
        self.assert_status(201, self.insert_with("k", document("a")))
        self.assertEqual([], self.ids())

    def test_another_body_is_refused(self):
        self.insert_with("k", document("a"))
        self.assert_problem(self.insert_with("k", document("b")), 422, "idempotency_mismatch")
        self.assertEqual(["a"], self.ids())

    def test_a_key_belongs_to_its_path_and_tenant(self):
        self.insert_with("k", document("a"))
        self.assert_status(201, self.insert_with("k", document("b"), path="/v1/collections/others"))
        _, key = self.operator.new_tenant_key()
        self.assert_status(201, self.insert_with("k", document("c"), client=self.new_client(key)))
        reply = self.client.post(self.path + "/update-one", {"where": {"id": {"$eq": "d"}}, "set": document("d"),
                                                             "upsert": True}, headers={"Idempotency-Key": "k"})
        self.assert_status(200, reply)
        self.assertEqual(["a", "d"], self.ids())

    def test_many_at_once_are_one(self):
        clients = [self.new_client() for _ in range(6)]
        body = {"documents": [document("a"), document("b")]}
        replies = at_once([lambda client=client: self.insert_with("k", body, client=client) for client in clients])
        self.assertEqual([(201, {"ids": ["a", "b"]})] * 6, [(reply.status, reply.json()) for reply in replies])
        self.assertEqual(["a", "b"], self.ids())

    def test_an_upsert_is_done_once(self):
        body = {"where": {"n": {"$eq": 1}}, "set": document("a", n=1, seen=0), "upsert": True}
        headers = {"Idempotency-Key": "k"}
        first = self.assert_status(200, self.client.post(self.path + "/update-one", body, headers=headers)).json()
        self.client.post(self.path + "/update-one", {"where": {}, "set": {"seen": 5}})
        again = self.assert_status(200, self.client.post(self.path + "/update-one", body, headers=headers)).json()
        self.assertEqual((0, 0, 0), (first["matched"], again["matched"], first["modified"]))
        self.assertEqual(first, again)
        self.assertEqual(5, self.client.post(self.path + "/find-one", {"where": {}}).json()["document"]["seen"])

    def test_across_kill_9(self):
        service = Service()
        self.addCleanup(service.close)
        service.start()
        operator = Operator(service)
        key = operator.new_tenant_key()[1]
        operator.client.close()
        client = Client(service, key)
        first = self.assert_status(201, self.insert_with("k", document("a"), client=client))
        client.close()
        service.kill()
        service.start()
        client = Client(service, key)
        self.addCleanup(client.close)
        self.assertEqual(first.body, self.assert_status(201, self.insert_with("k", document("a"), client=client)).body)
        self.assertEqual(1, client.post(self.path + "/query", {}).json()["total_count"])


class Scopes(DocumentTest):
    CALLS = {"read": (("POST", "/query", {}), ("POST", "/find-one", {"where": {}})),
             "write": (("POST", "/documents", document("new")), ("POST", "/update-one", {"where": {}, "set": {"a": 1}}),
                       ("POST", "/delete-one", {"where": {}}), ("DELETE", "", None))}
    OTHERS = {"read": (("GET", "/v1/collections", None), ("GET", "/v1/stores/s/failed-migrations", None)),
              "write": (("POST", "/v1/stores/s/open", {"version": "1", "allow_migration": True}),)}

    def test_read_write_admin(self):
        self.client.post("/v1/stores/s/open", {"version": "1", "allow_migration": True})
        for scopes in (["read"], ["write"], ["admin"]):
            client = self.client_with(scopes)
            for needed in ("read", "write"):
                calls = [(method, self.path + path, body) for method, path, body in self.CALLS[needed]]
                for method, path, body in [*calls, *self.OTHERS[needed]]:
                    self.insert("there", path="/v1/collections/x")
                    with self.subTest(path, scopes=scopes):
                        reply = client.call(method, path, body)
                        if needed in scopes:
                            self.assertIn(reply.status, (200, 201, 204), reply)
                        else:
                            self.assert_problem(reply, 403, "forbidden")
                    self.client.delete("/v1/collections/x")

    def test_a_users_token(self):
        self.insert("1", customer_id="ada")
        self.insert("2", customer_id="bob")
        ada = self.client_with(["read", "write"], user_id="ada")
        self.assertEqual(["1"], [each["id"] for each in ada.post(self.path + "/query", {}).json()["items"]])
        self.assert_problem(ada.post(self.path + "/documents", document("3", customer_id="bob")), 403, "forbidden")
        reply = ada.post(self.path + "/documents", document("2", customer_id="ada"))
        self.assert_problem(reply, 409, "conflict")
        for method, path, body in (("GET", "/v1/collections", None), ("DELETE", self.path, None),
                                   ("GET", "/v1/stores/s/failed-migrations", None),
                                   ("POST", "/v1/stores/s/open", {"version": "1", "allow_migration": True})):
            self.assert_problem(ada.call(method, path, body), 403, "forbidden")
        self.assertEqual(["1", "2"], self.ids())


class Audit(DocumentTest):
    def test_a_deleted_collection_and_an_opened_store(self):
        self.insert("a", path="/v1/collections/a%2Fb")
        self.client.delete("/v1/collections/a%2Fb")
        entry = eventually(lambda: self.log("collection.delete"), 10, "its entry")[0]
        self.assertEqual(("collection", "a/b"), (entry["target_kind"], entry["target"]))
        self.client.post("/v1/stores/s/open", {"version": "1", "allow_migration": True})
        entry = eventually(lambda: self.log("store.open"), 10, "its entry")[0]
        self.assertEqual(("store", "s"), (entry["target_kind"], entry["target"]))

    def test_what_was_refused_is_not_there(self):
        self.assert_problem(self.client.delete("/v1/collections/never"), 404, "not_found")
        self.client.post("/v1/stores/s/open", {"version": "2", "allow_migration": True})
        self.assert_problem(self.client.post("/v1/stores/s/open", {"version": "1", "allow_migration": True}), 409,
                            "store_outdated")
        eventually(lambda: self.log("store.open"), 10, "its entry")
        self.assertEqual((0, 1), (len(self.log("collection.delete")), len(self.log("store.open"))))


class Pages(DocumentTest):
    def test_what_was_there_all_along_is_on_one_page_each_whatever_is_inserted(self):
        there = [f"{number:03}" for number in range(0, 300, 3)]
        self.insert(*there, kept=True)
        stops = threading.Event()

        def insert_others():
            client = self.new_client()
            for number in range(1, 3000):
                if stops.is_set():
                    return
                client.post(self.path + "/documents", document(f"{number % 300:03}-{number}"))
        writer = threading.Thread(target=insert_others)
        writer.start()
        try:
            for order in ("asc", "desc"):
                seen, cursor = [], None
                while True:
                    body = {"limit": 7, "sort": order, **({"cursor": cursor} if cursor else {})}
                    page = self.assert_status(200, self.client.post(self.path + "/query", body)).json()
                    seen += [each["id"] for each in page["items"] if "kept" in each]
                    cursor = page["next_cursor"]
                    if cursor is None:
                        break
                self.assertEqual(there if order == "asc" else there[::-1], seen)
        finally:
            stops.set()
            writer.join()


class Limits(DocumentTest):
    def client_of_small_documents(self):
        service = Service(settings={"document_bytes_max": "1KiB"})
        self.addCleanup(service.close)
        client = Client(service.start())
        self.addCleanup(client.close)
        self.assertEqual(201, client.post(self.path + "/documents", document("a", x="y" * 800)).status)
        return client

    def test_a_smaller_limit_of_documents(self):
        client = self.client_of_small_documents()
        self.assert_problem(client.post(self.path + "/documents", document("b", x="y" * 1200)), 413, "payload_too_large")
        self.assert_problem(client.post(self.path + "/update-one", {"where": {}, "set": {"z": "y" * 1200}}), 413,
                            "payload_too_large")

    def test_a_smaller_limit_of_what_an_update_makes(self):
        client = self.client_of_small_documents()
        self.assert_problem(client.post(self.path + "/update-one", {"where": {}, "set": {"z": "y" * 800}}), 413,
                            "payload_too_large")

    def test_what_an_update_or_delete_may_end_with_is_in_its_description(self):
        paths = self.client.get("/openapi.json").json()["paths"]
        for name in ("update-one", "delete-one"):
            self.assertIn("409", paths["/v1/collections/{name}/" + name]["post"]["responses"], name)

    def test_quota_of_bytes(self):
        _, key = self.operator.new_tenant_key({"stored_bytes_max": 20_000})
        client = self.new_client(key)
        statuses = [client.post(self.path + "/documents", document(str(number), x="y" * 5000)).status
                    for number in range(8)]
        self.assertEqual(201, statuses[0])
        self.assertEqual(429, statuses[-1], statuses)

    def test_the_default_tenant_without_keys(self):
        service = Service()
        self.addCleanup(service.close)
        service.start()
        client = Client(service)
        self.addCleanup(client.close)
        self.assertEqual(201, client.post(self.path + "/documents", document("a")).status)
        self.assertEqual([["default"]], service.psql("SELECT tenant_id FROM documents"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
