"""Running it: health, readiness, figures, the pool, and the document of it all."""

import json
import re
import shutil
import signal
import subprocess
import threading
import unittest

from support.cases import HttpTest, assistant, start_module_service, user
from support.client import Client, Reply
from support.events import EventReader
from support.postgres import Server
from support.service import Service, eventually
from support.tenants import Operator


def setUpModule():
    HttpTest.service = start_module_service()


class Health(HttpTest):
    def test_alive_and_ready(self):
        self.assertEqual({"status": "ok"}, self.client.get("/healthz").json())
        self.assertEqual({"status": "ready", "reason": None}, self.client.get("/readyz").json())
        for path in ("/healthz", "/readyz", "/openapi.json"):
            self.assert_status(200, self.client.get(path, key=None))


class DatabaseAway(HttpTest):
    """With a server that comes late, goes, and comes again."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)

    def wait_for(self, client, status):
        return eventually(lambda: (reply := client.get("/readyz")).status == status and reply, 25, f"readyz {status}")

    def test_it_waits_for_the_server_and_outlives_its_absence(self):
        self.server.stop()
        service = Service(arguments=["--database", self.server.uri()], settings={"request_timeout": "2s"})
        service.listen = f"unix:{service.folder}/door.sock"
        service.unix_path = service.folder / "door.sock"
        self.addCleanup(service.close)
        service.launch()
        client = Client(service)
        self.addCleanup(client.close)

        def is_alive():
            try:
                return client.get("/healthz").status == 200
            except OSError:  # nobody listens yet
                client.close()
                return False
        eventually(is_alive, 10, "the door")
        ready = self.wait_for(client, 503)
        self.assertEqual(("not_ready", "1"), (ready.json()["status"], ready.headers["Retry-After"]))
        self.assertIn("starting", ready.json()["reason"])
        self.assert_problem(client.post("/v1/sessions", {"user_id": "a"}), 503, "database_unavailable")
        self.server.start()
        self.wait_for(client, 200)
        session = self.assert_status(201, client.post("/v1/sessions", {"user_id": "a"})).json()
        path = "/v1/sessions/" + session["id"]
        self.append(path, user("before"), client=client)

        self.server.stop()
        self.assertIn("database", self.wait_for(client, 503).json()["reason"])
        refused = client.post("/v1/sessions", {"user_id": "a"})
        self.assertIn((refused.status, refused.code), ((503, "database_unavailable"), (504, "deadline_exceeded")))
        accepted = client.post(path + "/messages", user("meanwhile"))
        self.assertEqual(202, accepted.status, accepted)
        self.assert_status(200, client.get("/healthz"))
        self.server.start()
        self.wait_for(client, 200)
        self.append(path, user("after"), client=client)
        items = client.get(path + "/messages").json()["items"]
        self.assertEqual(["before", "meanwhile", "after"], [each["content"] for each in items])
        self.assertEqual(0, service.stop())
        self.assertEqual(["3"], self.server.psql("SELECT count(*) FROM events"))

    def test_require_database(self):
        uri = self.server.uri(port=1)
        service = Service(arguments=["--database", uri, "--require-database"])
        self.addCleanup(service.close)
        self.assertEqual(1, service.launch().wait())
        self.assertIn("port 1 ", service.log())


class Figures(HttpTest):
    def metrics(self):
        reply = self.assert_status(200, self.client.get("/metrics"))
        self.assertTrue(reply.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return reply.text

    def lived(self):
        path = self.new_path()
        self.append(path)
        turn = self.start_turn(path)["turn"]
        self.client.post(f"{path}/turns/{turn['id']}/complete")
        self.client.get("/v1/sessions/none")
        self.client.get("/nothing")
        return path

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here (Debian: prometheus)")
    def test_promtool_finds_nothing(self):
        self.lived()
        done = subprocess.run(["promtool", "check", "metrics"], input=self.metrics(), capture_output=True, text=True,
                              check=False)
        self.assertEqual((0, ""), (done.returncode, done.stdout + done.stderr))

    def test_what_it_counts(self):
        def value(name):
            found = [float(line.rsplit(" ", 1)[1]) for line in self.metrics().splitlines() if line.startswith(name)]
            return sum(found)
        names = ['colloquy_http_requests_total{route="/v1/sessions/{id}/messages",method="POST",status="201"}',
                 "colloquy_turns_started_total", 'colloquy_turns_ended_total{outcome="completed"}',
                 "colloquy_append_durable_duration_seconds_count", 'colloquy_tenant_requests_total{tenant="default"}']
        before = {name: value(name) for name in names}
        self.lived()
        for name in names:
            self.assertGreater(value(name), before[name], name)
        text = self.metrics()
        for family in ("colloquy_http_request_duration_seconds_bucket", "colloquy_http_connections", "colloquy_http_streams",
                       "colloquy_persistence_lag_seconds", "colloquy_pool_connections", "colloquy_pool_wait_seconds_bucket",
                       "colloquy_pool_waiting"):
            self.assertIn("\n" + family, text)

    def test_labels_are_bounded(self):
        for i in range(50):
            self.client.get(f"/made/up/{i}")
            self.client.call(f"BREW{i}", "/v1/sessions")
        text = self.metrics()
        self.assertNotIn("/made/up", text)
        self.assertNotIn("BREW", text)


class Pool(HttpTest):
    def test_its_connections(self):
        pool = self.assert_status(200, self.client.get("/v1/pool")).json()
        self.assertFalse(pool["paused"])
        self.assertGreaterEqual(pool["total"], 1)
        pool = eventually(lambda: (now := self.client.get("/v1/pool").json())["connecting"] == 0 and now, 10, "all of it")
        self.assertEqual(pool["total"], len(pool["backends"]))

    def test_with_the_servers_own_view(self):
        pool = eventually(lambda: (now := self.client.get("/v1/pool").json())["at_server"]["total"] >= now["total"] and now,
                          5, "the server's own view")
        self.assertEqual(pool["at_server"]["total"], sum(each["count"] for each in pool["at_server"]["states"]))

    def test_paused_and_resumed(self):
        try:
            self.assertTrue(self.assert_status(200, self.client.post("/v1/pool/pause")).json()["paused"])
            other = self.new_client()
            answered = []
            waiting = threading.Thread(target=lambda: answered.append(other.get("/v1/sessions").status))
            waiting.start()
            eventually(lambda: self.client.get("/v1/pool").json()["waiting"] >= 1, 10, "one who waits")
            self.assertEqual([], answered)
        finally:
            self.assertFalse(self.assert_status(200, self.client.post("/v1/pool/resume")).json()["paused"])
        waiting.join(10)
        self.assertEqual([200], answered)

    def test_resized_and_rotated(self):
        pool = self.client.get("/v1/pool").json()
        self.addCleanup(self.client.post, "/v1/pool/resize", {"min": pool["min"], "max": pool["max"]})
        resized = self.assert_status(200, self.client.post("/v1/pool/resize", {"min": 3, "max": 4})).json()
        self.assertEqual((3, 4), (resized["min"], resized["max"]))
        for wrong in ({"min": 0, "max": 4}, {"min": 5, "max": 4}, {"min": 1, "max": 1001}, {"min": 1}, {}):
            self.assert_problem(self.client.post("/v1/pool/resize", wrong), 400, "invalid_request")

        def pids():
            return {each["backend_pid"] for each in self.client.get("/v1/pool").json()["backends"]}
        before = eventually(lambda: len(pids()) >= 3 and pids(), 10, "three connections")
        self.assert_status(200, self.client.post("/v1/pool/rotate"))
        eventually(lambda: len(now := pids()) >= 3 and not now & before, 20, "other connections")
        self.append(self.new_path())

    def test_in_the_audit_log(self):
        self.client.post("/v1/pool/resume", headers={"X-Request-Id": "resumed"})
        eventually(lambda: any(each["request_id"] == "resumed" for each in
                               self.client.get("/v1/audit", query={"action": "pool.resume"}).json()["items"]), 5, "its entry")


class Document(HttpTest):
    def test_it_is_openapi_3_1_and_whole(self):
        reply = self.assert_status(200, self.client.get("/openapi.json"))
        document = reply.json()
        self.assertTrue(document["openapi"].startswith("3.1"))
        names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
        self.assertEqual(len(names), len(set(names)))
        references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', reply.text))
        self.assertEqual(references, set(document["components"]["schemas"]))
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                told = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
                self.assertEqual(re.findall(r"{(\w+)}", path), told, (method, path))

    def test_every_example_fits_its_schema(self):
        document = self.client.get("/openapi.json").json()
        schemas = self.client.operations().schemas
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
                for content in (kind for body in bodies for kind in body.get("content", {}).values()):
                    if "example" in content:
                        found = schemas.complaints(content["example"], content["schema"])
                        self.assertEqual([], [one for one in found if "date-time" not in one], (method, path))

    def test_every_operation_answers_as_it_says(self):
        service = start_own(self)
        operations = EveryCall(self, service).make()
        self.assertEqual(set(), operations.names() - set(operations.called))
        for name, statuses in operations.called.items():
            self.assertTrue(any(status < 300 for status in statuses), name)


def start_own(test):
    service = Service()
    test.addCleanup(service.close)
    return service.start()


class EveryCall:
    """Each operation once, with success; the clients hold every reply against the document."""

    def __init__(self, test, service):
        operator = Operator(service)
        self.test = test
        self.service = service
        self.admin = operator.client
        self.tenant, self.key = operator.new_tenant_key()
        self.client = Client(service, self.key)
        test.addCleanup(self.client.close)
        test.addCleanup(self.admin.close)

    def make(self):
        self.sessions()
        self.log_and_turns()
        self.tenants()
        self.data()
        self.documents()
        self.stores()
        self.running()
        self.labels_and_deletions()
        self.database_sessions()
        self.mcp()
        return self.client.operations()

    def labels_and_deletions(self):
        client = self.client
        path = "/v1/sessions/" + client.post("/v1/sessions", {"user_id": "ada"}).json()["id"]
        client.post(path + "/messages", {"messages": [user("a"), user("b")]}, query={"durability": "durable"})
        client.put(path + "/labels/vip")
        client.delete(path + "/labels/vip")
        client.delete(path + "/events/0")
        client.delete(path + "/events", query={"from": 1})

    def database_sessions(self):
        client = self.client
        path = "/v1/database-sessions/" + client.post("/v1/database-sessions", {}).json()["id"]
        client.post(path + "/execute", {"sql": "SELECT 1"})
        client.get(path + "/notifications")
        client.delete(path)

    def mcp(self):
        client, follower = self.client, Client(self.service, self.key)
        begun = client.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
        session = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"]}
        client.post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
        stream = follower.open()
        key = {"Authorization": "Bearer " + self.key} if self.key else {}
        stream.request("GET", "/mcp", headers={**session, **key})
        answer = stream.getresponse()  # its head is there: the session is followed
        self.test.assertEqual(client.get("/mcp", headers=session).status, 409)
        client.delete("/mcp", headers=session)
        reply = Reply(answer.status, answer.headers, answer.read(), answer.version)
        self.test.assertEqual(client.operations().complaints("GET", "/mcp", reply), [])
        stream.close()
        client.get("/.well-known/oauth-protected-resource")
        client.get("/.well-known/oauth-protected-resource/mcp")

    def sessions(self):
        client = self.client
        self.path = "/v1/sessions/" + client.post("/v1/sessions", {"user_id": "ada", "metadata": {"a": 1}}).json()["id"]
        client.put("/v1/sessions/by-external-id/x", {"user_id": "ada"})
        client.put("/v1/sessions/by-external-id/x", {"user_id": "ada"})
        client.get(self.path)
        client.patch(self.path, {"title": "t"})
        client.get("/v1/sessions", query={"limit": 1})
        client.put(self.path + "/participants/bob", {"role": "reader"})
        client.get(self.path + "/participants")
        client.delete(self.path + "/participants/bob")
        client.get("/v1/analytics", query={"from": "2026-01-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"})

    def log_and_turns(self):
        client, path = self.client, self.path
        client.post(path + "/messages", user(tokens=5, name="n", metadata={}))
        client.post(path + "/messages", {"messages": [user()]}, query={"durability": "durable"})
        client.get(path + "/messages", query={"token_budget": 100})
        client.get(path + "/messages", query={"limit": 1})
        client.post(path + "/events", {"kind": "custom", "data": [1]}, query={"durability": "durable"})
        client.get(path + "/events", query={"limit": 1})
        with EventReader(self.service, path.rsplit("/", 1)[1], client.key) as reader:
            schemas = client.operations().schemas
            for event in reader.take(3):
                found = schemas.complaints(event.json(), {"$ref": "#/components/schemas/Event"})
                assert not found, found
        for call, body in (("complete", {"usage": {"input_tokens": 1, "output_tokens": 1}}), ("fail", {"reason": "r"}),
                           ("cancel", None)):
            turn = f"{path}/turns/{client.post(path + '/turns', {'messages': [user()]}).json()['turn']['id']}"
            client.post(turn + "/messages", assistant())
            client.post(turn + "/messages", assistant(), query={"durability": "durable"})
            client.post(turn + "/deltas", {"text": "t", "more": 1})
            client.post(turn + "/renew", {"lease_s": 5})
            client.post(f"{turn}/{call}", body)
        client.get(path + "/turns")
        client.post(path + "/fork", {"at_offset": 0})

    def tenants(self):
        path = "/v1/tenants/" + self.tenant
        self.admin.get("/v1/tenants")
        self.client.get(path)
        self.client.get(path + "/quotas")
        self.admin.put(path + "/quotas", {"sessions_max": 1000})
        record = self.client.post(path + "/keys", {"scopes": ["read"], "name": "n", "expires_in_s": 60}).json()["record"]
        record = self.client.post(f"{path}/keys/{record['id']}/rotate", {"grace_s": 5}).json()["record"]
        self.client.get(path + "/keys")
        self.client.delete(f"{path}/keys/{record['id']}")
        self.client.get("/v1/audit", query={"limit": 2})

    def documents(self):
        client, path = self.client, "/v1/collections/tickets"
        one = {"id": "a", "version": "1", "creation_utc": None, "n": [1]}
        client.post(path + "/documents", one)
        client.post(path + "/documents", {"documents": [{**one, "id": "b"}, {**one, "id": "c", "version": "0"}]})
        client.post(path + "/query", {"where": {"n": {"$ne": 1}}, "limit": 1})
        client.post(path + "/find-one", {"where": {}, "sort": [{"field": "n"}]})
        client.post(path + "/find-one", {"where": {"n": {"$eq": 1}}})
        client.post(path + "/update-one", {"where": {}, "set": {"n": 1}})
        client.post(path + "/delete-one", {"where": {}})
        client.get("/v1/collections", query={"limit": 1})
        client.post("/v1/stores/tickets/open", {"version": "1", "allow_migration": True})
        client.post("/v1/stores/tickets/open", {"version": "2", "allow_migration": True,
                                                "converters": [{"from": "1", "to": "2", "set": {"n": 2}}]})
        client.get("/v1/stores/tickets/failed-migrations", query={"limit": 1})
        client.delete(path)

    def stores(self):
        client = self.client
        for path, name in (("/v1/customers", "ada"), ("/v1/context-variables", "plan")):
            client.post(path, {"id": name, "name": name, "tags": ["old"]})
            client.get(path, query={"limit": 1})
            one = f"{path}/{name}"
            client.get(one)
            client.patch(one, {"name": "other"})
            client.post(one + "/tags", {"tag": "vip"})
            client.get(one + "/tags")
            client.delete(one + "/tags/old")
        client.put(one + "/values/ada", {"data": {"plan": "gold"}})
        client.get(one + "/values/ada")
        client.get(one + "/values", query={"limit": 1})
        client.get(one + "/lookup", query={"customer_id": "ada", "agent_id": "helper"})
        client.delete(one + "/values/ada")
        client.get(one + "/lookup")
        client.delete(one)
        client.delete("/v1/customers/ada")

    def data(self):
        exported = self.client.get(self.path + "/export").body
        self.client.get("/v1/users/ada/export")
        self.client.post("/v1/import", exported, headers={"Content-Type": "application/x-ndjson"})
        self.client.delete(self.path)
        self.client.delete("/v1/users/ada")

    def running(self):
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/pool"):
            self.admin.get(path)
        for call, body in (("pause", None), ("resume", None), ("resize", {"min": 2, "max": 5}), ("rotate", None)):
            self.admin.post("/v1/pool/" + call, body)


class Reloading(HttpTest):
    def test_what_may_change_while_it_runs(self):
        service = start_own(self)
        client = Client(service)
        self.addCleanup(client.close)
        service.settings.update(access_log="true", message_bytes_max="2KiB", request_timeout="1s")
        text = "".join(f'{name} = "{value}"\n' for name, value in service.settings.items())
        (service.folder / "colloquy.conf").write_text(text)
        service.signal(signal.SIGHUP)
        service.wait_for_log(" reloaded")
        path = "/v1/sessions/" + client.post("/v1/sessions", {"user_id": "a"}, headers={"X-Request-Id": "seen"}).json()["id"]
        service.wait_for_log("id=seen")
        self.assert_problem(client.post(path + "/messages", user("x" * 2048)), 413, "payload_too_large")
        (service.folder / "colloquy.conf").write_text("message_bytes_max = nonsense\n")
        service.signal(signal.SIGHUP)
        self.assertIn("message_bytes_max", service.wait_for_log("not reloaded"))
        self.assert_problem(client.post(path + "/messages", user("x" * 2048)), 413, "payload_too_large")
        self.assertTrue(json.loads(client.get("/readyz").body))


if __name__ == "__main__":
    unittest.main(verbosity=2)
