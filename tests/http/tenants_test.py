"""Tenants, keys, quotas, the audit log."""

import os
import stat
import time
import unittest

from support.cases import UNKNOWN_ID, HttpTest, start_module_service, user
from support.client import Client, RawConnection, raw_request
from support.events import EventReader
from support.service import eventually
from support.tenants import Operator


def setUpModule():
    HttpTest.service = start_module_service()


class TenantTest(HttpTest):
    def setUp(self):
        super().setUp()
        self.operator = Operator(self.service)
        self.addCleanup(self.operator.client.close)
        self.admin = self.operator.client

    def status(self, key, method="GET", path="/v1/sessions", body=None):
        return self.admin.call(method, path, body, key=key).status

    def tenant_client(self, quotas=None, **more):
        tenant, key = self.operator.new_tenant_key(quotas, **more)
        return tenant, self.new_client(key)


class AdminKey(TenantTest):
    def test_its_file_is_for_its_owner_alone_and_it_stays(self):
        path = self.service.data_dir / "admin.key"
        self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode))
        self.assertNotIn(self.service.admin_key, self.service.log())
        self.assertNotIn(self.service.admin_key, str(self.service.psql("SELECT * FROM service_keys")))

    def test_it_does_what_operators_do_and_nothing_else(self):
        tenant = self.operator.new_tenant()
        for path in ("/v1/tenants", f"/v1/tenants/{tenant}", f"/v1/tenants/{tenant}/keys",
                     f"/v1/tenants/{tenant}/quotas", "/v1/pool", "/metrics"):
            self.assertEqual(200, self.status(self.service.admin_key, path=path), path)
        for path in ("/v1/sessions", "/v1/audit", f"/v1/sessions/{UNKNOWN_ID}", "/v1/users/ada/export"):
            self.assert_problem(self.admin.get(path), 403, "forbidden")


class Tenants(TenantTest):
    def test_made_seen_and_listed(self):
        reply = self.admin.post("/v1/tenants", {"id": "acme-1", "title": "Acme", "quotas": {"sessions_max": 5}})
        made = self.assert_status(201, reply).json()
        self.assertEqual(("acme-1", "Acme", 5, None), (made["id"], made["title"], made["quotas"]["sessions_max"],
                                                       made["quotas"]["requests_per_s"]))
        self.assertEqual({"sessions": 0, "stored_bytes": 0}, made["used"])
        self.assertEqual(made, self.admin.get("/v1/tenants/acme-1").json())
        for _ in range(4):
            self.operator.new_tenant()
        listed = [each["id"] for page in self.admin.pages("/v1/tenants", {"limit": 2}) for each in page]
        self.assertEqual(sorted(listed), listed)
        self.assertIn("acme-1", listed)
        self.assert_problem(self.admin.post("/v1/tenants", {"id": "acme-1"}), 409, "conflict")
        self.assert_problem(self.admin.get("/v1/tenants/nobody"), 404, "not_found")
        self.assert_problem(self.admin.get("/v1/tenants", query={"cursor": "\u00f8"}), 400, "invalid_request")

    def test_names(self):
        for good in ("a", "0", "a" * 63, "a-b_c9"):
            self.assert_status(201, self.admin.post("/v1/tenants", {"id": good}))
        for wrong in ("", "a" * 64, "A", "-a", "_a", "a b", "\u00f8", "a/b", 5, None):
            self.assert_problem(self.admin.post("/v1/tenants", {"id": wrong}), 400, "invalid_request")

    def test_nobody_else_makes_or_lists_them(self):
        tenant, client = self.tenant_client()
        self.assert_problem(client.post("/v1/tenants", {"id": "mine"}), 403, "forbidden")
        self.assert_problem(client.get("/v1/tenants"), 403, "forbidden")
        self.assert_problem(client.put(f"/v1/tenants/{tenant}/quotas", {}), 403, "forbidden")
        self.assertEqual(200, client.get(f"/v1/tenants/{tenant}").status)

    def test_anothers_things_are_as_if_they_never_were(self):
        tenant, first = self.tenant_client()
        _, second = self.tenant_client()
        session = "/v1/sessions/" + self.new_session(first, external_id="mine")["id"]
        self.append(session, client=first)
        unknown = "/v1/sessions/" + UNKNOWN_ID
        for method, path, body in (("GET", "", None), ("DELETE", "", None), ("GET", "/messages", None),
                                   ("POST", "/messages", user()), ("POST", "/fork", {"at_offset": 0}),
                                   ("POST", "/turns", None), ("GET", "/export", None), ("GET", "/events", None)):
            same = {"X-Request-Id": "same"}
            theirs = second.call(method, session + path, body, headers=same)
            never = second.call(method, unknown + path, body, headers=same)
            self.assertEqual((404, never.body), (theirs.status, theirs.body), path)
        self.assertEqual(201, second.put("/v1/sessions/by-external-id/mine", {"user_id": "b"}).status)
        hidden = second.get(f"/v1/tenants/{tenant}", headers={"X-Request-Id": "same"})
        never = second.get("/v1/tenants/nobody", headers={"X-Request-Id": "same"})
        self.assertEqual((404, never.body), (hidden.status, hidden.body))


