"""Customers and context variables over HTTP: the stores of the documents' reference."""

import datetime
import unittest

from support.cases import HttpTest, start_module_service
from support.service import eventually
from support.tenants import Operator

CUSTOMERS, VARIABLES = "/v1/customers", "/v1/context-variables"


def setUpModule():
    HttpTest.service = start_module_service()


class StoreTest(HttpTest):
    """Each test has a tenant of its own."""

    def setUp(self):
        self.operator = Operator(self.service)
        self.addCleanup(self.operator.client.close)
        self.tenant, self.key = self.operator.new_tenant_key()
        super().setUp()

    def ok(self, reply, status=200):
        self.assert_status(status, reply)
        return reply.json() if reply.body else None

    def customer(self, **fields):
        return self.ok(self.client.post(CUSTOMERS, {"name": "Ada", **fields}), 201)

    def variable(self, **fields):
        return self.ok(self.client.post(VARIABLES, {"name": "plan", **fields}), 201)

    def ids(self, path, **query):
        return [each["id"] for each in self.ok(self.client.get(path, query=query))["items"]]

    def actions(self, target):
        items = self.ok(self.client.get("/v1/audit", query={"target": target}))["items"]
        return [each["action"] for each in items][::-1]


class Repeats(StoreTest):
    def test_what_is_made_twice_under_one_key_is_made_once(self):
        for path, body in ((CUSTOMERS, {"name": "Ada", "tags": ["vip"]}), (VARIABLES, {"name": "plan"})):
            with self.subTest(path):
                key = {"Idempotency-Key": "one"}
                first = self.client.post(path, body, headers=key)
                made = self.ok(first, 201)
                self.ok(self.client.patch(f"{path}/{made['id']}", {"name": "other"}))
                again = self.client.post(path, body, headers=key)
                self.assertEqual((201, first.text), (again.status, again.text))
                self.assertEqual([made["id"]], [each for each in self.ids(path) if each != "guest"])
                self.assert_problem(self.client.post(path, {**body, "name": "else"}, headers=key), 422,
                                    "idempotency_mismatch")


