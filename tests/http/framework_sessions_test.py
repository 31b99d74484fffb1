"""Sessions and events as frameworks keep them: labels, mode, consumption offsets, sources, traces, deleted events."""

import json
import unittest
from urllib.parse import quote

from support.cases import UNKNOWN_ID, HttpTest, at_once, start_module_service, user
from support.events import EventReader
from support.service import eventually

SOURCES = ("customer", "customer_ui", "human_agent", "human_agent_on_behalf_of_ai_agent", "ai_agent", "system")


def setUpModule():
    HttpTest.service = start_module_service()


class FrameworkTest(HttpTest):
    def filled(self, count=6, **fields):
        """The path of a session with so many messages "0", "1", ..."""
        path = self.new_path(**fields)
        self.append(path, *(user(str(i)) for i in range(count)))
        return path

    def offsets(self, path, **query):
        return [each["offset"] for each in self.events(path, **query)]

    def delete(self, path, offset):
        self.assert_status(204, self.client.delete(f"{path}/events/{offset}"))

    def delete_from(self, path, offset):
        self.assert_status(204, self.client.call("DELETE", path + "/events", query={"from": offset}))

    def listed(self, **query):
        items = self.assert_status(200, self.client.get("/v1/sessions", query=query)).json()["items"]
        return ["/v1/sessions/" + each["id"] for each in items]


class Sessions(FrameworkTest):
    def test_what_nobody_said(self):
        session = self.new_session()
        self.assertEqual(("ada", [], "auto", {}), tuple(session[name] for name in (
            "customer_id", "labels", "mode", "consumption_offsets")))

    def test_made_with_all_of_it(self):
        given = {"labels": ["vip", "a b", "vip"], "mode": "manual", "consumption_offsets": {"ui": 3, "\u00f8 \"": 0}}
        session = self.new_session(**given)
        self.assertEqual((["a b", "vip"], "manual", given["consumption_offsets"]),
                         (session["labels"], session["mode"], session["consumption_offsets"]))
        self.assertEqual(session, self.client.get("/v1/sessions/" + session["id"]).json())

    def test_customer_id_is_user_id(self):
        made = self.assert_status(201, self.client.post("/v1/sessions", {"customer_id": "bob"})).json()
        self.assertEqual(("bob", "bob"), (made["user_id"], made["customer_id"]))
        self.assert_status(201, self.client.post("/v1/sessions", {"customer_id": "bob", "user_id": "bob"}))
        for wrong, pointer in (({"customer_id": "bob", "user_id": "ada"}, "/customer_id"), ({}, "/user_id"),
                               ({"customer_id": ""}, "/customer_id")):
            problem = self.assert_problem(self.client.post("/v1/sessions", wrong), 400, "invalid_request")
            self.assertEqual([pointer], self.pointers(problem))
        self.assertEqual(2, len(self.listed(customer_id="bob")))
        self.assertEqual(self.listed(user_id="bob"), self.listed(customer_id="bob", user_id="bob"))
        self.assert_problem(self.client.get("/v1/sessions", query={"customer_id": "bob", "user_id": "ada"}), 400,
                            "invalid_request")

    def test_changed(self):
        path = self.new_path(labels=["a"], consumption_offsets={"ui": 1})
        session = self.assert_status(200, self.client.patch(path, {
            "labels": ["b", "c"], "mode": "manual", "consumption_offsets": {"phone": 5}})).json()
        self.assertEqual((["b", "c"], "manual", {"phone": 5, "ui": 1}, 2),
                         tuple(session[name] for name in ("labels", "mode", "consumption_offsets", "version")))
        session = self.client.patch(path, {"consumption_offsets": {"ui": None, "phone": 6}}).json()
        self.assertEqual({"phone": 6}, session["consumption_offsets"])
        self.assertEqual(["b", "c"], session["labels"])
        self.assertEqual([], self.client.patch(path, {"labels": []}).json()["labels"])

    def test_clients_that_read_at_the_same_time_do_not_lose_each_others_offsets(self):
        path = self.new_path()
        at_once([lambda i=i: self.new_client().patch(path, {"consumption_offsets": {f"client {i}": i}})
                 for i in range(8)])
        self.assertEqual({f"client {i}": i for i in range(8)}, self.client.get(path).json()["consumption_offsets"])

    def test_labels_one_by_one(self):
        path = self.new_path(labels=["a"])
        for label in ("vip", "a,b/\u00f8 ?", "vip"):
            session = self.assert_status(200, self.client.put(f"{path}/labels/{quote(label, safe='')}")).json()
        self.assertEqual(["a", "a,b/\u00f8 ?", "vip"], session["labels"])
        for _ in range(2):
            self.assert_status(204, self.client.delete(path + "/labels/vip"))
        self.assertEqual(["a", "a,b/\u00f8 ?"], self.client.get(path).json()["labels"])
        self.assert_problem(self.client.put(f"/v1/sessions/{UNKNOWN_ID}/labels/vip"), 404, "not_found")

    def test_listed_by_label_customer_and_agent_before_the_page_is_cut(self):
        made = [self.new_path(user_id="finder", agent_id="ab"[i % 2], labels=["third"] * (i % 3 == 0) + ["all-1"])
                for i in range(9)]
        self.assertEqual([made[6], made[3], made[0]], self.listed(label="third"))
        pages = self.client.pages("/v1/sessions", {"label": "all-1", "limit": 4})
        self.assertEqual([4, 4, 1], [len(page) for page in pages])
        pages = self.client.pages("/v1/sessions", {"label": "third", "limit": 1})
        self.assertEqual(3, sum(len(page) for page in pages))
        self.assertEqual([made[6], made[0]], self.listed(label="third", agent_id="a", customer_id="finder"))
        self.assertEqual([], self.listed(label="third", customer_id="ada"))
        self.assertEqual([], self.listed(label="thir"))
        self.client.patch(made[6], {"labels": []})
        self.assertEqual([made[3], made[0]], self.listed(label="third"))
        self.client.delete(made[3])
        self.assertEqual([made[0]], self.listed(label="third"))

    def test_what_is_refused(self):
        path = self.new_path()
        for wrong, pointer in (({"labels": "a"}, "/labels"), ({"labels": ["x"] * 101}, "/labels"),
                               ({"labels": [1]}, "/labels"), ({"mode": "automatic"}, "/mode"),
                               ({"consumption_offsets": {"ui": -1}}, "/consumption_offsets/ui"),
                               ({"consumption_offsets": {"ui": "1"}}, "/consumption_offsets/ui"),
                               ({"consumption_offsets": {"": 1}}, "/consumption_offsets/"),
                               ({"consumption_offsets": [1]}, "/consumption_offsets")):
            for reply in (self.client.patch(path, wrong), self.client.post("/v1/sessions", {"user_id": "a", **wrong})):
                self.assertEqual([pointer], self.pointers(self.assert_problem(reply, 400, "invalid_request")))
        self.assert_problem(self.client.patch(path, {"labels": [""]}), 400, "invalid_request")
        self.assert_problem(self.client.put(path + "/labels/" + "x" * 256), 400, "invalid_request")
        self.assertEqual(1, self.client.get(path).json()["version"])