class Keys(TenantTest):
    def test_made_and_listed_without_their_secrets(self):
        tenant = self.operator.new_tenant()
        reply = self.admin.post(f"/v1/tenants/{tenant}/keys",
                                {"name": "chat", "scopes": ["read", "write"], "expires_in_s": 600})
        made = self.assert_status(201, reply).json()
        self.assertTrue(made["key"].startswith("cq_" + made["record"]["prefix"]))
        self.assertEqual(("chat", ["read", "write"], None, None), tuple(made["record"][name] for name in (
            "name", "scopes", "last_used_at", "revoked_at")))
        listed = self.assert_status(200, self.admin.get(f"/v1/tenants/{tenant}/keys"))
        self.assertEqual([made["record"]], listed.json()["items"])
        self.assertNotIn(made["key"], listed.text)
        self.assertNotIn(made["key"], str(self.service.psql("SELECT * FROM api_keys")))
        self.assertNotIn(made["key"], self.service.log())

    def test_wrong_fields(self):
        path = f"/v1/tenants/{self.operator.new_tenant()}/keys"
        for wrong, pointer in (({}, "/scopes"), ({"scopes": []}, "/scopes"), ({"scopes": ["read", "read"]}, "/scopes"),
                               ({"scopes": ["root"]}, "/scopes"), ({"scopes": "read"}, "/scopes"),
                               ({"scopes": ["read"], "user_id": ""}, "/user_id"),
                               ({"scopes": ["read"], "name": "n" * 256}, "/name"),
                               ({"scopes": ["read"], "expires_in_s": 0}, "/expires_in_s")):
            problem = self.assert_problem(self.admin.post(path, wrong), 400, "invalid_request")
            self.assertEqual([pointer], self.pointers(problem))
        self.assert_problem(self.admin.post("/v1/tenants/nobody/keys", {"scopes": ["read"]}), 404, "not_found")

    def test_scopes(self):
        tenant = self.operator.new_tenant()
        path = f"/v1/tenants/{tenant}/keys"
        calls = {"read": ("GET", "/v1/sessions", None, 200), "write": ("POST", "/v1/sessions", {"user_id": "a"}, 201),
                 "admin": ("GET", path, None, 200)}
        for scopes in (["read"], ["write"], ["admin"], ["read", "write"], ["read", "write", "admin"]):
            key, _ = self.operator.new_key(tenant, scopes)
            for scope, (method, target, body, status) in calls.items():
                self.assertEqual(status if scope in scopes else 403, self.status(key, method, target, body),
                                 (scopes, scope))

    def test_revoked_at_once(self):
        tenant = self.operator.new_tenant()
        key, record = self.operator.new_key(tenant)
        self.assertEqual(200, self.status(key))
        self.assert_status(204, self.admin.delete(f"/v1/tenants/{tenant}/keys/{record['id']}"))
        self.assertEqual(401, self.status(key))
        self.assertIsNotNone(self.admin.get(f"/v1/tenants/{tenant}/keys").json()["items"][0]["revoked_at"])
        self.assert_problem(self.admin.delete(f"/v1/tenants/{tenant}/keys/{UNKNOWN_ID}"), 404, "not_found")

    def test_rotated_with_grace_and_without(self):
        tenant = self.operator.new_tenant()
        for body, old_status in ((None, 401), ({"grace_s": 0}, 401), ({"grace_s": 3600}, 200)):
            key, record = self.operator.new_key(tenant, ["read"], name="turning", user_id="ada")
            self.assertEqual(200, self.status(key))
            reply = self.admin.post(f"/v1/tenants/{tenant}/keys/{record['id']}/rotate", body)
            fresh = self.assert_status(201, reply).json()
            self.assertEqual(("turning", ["read"], "ada"), tuple(fresh["record"][name] for name in ("name", "scopes",
                                                                                                    "user_id")))
            self.assertEqual((200, old_status), (self.status(fresh["key"]), self.status(key)), body)
        key, record = self.operator.new_key(tenant)
        self.admin.post(f"/v1/tenants/{tenant}/keys/{record['id']}/rotate", {"grace_s": 1})
        eventually(lambda: self.status(key) == 401, 10, "the end of the grace")
        for wrong in ({"grace_s": -1}, {"grace_s": 7 * 86400 + 1}):
            reply = self.admin.post(f"/v1/tenants/{tenant}/keys/{record['id']}/rotate", wrong)
            self.assert_problem(reply, 400, "invalid_request")

    def test_they_expire(self):
        tenant = self.operator.new_tenant()
        key, _ = self.operator.new_key(tenant, expires_in_s=1)
        self.assertEqual(200, self.status(key))
        eventually(lambda: self.status(key) == 401, 8, "the end of the key")

    def test_their_last_use_is_noted(self):
        tenant = self.operator.new_tenant()
        key, _ = self.operator.new_key(tenant)
        self.status(key)
        self.service.restart()  # else it is written down once a minute
        self.admin.close()
        self.assertIsNotNone(self.admin.get(f"/v1/tenants/{tenant}/keys").json()["items"][0]["last_used_at"])

    def test_a_key_of_one_user_sees_that_users_things_alone(self):
        tenant, everybody = self.tenant_client()
        ada = self.new_client(self.operator.new_key(tenant, ["read", "write"], user_id="ada")[0])
        mine = "/v1/sessions/" + self.new_session(ada)["id"]
        others = "/v1/sessions/" + self.new_session(everybody, user_id="bob")["id"]
        self.assert_problem(ada.post("/v1/sessions", {"user_id": "bob"}), 403, "forbidden")
        self.assert_problem(ada.get(others), 404, "not_found")
        self.assert_problem(ada.post(others + "/messages", user()), 404, "not_found")
        self.assertEqual([mine], ["/v1/sessions/" + each["id"] for each in ada.get("/v1/sessions").json()["items"]])
        self.assert_problem(ada.get("/v1/users/bob/export"), 403, "forbidden")
        everybody.put(others + "/participants/ada", {"role": "reader"})
        self.assert_status(200, ada.get(others))
        self.assert_problem(ada.post(others + "/messages", user()), 403, "forbidden")
        everybody.put(others + "/participants/ada", {"role": "writer"})
        self.append(others, client=ada)
        self.assertEqual("ada", everybody.get(others + "/messages").json()["items"][0]["author"])
        with EventReader(self.service, others.rsplit("/", 1)[1], ada.key) as reader:
            reader.take(1)
            everybody.delete(others + "/participants/ada")
            self.assertEqual("end", reader.take(1)[0].kind)
        self.assert_problem(ada.get(others), 404, "not_found")