class Customers(StoreTest):
    def test_the_guest_is_always_there_and_stays(self):
        guest = self.ok(self.client.get(CUSTOMERS + "/guest"))
        self.assertEqual("guest", guest["id"])
        self.assertEqual(["guest"], self.ids(CUSTOMERS))
        self.assert_problem(self.client.delete(CUSTOMERS + "/guest"), 400, "invalid_request")

    def test_made_seen_changed_deleted(self):
        made = self.customer(id="ada", extra={"a": [1.50]}, tags=["vip", "new", "vip"])
        self.assertEqual(("ada", "Ada", {"a": [1.5]}, ["vip", "new"]),
                         (made["id"], made["name"], made["extra"], made["tags"]))
        self.assertEqual(made, self.ok(self.client.get(CUSTOMERS + "/ada")))
        changed = self.ok(self.client.patch(CUSTOMERS + "/ada", {"name": "Ada L."}))
        self.assertEqual({**made, "name": "Ada L."}, changed)
        self.assertEqual({}, self.ok(self.client.patch(CUSTOMERS + "/ada", {"extra": {}}))["extra"])
        self.ok(self.client.delete(CUSTOMERS + "/ada"), 204)
        self.assert_problem(self.client.get(CUSTOMERS + "/ada"), 404, "not_found")
        self.assert_problem(self.client.delete(CUSTOMERS + "/ada"), 404, "not_found")
        done = ["customer.create", "customer.update", "customer.update", "customer.delete"]
        eventually(lambda: self.actions("ada") == done, 5, "what was done")

    def test_an_id_is_made_if_none_is_given_and_is_there_once(self):
        first, second = self.customer(), self.customer()
        self.assertNotEqual(first["id"], second["id"])
        self.assert_problem(self.client.post(CUSTOMERS, {"id": first["id"], "name": "x"}), 409, "conflict")

    def test_tags_are_given_and_taken_and_found_by(self):
        for name in ("a", "b", "c"):
            self.customer(id=name)
        for name in ("c", "a"):
            self.ok(self.client.post(f"{CUSTOMERS}/{name}/tags", {"tag": "vip"}))
        again = self.ok(self.client.post(f"{CUSTOMERS}/a/tags", {"tag": "vip"}))
        self.assertEqual(["vip"], again["tags"])
        self.assertEqual(["c", "a"], self.ids(CUSTOMERS, tag="vip"))
        self.assertEqual({"items": ["vip"], "next_cursor": None}, self.ok(self.client.get(CUSTOMERS + "/a/tags")))
        self.assertEqual([], self.ok(self.client.delete(CUSTOMERS + "/a/tags/vip"))["tags"])
        self.assertEqual([], self.ok(self.client.delete(CUSTOMERS + "/a/tags/vip"))["tags"])
        self.assertEqual(["c"], self.ids(CUSTOMERS, tag="vip"))
        self.assert_problem(self.client.post(CUSTOMERS + "/nobody/tags", {"tag": "vip"}), 404, "not_found")

    def test_a_deleted_ones_tags_go_with_it(self):
        self.customer(id="ada", tags=["vip"])
        self.ok(self.client.delete(CUSTOMERS + "/ada"), 204)
        self.customer(id="ada")
        self.assertEqual([], self.ok(self.client.get(CUSTOMERS + "/ada/tags"))["items"])
        self.assertEqual([], self.ids(CUSTOMERS, tag="vip"))

    def test_pages(self):
        names = [f"c{number}" for number in range(7)]
        for name in names:
            self.customer(id=name)
        seen, cursor = [], None
        while True:
            page = self.ok(self.client.get(CUSTOMERS, query={"limit": 3, **({"cursor": cursor} if cursor else {})}))
            seen += [each["id"] for each in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        self.assertEqual(sorted(names + ["guest"]), sorted(seen))
        self.assertEqual(len(seen), len(set(seen)))
        self.assert_problem(self.client.get(CUSTOMERS, query={"cursor": "nonsense"}), 400, "invalid_request")

    def test_what_is_wrong_is_told_with_its_place(self):
        problem = self.client.post(CUSTOMERS, {"id": "", "name": 5, "extra": [], "tags": "vip", "nmae": "x"})
        told = str(self.assert_problem(problem, 400, "invalid_request"))
        for place in ("/id", "/name", "/extra", "/tags", "/nmae"):
            self.assertIn(place, told)
        self.assert_problem(self.client.post(CUSTOMERS, {}), 400, "invalid_request")
        self.assert_problem(self.client.post(CUSTOMERS + "/guest/tags", {"tag": ""}), 400, "invalid_request")

    def test_one_user_sees_that_customer_alone(self):
        self.customer(id="ada")
        self.customer(id="bob")
        key, _ = self.operator.new_key(self.tenant, ["read", "write"], user_id="ada")
        ada = self.new_client(key)
        self.assertEqual("ada", self.ok(ada.get(CUSTOMERS + "/ada"))["id"])
        unknown = self.assert_problem(ada.get(CUSTOMERS + "/nobody"), 404, "not_found")
        bobs = self.assert_problem(ada.get(CUSTOMERS + "/bob"), 404, "not_found")
        self.assertEqual(unknown["detail"], bobs["detail"])
        self.assert_problem(ada.delete(CUSTOMERS + "/bob"), 404, "not_found")
        self.assert_problem(ada.get(CUSTOMERS), 403, "forbidden")
        self.assert_problem(ada.post(CUSTOMERS, {"name": "x"}), 403, "forbidden")

    def test_one_user_writes_nothing_that_holds_for_others(self):
        variable = self.ok(self.client.post(VARIABLES, {"id": "v", "name": "v"}), 201)
        self.customer(id="ada", tags=["vip"])
        key, _ = self.operator.new_key(self.tenant, ["read", "write"], user_id="ada")
        ada = self.new_client(key)
        evil = {"id": "evil", "version": None, "creation_utc": None, "customer_id": "ada", "name": "x", "tag_id": "x",
                "variable_id": "v", "key": "bob", "data": "PWNED"}
        for name in ("customers", "customer_tag_associations", "context_variables", "context_variable_tag_associations",
                     "context_variable_values"):
            path = f"/v1/collections/{name}"
            for call, body in (("documents", evil), ("update-one", {"where": {}, "set": {"tag_id": "x"}}),
                               ("update-one", {"where": {"id": {"$eq": "evil"}}, "set": evil, "upsert": True}),
                               ("delete-one", {"where": {}})):
                self.assert_problem(ada.post(f"{path}/{call}", body), 403, "forbidden")
            self.ok(ada.post(path + "/query", {}))
        for name, arguments in (("put_document", {"collection": "context_variable_values", "document": evil}),
                                ("delete_document", {"collection": "customer_tag_associations", "where": {}})):
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
            self.assertIn("holds for all users", self.mcp(ada, call))
        self.assertIsNone(self.ok(self.client.get(f"{VARIABLES}/v/lookup", query={"customer_id": "bob"}))["value"])
        self.assertEqual([variable["id"]], self.ids(VARIABLES))
        self.assertEqual(["vip"], self.ok(self.client.get(CUSTOMERS + "/ada/tags"))["items"])

    def mcp(self, client, call):
        headers = {"Accept": "application/json, text/event-stream"}
        begun = client.post("/mcp", {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
            headers=headers)
        headers["Mcp-Session-Id"] = begun.headers["mcp-session-id"]
        client.post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
        return client.post("/mcp", call, headers=headers).text

    def test_one_user_gives_itself_no_tag_and_takes_none(self):
        self.customer(id="ada", tags=["vip"])
        key, _ = self.operator.new_key(self.tenant, ["read", "write"], user_id="ada")
        ada = self.new_client(key)
        self.assert_problem(ada.post(CUSTOMERS + "/ada/tags", {"tag": "gold"}), 403, "forbidden")
        self.assert_problem(ada.delete(CUSTOMERS + "/ada/tags/vip"), 403, "forbidden")
        self.assert_problem(ada.post(CUSTOMERS + "/bob/tags", {"tag": "gold"}), 404, "not_found")
        self.assertEqual(["vip"], self.ok(ada.get(CUSTOMERS + "/ada/tags"))["items"])

    def test_they_are_documents_too(self):
        self.customer(id="ada", tags=["vip"])
        found = self.ok(self.client.post("/v1/collections/customers/find-one", {"where": {"id": {"$eq": "ada"}}}))
        self.assertEqual("Ada", found["document"]["name"])


class Variables(StoreTest):
    def put(self, variable, key, data):
        return self.ok(self.client.put(f"{VARIABLES}/{variable['id']}/values/{key}", {"data": data}))

    def look_up(self, variable, **query):
        value = self.ok(self.client.get(f"{VARIABLES}/{variable['id']}/lookup", query=query))["value"]
        return value and value["data"]

    def test_made_seen_changed_deleted(self):
        made = self.variable(description="What was bought.", tool_id="crm:plan", freshness_rules="0 0 * * *",
                             tags=["billing"])
        path = f"{VARIABLES}/{made['id']}"
        self.assertEqual(made, self.ok(self.client.get(path)))
        changed = self.ok(self.client.patch(path, {"description": None, "name": "tariff"}))
        self.assertEqual({**made, "description": None, "name": "tariff"}, changed)
        self.assertEqual([made["id"]], self.ids(VARIABLES, tag="billing"))
        self.assertEqual(["billing", "new"], self.ok(self.client.post(path + "/tags", {"tag": "new"}))["tags"])
        self.assertEqual(["new"], self.ok(self.client.delete(path + "/tags/billing"))["tags"])
        self.assertEqual(["new"], self.ok(self.client.get(path + "/tags"))["items"])
        self.ok(self.client.delete(path), 204)
        self.assert_problem(self.client.get(path), 404, "not_found")
        self.assertEqual([], self.ids(VARIABLES))

    def test_a_rule_that_is_no_cron_is_refused(self):
        problem = self.client.post(VARIABLES, {"name": "x", "freshness_rules": "61 * * * *"})
        self.assertIn("61", self.assert_problem(problem, 400, "invalid_request")["detail"])

    def test_values_are_any_json_and_come_back_as_they_were(self):
        variable = self.variable()
        for data in (None, True, 5, "text", [1, {"a": None}], {"plan": "gold"}):
            self.assertEqual(data, self.put(variable, "DEFAULT", data)["data"])
        path = f"{VARIABLES}/{variable['id']}/values"
        self.assertEqual({"plan": "gold"}, self.ok(self.client.get(path + "/DEFAULT"))["data"])
        self.put(variable, "tag%3Avip", 1)
        keys = [each["key"] for each in self.ok(self.client.get(path))["items"]]
        self.assertEqual(["DEFAULT", "tag:vip"], sorted(keys))
        self.ok(self.client.delete(path + "/DEFAULT"), 204)
        self.assert_problem(self.client.get(path + "/DEFAULT"), 404, "not_found")
        self.assert_problem(self.client.put(path + "/k", {"dat": 1}), 400, "invalid_request")

    def test_the_order_of_a_look_up(self):
        variable = self.variable()
        self.customer(id="ada", tags=["vip", "new"])
        whom = {"customer_id": "ada", "agent_id": "helper"}
        self.assertIsNone(self.look_up(variable, **whom))
        for key, data in (("DEFAULT", "default"), ("agent:helper", "agent"), ("tag:new", "new"), ("tag:vip", "vip"),
                          ("ada", "own")):
            self.put(variable, key, data)
            self.assertEqual(data, self.look_up(variable, **whom))
        self.assertEqual("agent", self.look_up(variable, agent_id="helper"))
        self.assertEqual("default", self.look_up(variable))
        self.assertEqual("default", self.look_up(variable, customer_id="nobody"))

    def test_a_value_is_stale_from_the_rules_first_tick_on(self):
        every_minute = self.variable(freshness_rules="* * * * *")
        without, rare = self.variable(), self.variable(freshness_rules="0 0 29 2 *")
        now = datetime.datetime.now(datetime.timezone.utc)
        for variable, minutes_ago, is_stale in ((every_minute, 2, True), (rare, 2, False), (without, 2, False),
                                                (rare, 5 * 366 * 1440, True), (without, 5 * 366 * 1440, False)):
            self.assertFalse(self.put(variable, "DEFAULT", 1)["is_stale"])
            changed = now - datetime.timedelta(minutes=minutes_ago)
            self.ok(self.client.post("/v1/collections/context_variable_values/update-one", {
                "where": {"variable_id": {"$eq": variable["id"]}}, "set": {"last_modified": changed.isoformat()}}))
            path = f"{VARIABLES}/{variable['id']}"
            for value in (self.ok(self.client.get(path + "/values/DEFAULT")),
                          self.ok(self.client.get(path + "/values"))["items"][0],
                          self.ok(self.client.get(path + "/lookup"))["value"]):
                self.assertEqual(is_stale, value["is_stale"], variable)
            self.assertFalse(self.put(variable, "DEFAULT", 1)["is_stale"])  # changed just now

    def test_what_one_user_may_not_see_is_not_there(self):
        variable = self.variable()
        key, _ = self.operator.new_key(self.tenant, ["read", "write"], user_id="ada")
        ada = self.new_client(key)
        there = self.assert_problem(ada.get(f"{VARIABLES}/{variable['id']}"), 404, "not_found")
        unknown = self.assert_problem(ada.get(f"{VARIABLES}/unknown"), 404, "not_found")
        self.assertEqual(unknown["detail"], there["detail"])
        self.assert_problem(ada.get(VARIABLES), 403, "forbidden")

    def test_one_user_sees_the_value_that_holds_for_that_customer(self):
        variable = self.variable()
        for whose in ("ada", "bob", "DEFAULT"):
            self.put(variable, whose, "of " + whose)
        key, _ = self.operator.new_key(self.tenant, ["read"], user_id="ada")
        ada = self.new_client(key)
        path = f"{VARIABLES}/{variable['id']}/lookup"
        for query in ({}, {"customer_id": "ada"}):
            self.assertEqual("of ada", self.ok(ada.get(path, query=query))["value"]["data"])
        others = self.assert_problem(ada.get(path, query={"customer_id": "bob"}), 404, "not_found")
        never = self.assert_problem(ada.get(path, query={"customer_id": "nobody"}), 404, "not_found")
        self.assertEqual(others["detail"], never["detail"])
        self.assert_problem(ada.get(f"{VARIABLES}/unknown/lookup"), 404, "not_found")

    def test_what_is_taken_is_called_by_its_name(self):
        for path, what in ((CUSTOMERS, "customer"), (VARIABLES, "context variable")):
            self.ok(self.client.post(path, {"id": "taken", "name": "x"}), 201)
            for more in ({}, {"tags": ["t"]}):
                problem = self.assert_problem(self.client.post(path, {"id": "taken", "name": "x", **more}), 409, "conflict")
                self.assertIn(f"there is a {what} with the id", problem["detail"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