class Events(FrameworkTest):
    def test_sources_kinds_and_traces(self):
        path = self.new_path()
        for i, source in enumerate(SOURCES):
            body = {"kind": ("custom", "tool")[i % 2], "data": i, "source": source, "trace_id": f"t{i % 3}"}
            self.assert_status(201, self.client.post(path + "/events", body, query={"durability": "durable"}))
        body = {"kind": "message", "data": user("hi"), "source": "customer", "trace_id": "t0"}
        self.assert_status(201, self.client.post(path + "/events", body, query={"durability": "durable"}))
        self.assertEqual([*SOURCES, "customer"], [each["source"] for each in self.events(path)])
        self.assertEqual([0, 6], self.offsets(path, source="customer"))
        self.assertEqual([3], self.offsets(path, source="human_agent_on_behalf_of_ai_agent"))
        self.assertEqual([0, 3, 6], self.offsets(path, trace_id="t0"))
        self.assertEqual([3], self.offsets(path, trace_id="t0", kinds="tool"))
        self.assertEqual([6], self.offsets(path, trace_id="t0", source="customer", kinds="message,status"))
        self.assertEqual([3, 6], self.offsets(path, trace_id="t0", min_offset=3))
        self.assertEqual([6], self.offsets(path, trace_id="t0", min_offset=3, after=3))
        self.assertEqual([], self.offsets(path, source="nobody"))

    def test_filtered_before_the_page_is_cut(self):
        path = self.new_path()
        for i in range(21):
            self.client.post(path + "/events", {"kind": "custom", "data": i,
                                                "source": "customer" if i % 4 == 0 else "ai_agent"})
        self.append(path)
        for limit in (1, 2, 6, 7):
            found = [each["offset"] for page in
                     self.client.pages(path + "/events", {"source": "customer", "limit": limit}) for each in page]
            self.assertEqual([0, 4, 8, 12, 16, 20], found, limit)

    def test_a_deleted_event_keeps_its_offset(self):
        path = self.filled()
        self.delete(path, 2)
        self.assertEqual([0, 1, 3, 4, 5], self.offsets(path))
        self.assertEqual(["0", "1", "3", "4", "5"], self.contents(path))
        self.assertEqual(["5", "4", "3"], self.contents(path, order="desc", limit=3))
        self.assertEqual([6], self.append(path, user("6")))
        self.assertEqual(7, self.client.get(path).json()["next_offset"])
        self.delete(path, 2)  # once more is no mistake
        for query in ({"limit": 2}, {"limit": 3}, {"limit": 100}):
            found = [each["offset"] for page in self.client.pages(path + "/events", query) for each in page]
            self.assertEqual([0, 1, 3, 4, 5, 6], found)

    def test_from_an_offset_on(self):
        path = self.filled()
        self.delete_from(path, 3)
        self.assertEqual([0, 1, 2], self.offsets(path))
        self.assertEqual([6], self.append(path, user("6")))
        self.assertEqual(["0", "1", "2", "6"], self.contents(path))
        self.delete_from(path, 100)
        self.assertEqual([0, 1, 2, 6], self.offsets(path))
        self.delete_from(path, 0)
        self.assertEqual([], self.offsets(path))
        fitted = self.client.get(path + "/messages", query={"token_budget": 1000}).json()
        self.assertEqual(([], 0), (fitted["items"], fitted["trimmed"]))

    def test_deleted_ones_on_demand(self):
        path = self.filled()
        self.delete(path, 1)
        self.delete_from(path, 4)
        found = self.events(path, include_deleted="true")
        self.assertEqual([(0, False), (1, True), (2, False), (3, False), (4, True), (5, True)],
                         [(each["offset"], each.get("deleted", False)) for each in found])
        self.assertEqual(user("1"), found[1]["data"])
        self.assertNotIn("deleted", self.events(path)[0])
        self.assertEqual([0, 2, 3], self.offsets(path, include_deleted="false"))
        pages = self.client.pages(path + "/events", {"include_deleted": "true", "limit": 2, "kinds": "message"})
        self.assertEqual(list(range(6)), [each["offset"] for page in pages for each in page])

    def test_a_turn_is_given_no_deleted_message(self):
        path = self.filled(4)
        self.delete(path, 0)
        self.delete(path, 2)
        started = self.start_turn(path, messages=[user("now")])
        self.assertEqual(["1", "3", "now"], [each["content"] for each in started["history"]["items"]])
        offset = self.client.get(path).json()["next_offset"] - 1
        self.assert_problem(self.client.delete(f"{path}/events/{offset}"), 409, "turn_in_progress")
        self.assert_problem(self.client.call("DELETE", path + "/events", query={"from": 1}), 409, "turn_in_progress")
        self.delete(path, 1)
        self.client.post(f"{path}/turns/{started['turn']['id']}/cancel")
        self.delete_from(path, 0)
        self.assertEqual([], self.contents(path))

    def test_what_cannot_be_deleted(self):
        path = self.filled(2)
        self.assert_problem(self.client.delete(path + "/events/2"), 404, "not_found")
        for wrong in ("x", "-1", "1.0"):
            self.assert_problem(self.client.delete(f"{path}/events/{wrong}"), 400, "invalid_request")
            reply = self.client.call("DELETE", path + "/events", query={"from": wrong})
            self.assert_problem(reply, 400, "invalid_request")
        self.assert_problem(self.client.call("DELETE", path + "/events"), 400, "invalid_request")
        self.assert_problem(self.client.delete(f"/v1/sessions/{UNKNOWN_ID}/events/0"), 404, "not_found")
        self.client.patch(path, {"status": "completed"})
        self.assert_problem(self.client.delete(path + "/events/0"), 409, "session_not_active")
        self.assertEqual(["0", "1"], self.contents(path))

    def test_a_fork_shows_what_its_parent_did(self):
        path = self.filled()
        self.delete(path, 1)
        fork = "/v1/sessions/" + self.client.post(path + "/fork", {"at_offset": 4}).json()["id"]
        self.assertEqual([0, 2, 3, 4], self.offsets(fork))
        self.delete(path, 2)
        self.delete_from(fork, 4)
        self.assertEqual([0, 2, 3], self.offsets(fork))
        self.assertEqual([0, 3, 4, 5], [each["offset"] for each in self.events(path) if each["kind"] == "message"])
        self.assert_status(204, self.client.delete(path))
        self.assertEqual([0, 2, 3], self.offsets(fork))

    def test_who_follows_is_told_and_who_comes_later_is_not_shown(self):
        path = self.filled(4)
        session = path.rsplit("/", 1)[1]
        with EventReader(self.service, session) as reader:
            self.assertEqual(["0", "1", "2", "3"], [each.id for each in reader.take(4)])
            self.delete(path, 1)
            self.delete_from(path, 3)
            told = reader.take(2)
            self.assertEqual([("deleted", None, {"first_offset": 1, "last_offset": 1}),
                              ("deleted", None, {"first_offset": 3, "last_offset": 3})],
                             [(each.kind, each.id, each.json()) for each in told])
            self.append(path, user("4"))
            self.assertEqual("4", reader.take(1)[0].id)
        with EventReader(self.service, session) as reader:
            self.assertEqual(["0", "2", "4"], [each.id for each in reader.take(3)])
        with EventReader(self.service, session, last_event_id=0) as reader:
            self.assertEqual(["2", "4"], [each.id for each in reader.take(2)])

    def test_a_stream_of_one_source(self):
        path = self.new_path()
        for i in range(6):
            self.client.post(path + "/events", {"kind": "custom", "data": i, "source": ("customer", "ai_agent")[i % 2]},
                             query={"durability": "durable"})
        with EventReader(self.service, path.rsplit("/", 1)[1], query="source=customer") as reader:
            self.assertEqual(["0", "2", "4"], [each.id for each in reader.take(3)])
        reply = self.client.get(path + "/events", query={"include_deleted": "true"},
                                headers={"Accept": "text/event-stream"})
        self.assert_problem(reply, 400, "invalid_request")

    def test_a_long_poll_waits_for_its_source(self):
        path = self.new_path()
        client = self.new_client()

        def wait():
            return client.get(path + "/events", query={"source": "customer", "wait_s": 20}).json()["items"]

        def write():
            for source in ("ai_agent", "customer"):
                self.client.post(path + "/events", {"kind": "custom", "data": 1, "source": source})
        found, _ = at_once([wait, write])
        self.assertEqual(["customer"], [each["source"] for each in found])


