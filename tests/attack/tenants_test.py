"""Whatever is A's: B is answered as if it never was, by every route, and A's data is what it was."""

import subprocess
import time
import unittest

import world as worlds
from support.client import Client
from support.events import EventReader
from world import World, claims, example_body, fill, hs256, new_id, operations, query_of, start_service, without_id

service = None
world = None


def setUpModule():
    global service, world
    service = start_service()
    unittest.addModuleCleanup(service.close)
    world = World(service)


def ids_of_a():
    return {"id": world.session, "turn": world.turn, "key": world.a_record["id"], "tenant": world.a,
            "user_id": "ada-of-a", "external_id": "a-external", "name": "a-collection", "store": "a-store",
            "tag": "a-tag", "label": "label-of-a", "offset": "0"}


def ids_of_nobody():
    return {"id": new_id(), "turn": new_id(), "key": new_id(), "tenant": "tenant-q", "user_id": "ida",
            "external_id": "q-external", "name": "q-collection", "store": "q-store",
            "tag": "q-tag", "label": "q-label", "offset": "0"}


class TenantTest(unittest.TestCase):
    """Holds A's export before and after each attack together."""

    def setUp(self):
        self.before = world.export()
        self.assertIn("secret of A number 4", "".join(self.before))

    def tearDown(self):
        self.assertEqual(self.before, world.export(), "A's data is not what it was")

    def client(self, key):
        client = Client(service, key, checks=False)
        self.addCleanup(client.close)
        return client

    def ask(self, client, operation, values, **headers):
        _, method, path, call = operation
        body, kind = example_body(call)
        sent = {"Content-Type": kind, **headers} if kind else headers
        return client.call(method, fill(path, **values), body, query=query_of(call), headers=sent)

    def assert_no_marks(self, reply, note):
        for mark in world.marks():
            self.assertNotIn(mark.encode(), reply.body, note)
            self.assertNotIn(mark, str(reply.headers), note)


class RouteTest(TenantTest):
    """Every operation that /openapi.json names, one after the other."""

    def attack(self, client, expected_of_ids=(404,)):
        tried = 0
        for operation in operations(client):
            name, _, path, call = operation
            if "{" not in path:
                continue
            with self.subTest(name):
                theirs = self.ask(client, operation, ids_of_a())
                nobodys = self.ask(client, operation, ids_of_nobody())
                self.assert_no_marks(theirs, name)
                self.assertNotEqual(500, theirs.status, theirs)
                if name == "openSession" and theirs.status in (200, 201):
                    self.assertEqual(theirs.status, nobodys.status) # a session of one's own, of the same name
                    continue
                if name == "exportUser" and theirs.status == 200:
                    self.assertEqual(b'{"type":"end","sessions":0}\n', theirs.body)
                self.assertEqual(without_id(nobodys), without_id(theirs))
                if "{id}" in path or "{tenant}" in path:
                    is_operators = "Needs the admin key." in call["description"]
                    self.assertIn(theirs.status, (403,) if is_operators else expected_of_ids, (name, theirs))
                tried += 1
        return tried

    def test_another_tenants_key(self):
        self.assertGreater(self.attack(self.client(world.b_key)), 25)

    def test_another_tenants_token(self):
        self.attack(self.client(hs256(claims(world.b, scope="read write admin"))), (404, 403))

    def test_another_users_token(self):
        token = hs256(claims(world.a, sub="mallory", scope="user"))
        client = self.client(token)
        tried = 0
        for operation in operations(client):
            name, _, path, call = operation
            if "{id}" not in path:
                continue
            with self.subTest(name):
                theirs = self.ask(client, operation, ids_of_a())
                nobodys = self.ask(client, operation, ids_of_nobody())
                # Database sessions are for no single user: refused before anything is looked for.
                expected = 403 if "/v1/database-sessions/" in path else 404
                self.assertEqual(expected, theirs.status, (name, theirs))
                self.assertEqual(without_id(nobodys), without_id(theirs))
                tried += 1
        self.assertGreater(tried, 15)

    def test_no_key_and_a_wrong_one(self):
        for key in (None, "cq_" + "0" * 12 + "_" + "0" * 43, "cqa_" + "0" * 43, "x"):
            client = self.client(key)
            for operation in operations(client):
                if operation[3].get("security") == []:
                    continue
                with self.subTest(operation[0], key=key):
                    reply = self.ask(client, operation, ids_of_a())
                    self.assertEqual(401, reply.status, reply)
                    self.assert_no_marks(reply, operation[0])

    def test_lists_show_nothing_of_another(self):
        for key in (world.b_key, hs256(claims(world.a, sub="mallory", scope="user"))):
            client = self.client(key)
            for operation in operations(client):
                if "{" in operation[2] or operation[1] != "GET":
                    continue
                with self.subTest(operation[0]):
                    self.assert_no_marks(self.ask(client, operation, {}), operation[0])

    def test_a_label_or_customer_of_a_finds_nothing_of_a(self):
        for key in (world.b_key, hs256(claims(world.a, sub="mallory", scope="user"))):
            client = self.client(key)
            for query in ({"label": "label-of-a"}, {"customer_id": "ada-of-a"},
                          {"label": "label-of-a", "customer_id": "ada-of-a"}):
                reply = client.get("/v1/sessions", query=query)
                self.assertEqual((200, []), (reply.status, reply.json()["items"]))
                self.assert_no_marks(reply, str(query))

    def test_a_turn_or_key_of_a_at_things_of_b(self):
        client = self.client(world.b_key)
        for operation in operations(client):
            name, _, path, call = operation
            for own in ({"id": world.b_session, "tenant": world.b}, {"id": world.session, "tenant": world.a}):
                if "{turn}" not in path and "{key}" not in path:
                    continue
                with self.subTest(name, own=own):
                    theirs = self.ask(client, operation, {**ids_of_a(), **own})
                    nobodys = self.ask(client, operation, {**ids_of_nobody(), **own})
                    self.assertEqual(without_id(nobodys), without_id(theirs))
                    self.assertIn(theirs.status, (404, 409), theirs)

    def test_a_reader_does_not_write(self):
        client = self.client(hs256(claims(world.a, sub="eve", scope="user")))
        self.assertEqual(200, client.get("/v1/sessions/" + world.session).status)
        for operation in operations(client):
            name, method, path, call = operation
            if "{id}" not in path or method == "GET":
                continue
            with self.subTest(name):
                reply = self.ask(client, operation, ids_of_a())
                self.assertIn(reply.status, (403, 404), reply)

    def test_scopes(self):
        reader = self.client(world.operator.new_key(world.a, ["read"])[0])
        writer = self.client(world.operator.new_key(world.a, ["write"])[0])
        for operation in operations(reader):
            name, method, path, call = operation
            if path == "/mcp":
                continue  # each tool has its scope
            for scope, client in (("read", reader), ("write", writer)):
                if call.get("security") == [] or f"scope {scope}" in call["description"]:
                    continue
                with self.subTest(name, scope=scope):
                    reply = self.ask(client, operation, ids_of_a())
                    self.assertEqual(403, reply.status, reply)