class Quotas(TenantTest):
    def over(self, reply):
        problem = self.assert_problem(reply, 429, "quota_exceeded")
        return problem["detail"]

    def test_set_all_at_once_and_seen(self):
        tenant, client = self.tenant_client()
        path = f"/v1/tenants/{tenant}/quotas"
        quotas = self.assert_status(200, self.admin.put(path, {"sessions_max": 7, "requests_per_s": 500})).json()
        self.assertEqual((7, 500, None), tuple(quotas["quotas"][name] for name in ("sessions_max", "requests_per_s",
                                                                                   "running_turns_max")))
        self.assertEqual(quotas["quotas"], client.get(path).json()["quotas"])
        self.assertIsNone(self.admin.put(path, {"sessions_max": None}).json()["quotas"]["requests_per_s"])
        for wrong in ({"sessions_max": 0}, {"session_max": 5}, {"requests_per_s": 0.5}):
            self.assert_problem(self.admin.put(path, wrong), 400, "invalid_request")

    def test_requests(self):
        _, client = self.tenant_client({"requests_per_s": 1, "request_burst": 5})
        replies = [client.get("/v1/sessions") for _ in range(9)]
        self.assertEqual([200] * 5, [each.status for each in replies[:5]])
        self.assertEqual("5", replies[0].headers["RateLimit-Limit"])
        self.assertEqual(["4", "3"], [each.headers["RateLimit-Remaining"] for each in replies[:2]])
        refused = next(each for each in replies if each.status != 200)
        self.assertIn("requests_per_s", self.over(refused))
        self.assertEqual(("5", "0"), (refused.headers["RateLimit-Limit"], refused.headers["RateLimit-Remaining"]))
        time.sleep(int(refused.headers["Retry-After"]))
        self.assert_status(200, client.get("/v1/sessions"))

    def test_sessions(self):
        tenant, client = self.tenant_client({"sessions_max": 2})
        made = [self.new_session(client) for _ in range(2)]
        path = "/v1/sessions/" + made[0]["id"]
        self.append(path, client=client)
        for method, target, body in (("POST", "/v1/sessions", {"user_id": "a"}),
                                     ("PUT", "/v1/sessions/by-external-id/x", {"user_id": "a"}),
                                     ("POST", path + "/fork", {"at_offset": 0})):
            self.assertIn("sessions_max", self.over(client.call(method, target, body)))
        client.delete(path)
        eventually(lambda: client.post("/v1/sessions", {"user_id": "a"}).status == 201, 15, "a free place", 0.2)
        eventually(lambda: self.admin.get(f"/v1/tenants/{tenant}/quotas").json()["used"]["sessions"] == 2, 10, "the count")

    def test_stored_bytes(self):
        _, client = self.tenant_client({"stored_bytes_max": 10_000})
        path = "/v1/sessions/" + self.new_session(client)["id"]
        self.append(path, user("x" * 11_000), client=client)
        eventually(lambda: client.post(path + "/messages", user()).status == 429, 15, "the end of what may be stored", 0.2)
        self.assertIn("stored_bytes_max", self.over(client.post(path + "/messages", user())))
        self.assertIn("stored_bytes_max", self.over(client.post(path + "/events", {"kind": "custom", "data": 1})))
        self.assert_status(200, client.get(path + "/messages"))

    def test_stored_bytes_of_what_stores_keep(self):
        _, client = self.tenant_client({"stored_bytes_max": 10_000})
        customer = "/v1/customers/" + self.assert_status(201, client.post("/v1/customers", {"name": "a"})).json()["id"]
        variable = self.assert_status(201, client.post("/v1/context-variables", {"name": "v"})).json()["id"]
        variable = "/v1/context-variables/" + variable
        self.assert_status(200, client.patch(customer, {"extra": {"x": "y" * 11_000}}))
        for method, path, body in (("POST", "/v1/customers", {"name": "b"}), ("PATCH", customer, {"name": "b"}),
                                   ("POST", customer + "/tags", {"tag_id": "t"}),
                                   ("POST", "/v1/context-variables", {"name": "w"}), ("PATCH", variable, {"name": "w"}),
                                   ("POST", variable + "/tags", {"tag_id": "t"}),
                                   ("PUT", variable + "/values/k", {"data": 1}),
                                   ("POST", "/v1/stores/s/open", {"version": "1"})):
            self.assertIn("stored_bytes_max", self.over(client.call(method, path, body)), (method, path))
        self.assert_status(200, client.get(customer))
        self.assert_status(204, client.delete(customer))

    def test_running_turns(self):
        _, client = self.tenant_client({"running_turns_max": 1})
        paths = ["/v1/sessions/" + self.new_session(client)["id"] for _ in range(2)]
        turn = self.start_turn(paths[0], client)["turn"]
        self.over(client.post(paths[1] + "/turns"))
        client.post(f"{paths[0]}/turns/{turn['id']}/complete")
        eventually(lambda: client.post(paths[1] + "/turns").status == 201, 5, "a free place")

    def test_resident_sessions(self):
        _, client = self.tenant_client({"resident_sessions_max": 2})
        for _ in range(2):
            path = "/v1/sessions/" + self.new_session(client)["id"]
            self.start_turn(path, client)  # so that it stays in memory
        self.over(client.post("/v1/sessions", {"user_id": "ada"}))
        self.append(path, client=client)

    def test_subscriptions(self):
        _, client = self.tenant_client({"subscriptions_max": 1})
        session = self.new_session(client)["id"]
        with EventReader(self.service, session, client.key) as reader:
            self.assertEqual(200, reader.status)
            self.over(client.get(f"/v1/sessions/{session}/events", headers={"Accept": "text/event-stream"}))
            self.over(client.get(f"/v1/sessions/{session}/events", query={"wait_s": 1}))
        eventually(lambda: client.get(f"/v1/sessions/{session}/events", query={"wait_s": 1}).status == 200, 10,
                   "a free place")

    def test_message_bytes(self):
        _, client = self.tenant_client({"message_bytes_max": 100})
        path = "/v1/sessions/" + self.new_session(client)["id"]
        self.assert_problem(client.post(path + "/messages", user("x" * 100)), 413, "payload_too_large")
        self.assert_problem(client.post(path + "/events", {"kind": "custom", "data": "x" * 100}), 413,
                            "payload_too_large")
        self.append(path, client=client)

    def test_connections(self):
        _, client = self.tenant_client({"connections_max": 1})
        self.admin.close()
        eventually(lambda: client.get("/v1/sessions").status == 200, 5, "the end of the operator's connection")
        with RawConnection(self.service) as second:
            second.send(raw_request("GET", "/v1/sessions", [("Authorization", "Bearer " + client.key)]))
            self.assertIn("connections", self.over(second.reply()))
        self.assert_status(200, client.get("/v1/sessions"))

    def test_the_operators_connections_are_not_the_tenants(self):
        tenant, client = self.tenant_client({"connections_max": 1})
        self.assert_status(200, client.get("/v1/sessions"))
        self.assert_status(200, self.new_client(self.service.admin_key).put(f"/v1/tenants/{tenant}/quotas", {}))

    def test_looking_after_the_service_counts_for_none(self):
        tenant, client = self.tenant_client({"requests_per_s": 1, "request_burst": 1})
        client.get("/v1/sessions")
        for _ in range(5):
            self.assert_status(200, client.get(f"/v1/tenants/{tenant}/quotas"))
            self.assert_status(200, client.get("/healthz"))