class Keeping(FrameworkTest):
    def test_an_export_has_it_and_an_import_brings_it_back(self):
        path = self.filled(user_id="keeper", labels=["a", "b"], mode="manual", consumption_offsets={"ui": 4})
        self.delete(path, 1)
        self.delete_from(path, 4)
        self.append(path, user("6"))
        exported = self.client.get(path + "/export").body
        reply = self.client.post("/v1/import", exported, headers={"Content-Type": "application/x-ndjson"})
        copy = "/v1/sessions/" + self.assert_status(201, reply).json()["sessions"][0]["id"]
        old, new = self.client.get(path).json(), self.client.get(copy).json()
        for name in ("labels", "mode", "consumption_offsets", "customer_id", "next_offset"):
            self.assertEqual(old[name], new[name], name)
        self.assertEqual([0, 2, 3, 6], self.offsets(copy))
        self.assertEqual(self.events(path, include_deleted="true"), self.events(copy, include_deleted="true"))
        self.assertIn("/v1/sessions/" + new["id"], self.listed(label="b"))

    def test_an_export_of_before_is_read(self):
        path = self.filled(2)
        lines = [json.loads(line) for line in self.client.get(path + "/export").text.splitlines()]
        for name in ("customer_id", "labels", "mode", "consumption_offsets"):
            del lines[0]["session"][name]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        reply = self.client.post("/v1/import", body.encode(), headers={"Content-Type": "application/x-ndjson"})
        self.assert_status(201, reply)

    def test_it_survives_a_crash(self):
        path = self.filled(labels=["kept"], mode="manual", consumption_offsets={"ui": 2})
        self.delete(path, 1)
        before = self.client.get(path).json()
        self.service.kill()
        self.service.start()
        self.client = self.new_client()
        eventually(lambda: self.client.get(path).status == 200, what="the session")
        after = self.client.get(path).json()
        for name in ("labels", "mode", "consumption_offsets", "version", "next_offset"):
            self.assertEqual(before[name], after[name], name)
        self.assertEqual([0, 2, 3, 4, 5], self.offsets(path))
        self.assertEqual([path], self.listed(label="kept"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