class SideDoorTest(TenantTest):
    def setUp(self):
        super().setUp()
        self.b = self.client(world.b_key)

    def test_cursors(self):
        first = world.a_client.get("/v1/sessions", query={"limit": 1}).json()["next_cursor"]
        audit = world.a_client.get("/v1/audit", query={"limit": 1}).json()["next_cursor"]
        messages = world.a_client.get(f"/v1/sessions/{world.session}/messages",
                                      query={"limit": 1}).json()["next_cursor"]
        self.assertTrue(first and audit and messages)
        for path in ("/v1/sessions", "/v1/audit", f"/v1/sessions/{world.b_session}/messages",
                     f"/v1/tenants/{world.b}/keys", f"/v1/sessions/{world.b_session}/events"):
            for cursor in (first, audit, messages, first + "x", first[:-1], "x", "1m0"):
                reply = self.b.get(path, query={"cursor": cursor})
                self.assertIn(reply.status, (200, 400), (path, reply))
                self.assert_no_marks(reply, path)

    def test_filters_by_ids_of_a(self):
        for query in ({"target": world.session}, {"actor": "key:" + world.a_record["prefix"]}):
            self.assertEqual([], self.b.get("/v1/audit", query=query).json()["items"])
        self.assertEqual([], self.b.get("/v1/sessions", query={"user_id": "ada-of-a"}).json()["items"])

    def test_repeats(self):
        body = {"messages": [{"role": "user", "content": f"secret of A number {n}"} for n in range(5)]}
        headers = {"Idempotency-Key": "a-key-1"}
        path = f"/v1/sessions/{world.session}/messages"
        nobodys = self.b.post(f"/v1/sessions/{new_id()}/messages", body, headers=headers)
        self.assertEqual(without_id(nobodys), without_id(self.b.post(path, body, headers=headers)))
        mine = self.b.post(f"/v1/sessions/{world.b_session}/messages", {"role": "user", "content": "b"},
                           headers=headers)
        self.assertEqual(202, mine.status, mine) # A's key of the same name has nothing to do with it

    def documents_of(self, client, path, body):
        reply = client.post(path, body)
        self.assert_no_marks(reply, body)
        return without_id(reply)

    def test_documents_by_ids_of_a(self):
        a, never = worlds.COLLECTION, "/v1/collections/never"
        by_id = {"where": {"id": {"$eq": "document-of-a-1"}}}
        by_text = {"where": {"text": {"$in": ["secret of A number 1"]}}}
        for where in (by_id, by_text, {"where": {}}):
            for call, body in (("query", where), ("find-one", where), ("delete-one", where),
                               ("update-one", {**where, "set": {"text": "stolen"}})):
                with self.subTest(call, where=where):
                    self.assertEqual(self.documents_of(self.b, f"{never}/{call}", body),
                                     self.documents_of(self.b, f"{a}/{call}", body))
        self.assertEqual(*[without_id(self.b.delete(path)) for path in (a, never)])
        self.assertEqual(404, self.b.delete(a).status)
        self.assertEqual([], [each for each in self.b.get("/v1/collections").json()["items"]
                              if each["name"] == "a-collection"])

    def test_documents_by_cursors_of_a(self):
        first = world.a_client.post(worlds.COLLECTION + "/query", {"limit": 1}).json()["next_cursor"]
        listed = world.a_client.post("/v1/collections/b-of-a/documents", {"id": "x", "version": None, "creation_utc": None})
        self.assertEqual(201, listed.status)
        of_list = world.a_client.get("/v1/collections", query={"limit": 1}).json()["next_cursor"]
        self.assertEqual(204, world.a_client.delete("/v1/collections/b-of-a").status)
        for cursor in (first, of_list, {"creation_utc": "2026", "id": "document-of-a-0"}):
            replies = [self.documents_of(self.b, path + "/query", {"cursor": cursor})
                       for path in (worlds.COLLECTION, "/v1/collections/never")]
            self.assertEqual(*replies)
        for cursor in (first, of_list):
            for path in ("/v1/collections", "/v1/stores/a-store/failed-migrations"):
                reply = self.b.get(path, query={"cursor": cursor})
                self.assertIn(reply.status, (200, 400, 404), reply)
                self.assert_no_marks(reply, path)

    def test_documents_by_keys_of_a(self):
        body = {"documents": [{"id": f"document-of-a-{n}", "version": "1", "creation_utc": "2026",
                               "text": f"secret of A number {n}"} for n in range(5)]}
        headers = {"Idempotency-Key": "a-key-2"}
        mine = self.b.post(worlds.COLLECTION + "/documents", {"id": "own", "version": "1", "creation_utc": "1"},
                           headers=headers)
        self.assertEqual((201, {"ids": ["own"]}), (mine.status, mine.json()), mine)
        other = self.b.post(worlds.COLLECTION + "/documents", body, headers=headers)
        self.assertEqual(422, other.status, other) # its own key, of its own tenant, with another body
        self.assertEqual(204, self.b.delete(worlds.COLLECTION).status)

    def test_documents_of_another_user(self):
        mallory = self.client(hs256(claims(world.a, sub="mallory", scope="user")))
        for customer in (None, "ada-of-a", ["mallory"], {"mallory": 1}, "Mallory"):
            document = {"id": "forged", "version": "1", "creation_utc": "1", "customer_id": customer}
            reply = mallory.post(worlds.COLLECTION + "/documents", document)
            self.assertEqual(403, reply.status, (customer, reply))
        body = {"where": {"$or": [{"customer_id": {"$ne": "mallory"}}, {"id": {"$gte": ""}}]}}
        for call, more in (("query", {}), ("find-one", {}), ("delete-one", {}), ("update-one", {"set": {
                "customer_id": "mallory"}})):
            self.assertEqual(self.documents_of(mallory, "/v1/collections/never/" + call, {**body, **more}),
                             self.documents_of(mallory, f"{worlds.COLLECTION}/{call}", {**body, **more}))
        for method, path in (("GET", "/v1/collections"), ("DELETE", worlds.COLLECTION),
                             ("GET", "/v1/stores/a-store/failed-migrations")):
            self.assertEqual(403, mallory.call(method, path).status)

    def test_a_store_of_the_same_name(self):
        opened = self.b.post("/v1/stores/a-store/open", {"version": "1", "allow_migration": False}).json()
        self.assertNotIn("7", (opened.get("version"), opened.get("previous_version")), opened)
        self.assertNotEqual("store_outdated", opened.get("code"), opened)

    def test_streams_and_polls(self):
        readers = []
        for session in (world.session, new_id()):
            with EventReader(service, session, world.b_key) as reader:
                self.assertEqual(404, reader.status)
                readers.append(dict(reader.problem(), request_id=""))
        self.assertEqual(*readers)
        began = time.monotonic()
        replies = [self.b.get(f"/v1/sessions/{session}/events", query={"wait_s": 20, "after": 100})
                   for session in (world.session, new_id())]
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(*map(without_id, replies))

    def test_an_import_of_what_a_exported(self):
        lines = world.a_client.get(f"/v1/sessions/{world.session}/export").body
        lines = lines.replace(b'"a-external"', b'"a-external-of-b"')
        reply = self.b.post("/v1/import", lines, headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual(201, reply.status, reply)
        made = reply.json()["sessions"][0]["id"]
        self.assertNotEqual(world.session, made)
        self.assertEqual(404, world.a_client.get("/v1/sessions/" + made).status)
        self.assertEqual(204, self.b.delete("/v1/sessions/" + made).status)

    def test_a_tenant_in_the_request_is_not_believed(self):
        for headers in ({"X-Tenant": world.a}, {"X-Tenant-Id": world.a}, {"tenant": world.a},
                        {"X-Forwarded-User": "ada"}, {"X-User-Id": "ada"}, {"Cookie": f"key={world.a_key}"}):
            reply = self.b.get("/v1/sessions/" + world.session, headers=headers)
            self.assertEqual(404, reply.status, headers)
        for query in ({"tenant": world.a}, {"key": world.a_key}, {"access_token": world.a_key}):
            self.assertEqual(400, self.b.get("/v1/sessions", query=query).status, query)
        reply = self.b.post("/v1/sessions", {"user_id": "ada", "tenant": world.a})
        self.assertEqual(400, reply.status)


class DatabaseTest(unittest.TestCase):
    """Past the service: its own role, with B's name set, as a statement of the service's would have it."""

    def psql(self, sql):
        done = subprocess.run(
            ["psql", "-h", str(service.data_dir / "postgres/socket"), "-U", "postgres", "-d", "colloquy", "-X", "-q",
             "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c",
             f"SET ROLE colloquy_service; SELECT set_config('colloquy.tenants', '{world.b}', false); {sql}"],
            capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.splitlines()[1:], done.stderr

    def test_nothing_of_a_is_visible(self):
        tables = [row[0] for row in service.psql(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON "
            "a.attrelid = c.oid WHERE a.attname = 'tenant_id' AND c.relkind IN ('r','p','v','m') AND n.nspname NOT IN "
            "('pg_catalog','information_schema')")]
        self.assertIn("events", tables)
        with_rows = 0
        for table in tables:
            with self.subTest(table):
                theirs = int(service.psql(f"SELECT count(*) FROM {table} WHERE tenant_id = '{world.a}'")[0][0])
                with_rows += theirs > 0
                rows, problem = self.psql(f"SELECT count(*) FROM {table} WHERE tenant_id = '{world.a}'")
                self.assertTrue(rows == ["0"] or "permission denied" in problem, (rows, problem))
        self.assertGreater(with_rows, 5)

    def test_b_sees_its_own(self):
        self.assertEqual((["1"], ""), self.psql(f"SELECT count(*) FROM sessions WHERE id = '{world.b_session}'"))

    def test_digests_of_keys_are_not_readable(self):
        for sql in ("SELECT sha256 FROM api_keys", "SELECT * FROM api_keys", "SELECT * FROM service_keys"):
            rows, problem = self.psql(sql)
            self.assertEqual([], rows)
            self.assertIn("permission denied", problem, sql)

    def test_the_role_can_neither_leave_its_tenant_nor_its_rights(self):
        found = service.psql("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles "
                             "WHERE rolname = 'colloquy_service'")
        self.assertEqual([["f", "f", "f", "f"]], found)
        for sql in (f"INSERT INTO sessions (tenant_id) VALUES ('{world.a}')",
                    "ALTER TABLE sessions DISABLE ROW LEVEL SECURITY", "DROP POLICY p ON sessions",
                    "TRUNCATE events", "DELETE FROM events", "UPDATE audit_log SET action = ''"):
            _, problem = self.psql(sql)
            self.assertNotEqual("", problem, sql)
        rows, _ = self.psql(f"UPDATE sessions SET title = 'stolen' WHERE id = '{world.session}' RETURNING id")
        self.assertEqual([], rows)


if __name__ == "__main__":
    unittest.main(verbosity=1)