class Audit(TenantTest):
    def test_who_did_what_to_which_thing_without_contents(self):
        tenant, client = self.tenant_client()
        session = self.new_session(client, user_id="private-name", title="private title")
        client.patch("/v1/sessions/" + session["id"], {"title": "private again"}, headers={"X-Request-Id": "audited"})
        client.delete("/v1/sessions/" + session["id"])

        def found():
            reply = self.assert_status(200, client.get("/v1/audit", query={"target": session["id"]}))
            return reply if len(reply.json()["items"]) >= 3 else None
        reply = eventually(found, what="three entries")
        items = reply.json()["items"]
        self.assertEqual(["session.erase", "session.update", "session.create"], [each["action"] for each in items])
        self.assertTrue(all(each["actor"].startswith("key:") for each in items))
        self.assertEqual("audited", items[1]["request_id"])
        self.assertNotIn("private", reply.text)
        only = client.get("/v1/audit", query={"action": "session.update"}).json()["items"]
        self.assertEqual(1, len(only))
        pages = client.pages("/v1/audit", {"limit": 2, "from": "2020-01-01T00:00:00Z"})
        times = [each["at"] for page in pages for each in page]
        self.assertEqual(sorted(times, reverse=True), times)
        made = [each["action"] for page in pages for each in page]
        self.assertTrue({"tenant.create", "key.create"} & set(made), made)
        other = Client(self.service, self.operator.new_tenant_key()[1])
        self.addCleanup(other.close)
        self.assertEqual([], other.get("/v1/audit", query={"target": session["id"]}).json()["items"])
        for query in ({"from": "today"}, {"cursor": "x"}, {"who": "x"}):
            self.assert_problem(client.get("/v1/audit", query=query), 400, "invalid_request")


if __name__ == "__main__":
    unittest.main(verbosity=2)
