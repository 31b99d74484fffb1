"""Sessions: made, found, changed, listed, forked, shared, erased, counted."""

import re
import time
import unittest
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from support.cases import UNKNOWN_ID, HttpTest, assistant, at_once, start_module_service, user
from support.service import eventually

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def setUpModule():
    HttpTest.service = start_module_service()


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Making(HttpTest):
    def test_a_session_has_all_its_fields(self):
        reply = self.client.post("/v1/sessions", {"user_id": "ada"})
        session = self.assert_status(201, reply).json()
        self.assertEqual(["id", "external_id", "user_id", "agent_id", "title", "status", "created_at", "updated_at",
                          "expires_at", "turn_count", "total_tokens", "next_offset", "durable_offset", "metadata",
                          "parent_id", "fork_offset", "version", "customer_id", "labels", "mode",
                          "consumption_offsets"], list(session))
        self.assertRegex(session["id"], UUID7)
        self.assertEqual(("ada", "active", 0, 0, 0, -1, {}, 1),
                         tuple(session[name] for name in ("user_id", "status", "turn_count", "total_tokens",
                                                          "next_offset", "durable_offset", "metadata", "version")))
        self.assertEqual("/v1/sessions/" + session["id"], reply.headers["Location"])
        self.assertEqual(timedelta(seconds=86400), seconds(session["expires_at"]) - seconds(session["created_at"]))
        self.assertEqual(reply.body, self.client.get("/v1/sessions/" + session["id"]).body)

    def test_what_is_given_comes_back(self):
        given = {"user_id": "ada", "agent_id": "guide", "external_id": "given-1", "title": "Oslo \u00f8 \U0001f30d",
                 "metadata": {"a": [1, None, {"b": "c"}]}, "expires_in_s": None}
        session = self.new_session(**given)
        for name in ("user_id", "agent_id", "external_id", "title", "metadata"):
            self.assertEqual(given[name], session[name], name)
        self.assertIsNone(session["expires_at"])

    def test_metadata_comes_back_as_it_came(self):
        raw = b'{"user_id":"ada","metadata":{"z":1.50,"a":1e2,"t":"\\u00f8\\/","n":12345678901234567890}}'
        reply = self.assert_status(201, self.client.post("/v1/sessions", raw))
        self.assertIn('{"z":1.50,"a":1e2,"t":"\\u00f8\\/","n":12345678901234567890}', reply.text)

    def test_names_may_have_255_characters_and_titles_1000(self):
        for name in ("user_id", "agent_id", "external_id"):
            self.assertEqual("\u00f8" * 255, self.new_session(**{name: "\u00f8" * 255})[name])
            for wrong in ("\u00f8" * 256, "", 7, ["a"]):
                reply = self.client.post("/v1/sessions", {"user_id": "ada", **{name: wrong}})
                self.assertEqual(["/" + name], self.pointers(self.assert_problem(reply, 400, "invalid_request")))
        self.assertEqual("t" * 1000, self.new_session(title="t" * 1000)["title"])
        reply = self.client.post("/v1/sessions", {"user_id": "ada", "title": "t" * 1001})
        self.assertEqual(["/title"], self.pointers(self.assert_problem(reply, 400, "invalid_request")))

    def test_expiry_from_a_second_to_ten_years(self):
        most = 10 * 31556952
        for good in (1, most):
            session = self.new_session(expires_in_s=good)
            self.assertEqual(timedelta(seconds=good), seconds(session["expires_at"]) - seconds(session["created_at"]))
        for wrong in (0, -1, most + 1, 1.5, "60", True):
            reply = self.client.post("/v1/sessions", {"user_id": "ada", "expires_in_s": wrong})
            self.assertEqual(["/expires_in_s"], self.pointers(self.assert_problem(reply, 400, "invalid_request")))

    def test_a_taken_external_id_is_a_conflict(self):
        self.new_session(external_id="taken")
        self.assert_problem(self.client.post("/v1/sessions", {"user_id": "bob", "external_id": "taken"}), 409,
                            "conflict")

    def test_get_or_make_by_external_id(self):
        path = "/v1/sessions/by-external-id/" + quote("ticket 47/11 \u00f8", safe="")
        first = self.assert_status(201, self.client.put(path, {"user_id": "ada", "title": "first"}))
        self.assertEqual("ticket 47/11 \u00f8", first.json()["external_id"])
        again = self.assert_status(200, self.client.put(path, {"user_id": "bob", "title": "second"}))
        self.assertEqual(first.body, again.body)
        wrong = self.client.put(path, {"user_id": "ada", "external_id": "another"})
        self.assert_problem(wrong, 400, "invalid_request")

    def test_whoever_races_for_an_external_id_gets_the_same(self):
        clients = [self.new_client() for _ in range(12)]
        replies = at_once([lambda each=each: each.put("/v1/sessions/by-external-id/race", {"user_id": "ada"})
                           for each in clients])
        self.assertEqual([200] * 11 + [201], sorted(each.status for each in replies))
        self.assertEqual(1, len({each.json()["id"] for each in replies}))


class Seeing(HttpTest):
    def test_unknown_and_misspelt_ids(self):
        for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PATCH", "", {"title": "x"}),
                                   ("POST", "/fork", {"at_offset": 0}), ("GET", "/participants", None),
                                   ("PUT", "/participants/bob", {"role": "reader"}), ("GET", "/messages", None),
                                   ("POST", "/messages", user()), ("GET", "/events", None), ("GET", "/turns", None),
                                   ("POST", "/events", {"kind": "custom", "data": 1}), ("POST", "/turns", None),
                                   ("GET", "/export", None)):
            with self.subTest(method=method, path=path):
                unknown = self.client.call(method, f"/v1/sessions/{UNKNOWN_ID}{path}", body)
                self.assert_problem(unknown, 404, "not_found")
                wrong = self.client.call(method, f"/v1/sessions/not-a-uuid{path}", body)
                problem = self.assert_problem(wrong, 400, "invalid_request")
                self.assertEqual("id", problem["errors"][0]["parameter"])


class Changing(HttpTest):
    def test_title_metadata_and_version(self):
        path = self.new_path(title="old", metadata={"a": 1})
        reply = self.assert_status(200, self.client.patch(path, {"title": "new"}))
        self.assertEqual(("new", {"a": 1}, 2), tuple(reply.json()[name] for name in ("title", "metadata", "version")))
        self.assertEqual('"2"', reply.headers["ETag"])
        reply = self.client.patch(path, {"title": None, "metadata": {}})
        self.assertEqual((None, {}, 3), tuple(reply.json()[name] for name in ("title", "metadata", "version")))

    def test_if_match(self):
        path = self.new_path()
        for text in ("1", '"2"', "*"):
            self.assert_status(200, self.client.patch(path, {"title": "t" + text}, headers={"If-Match": text}))
        stale = self.client.patch(path, {"title": "stale"}, headers={"If-Match": "1"})
        self.assert_problem(stale, 412, "precondition_failed")
        self.assertEqual(("t*", 4), tuple(self.client.get(path).json()[name] for name in ("title", "version")))
        for wrong in ("abc", "0", "-1", "1.0", '"'):
            problem = self.assert_problem(self.client.patch(path, {}, headers={"If-Match": wrong}), 400,
                                          "invalid_request")
            self.assertEqual("If-Match", problem["errors"][0]["header"])

    def test_of_those_who_race_with_one_version_one_wins(self):
        path = self.new_path()
        clients = [self.new_client() for _ in range(8)]
        replies = at_once([lambda i=i, each=each: each.patch(path, {"title": str(i)}, headers={"If-Match": "1"})
                           for i, each in enumerate(clients)])
        self.assertEqual([200] + [412] * 7, sorted(each.status for each in replies))

    def test_paused_and_completed_refuse_writes_and_cancel_the_turn(self):
        for status in ("paused", "completed"):
            path = self.new_path()
            turn = self.start_turn(path)["turn"]
            changed = self.assert_status(200, self.client.patch(path, {"status": status}))
            self.assertEqual(status, changed.json()["status"])
            self.assertEqual("cancelled", self.turns(path)[turn["id"]]["status"])
            for call, body in (("/messages", user()), ("/events", {"kind": "custom", "data": 1}), ("/turns", None),
                               (f"/turns/{turn['id']}/messages", user())):
                reply = self.client.post(path + call, body)
                self.assertEqual(409, reply.status, reply)
                self.assertIn(reply.code, ("session_not_active", "turn_lost") if turn["id"] in call else
                              ("session_not_active",))
            self.assert_status(200, self.client.get(path + "/messages"))
            self.assertEqual(["status"] * 3, [each["kind"] for each in self.settled_events(path, 3)])
            self.assert_status(200, self.client.patch(path, {"status": "active"}))
            self.append(path)

    def settled_events(self, path, count):
        return eventually(lambda: len(found := self.events(path)) >= count and found, what=f"{count} events")

    def test_expiry_can_be_moved_and_taken_away(self):
        path = self.new_path(expires_in_s=60)
        changed = self.client.patch(path, {"expires_in_s": 3600}).json()
        left = seconds(changed["expires_at"]) - datetime.now(timezone.utc)
        self.assertTrue(timedelta(seconds=3500) < left <= timedelta(seconds=3601), left)
        self.assertIsNone(self.client.patch(path, {"expires_in_s": None}).json()["expires_at"])

    def test_a_status_that_is_not_for_callers(self):
        path = self.new_path()
        for wrong in ("expired", "ACTIVE", "", 1, None):
            problem = self.assert_problem(self.client.patch(path, {"status": wrong}), 400, "invalid_request")
            self.assertEqual(["/status"], self.pointers(problem))


class Expiring(HttpTest):
    def test_expired_is_for_good(self):
        path = self.new_path(expires_in_s=1, external_id="soon over")
        self.append(path)
        eventually(lambda: self.client.get(path).status == 410, 10, "the end of the session")
        turn = "/turns/" + UNKNOWN_ID
        for method, call, body in (("GET", "", None), ("PATCH", "", {"expires_in_s": 60}), ("GET", "/messages", None),
                                   ("POST", "/messages", user()), ("POST", "/fork", {"at_offset": 0}),
                                   ("GET", "/events", None), ("POST", "/events", {"kind": "custom", "data": 1}),
                                   ("POST", "/turns", None), ("GET", "/turns", None), ("POST", turn + "/cancel", None),
                                   ("PUT", "/participants/bob", {"role": "reader"}), ("GET", "/participants", None)):
            with self.subTest(method=method, call=call):
                self.assert_problem(self.client.call(method, path + call, body), 410, "session_expired")
        reopened = self.client.put("/v1/sessions/by-external-id/soon%20over", {"user_id": "ada"})
        self.assert_problem(reopened, 410, "session_expired")
        self.assert_status(200, self.client.get(path + "/export"))
        self.assert_status(204, self.client.delete(path))
        self.assert_problem(self.client.get(path), 404, "not_found")

    def test_an_overdue_one_is_never_listed_as_active(self):
        session = self.new_session(user_id="overdue", expires_in_s=1)
        until = time.monotonic() + 10

        def listed(status):
            reply = self.client.get("/v1/sessions", query={"user_id": "overdue", "status": status})
            return [each["id"] for each in reply.json()["items"]]
        while session["id"] not in listed("expired"):
            self.assertLess(time.monotonic(), until)
        self.assertEqual([], listed("active"))
        self.assertEqual("expired", self.client.get("/v1/sessions", query={"user_id": "overdue"}).json()["items"][0]
                         ["status"])


class Erasing(HttpTest):
    def test_erased_is_gone_at_once(self):
        path = self.new_path(external_id="to go")
        self.append(path)
        reply = self.assert_status(204, self.client.delete(path))
        self.assertEqual(b"", reply.body)
        self.assert_problem(self.client.get(path), 404, "not_found")
        self.assert_problem(self.client.delete(path), 404, "not_found")
        self.new_session(external_id="to go")

    def test_what_a_fork_shows_stays(self):
        path = self.new_path()
        self.append(path, user("one"), user("two"), user("three"))
        fork = "/v1/sessions/" + self.client.post(path + "/fork", {"at_offset": 1}).json()["id"]
        self.assert_status(204, self.client.delete(path))
        self.assertEqual(["one", "two"], self.contents(fork))


class Listing(HttpTest):
    def test_newest_first_by_pages(self):
        made = [self.new_session(user_id="pager", agent_id="ab"[i % 2])["id"] for i in range(7)]
        pages = self.client.pages("/v1/sessions", {"user_id": "pager", "limit": 3})
        self.assertEqual([3, 3, 1], [len(page) for page in pages])
        self.assertEqual(made[::-1], [each["id"] for page in pages for each in page])
        only = self.client.get("/v1/sessions", query={"user_id": "pager", "agent_id": "b"}).json()
        self.assertEqual([made[5], made[3], made[1]], [each["id"] for each in only["items"]])
        self.assertIsNone(only["next_cursor"])

    def test_by_status(self):
        paths = [self.new_path(user_id="states") for _ in range(3)]
        self.client.patch(paths[0], {"status": "paused"})
        self.client.patch(paths[1], {"status": "completed"})
        for path, status in zip(paths, ("paused", "completed", "active")):
            items = self.client.get("/v1/sessions", query={"user_id": "states", "status": status}).json()["items"]
            self.assertEqual([path], ["/v1/sessions/" + each["id"] for each in items], status)

    def test_wrong_parameters(self):
        for query, name in (({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"limit": "ten"}, "limit"),
                            ({"status": "gone"}, "status"), ({"user_id": ""}, "user_id"), ({"lmit": 5}, "lmit"),
                            ({"user_id": "a" * 256}, "user_id")):
            reply = self.client.get("/v1/sessions", query=query)
            problem = self.assert_problem(reply, 400, "invalid_request")
            self.assertEqual(name, problem["errors"][0]["parameter"])
        for limit in (1, 1000):
            self.assert_status(200, self.client.get("/v1/sessions", query={"limit": limit}))
        for cursor in ("x", "", "1a0", "\u00f8", "A" * 500):
            self.assert_problem(self.client.get("/v1/sessions", query={"cursor": cursor}), 400, "invalid_request")


class Forking(HttpTest):
    def test_a_fork_shares_the_log_up_to_its_offset(self):
        path = self.new_path(user_id="forker", agent_id="guide", metadata={"a": 1})
        self.append(path, user("one"), assistant("two"), user("three"))
        reply = self.assert_status(201, self.client.post(path + "/fork", {"at_offset": 1}))
        fork = reply.json()
        self.assertEqual((path, 1, "forker", 2), ("/v1/sessions/" + fork["parent_id"], fork["fork_offset"],
                                                  fork["user_id"], fork["next_offset"]))
        forked = "/v1/sessions/" + fork["id"]
        self.assertEqual([2], self.append(forked, user("another three")))
        self.assertEqual(["one", "two", "another three"], self.contents(forked))
        self.assertEqual(["one", "two", "three"], self.contents(path))

    def test_a_fork_of_a_fork(self):
        path = self.new_path()
        self.append(path, user("one"), user("two"))
        first = "/v1/sessions/" + self.client.post(path + "/fork", {"at_offset": 0}).json()["id"]
        self.append(first, user("2a"))
        second = "/v1/sessions/" + self.client.post(first + "/fork", {"at_offset": 1}).json()["id"]
        self.append(second, user("3b"))
        self.assertEqual(["one", "2a", "3b"], self.contents(second))

    def test_offsets_that_are_not_there(self):
        path = self.new_path()
        self.append(path)
        for wrong in (-1, 1, 99, "0", 0.5, None):
            self.assert_problem(self.client.post(path + "/fork", {"at_offset": wrong}), 400, "invalid_request")
        self.assert_problem(self.client.post(path + "/fork", {}), 400, "invalid_request")

    def test_not_from_a_running_turns_first_event_on(self):
        path = self.new_path()
        self.append(path, user("before"))
        turn = self.start_turn(path, messages=[user("inside")])["turn"]
        for offset in (1, 2):
            self.assert_problem(self.client.post(path + "/fork", {"at_offset": offset}), 409, "turn_in_progress")
        self.assert_status(201, self.client.post(path + "/fork", {"at_offset": 0}))
        self.client.post(f"{path}/turns/{turn['id']}/complete")
        self.assert_status(201, self.client.post(path + "/fork", {"at_offset": 2}))


class Sharing(HttpTest):
    def test_participants_come_change_and_go(self):
        path = self.new_path()
        share = self.client.put(path + "/participants/" + quote("b\u00f8b"), {"role": "reader"})
        self.assertEqual([{"user_id": "b\u00f8b", "role": "reader"}], self.assert_status(200, share).json()["items"])
        self.client.put(path + "/participants/eve", {"role": "writer"})
        changed = self.client.put(path + "/participants/" + quote("b\u00f8b"), {"role": "writer"}).json()["items"]
        self.assertEqual({"b\u00f8b": "writer", "eve": "writer"}, {each["user_id"]: each["role"] for each in changed})
        self.assert_status(204, self.client.delete(path + "/participants/eve"))
        left = self.client.get(path + "/participants").json()["items"]
        self.assertEqual(["b\u00f8b"], [each["user_id"] for each in left])
        problem = self.assert_problem(self.client.put(path + "/participants/eve", {"role": "owner"}), 400,
                                      "invalid_request")
        self.assertEqual(["/role"], self.pointers(problem))


class Analytics(HttpTest):
    def test_what_sessions_did(self):
        path = self.new_path(user_id="counted", agent_id="c1")
        self.client.patch(self.new_path(user_id="counted"), {"status": "paused"})
        done = self.start_turn(path, messages=[user(tokens=9)])["turn"]
        self.client.post(f"{path}/turns/{done['id']}/complete", {"usage": {"input_tokens": 10, "output_tokens": 5}})
        failed = self.start_turn(path)["turn"]
        self.client.post(f"{path}/turns/{failed['id']}/fail",
                         {"reason": "r", "usage": {"input_tokens": 1, "output_tokens": 1}})
        self.client.post(f"{path}/turns/{self.start_turn(path)['turn']['id']}/cancel")
        self.append(path)
        session = self.client.get(path).json()
        self.assertEqual((2, 17), (session["turn_count"], session["total_tokens"]))
        now = datetime.now(timezone.utc)
        query = {"from": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                 "to": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), "user_id": "counted"}

        def sums():
            found = self.assert_status(200, self.client.get("/v1/analytics", query=query)).json()
            return found if found["turns_otherwise"] == 1 and found["messages"] == 2 else None
        found = eventually(sums, what="what the session did")
        expected = {"sessions_active": 1, "sessions_paused": 1, "turns_completed": 1, "turns_failed": 1,
                    "input_tokens": 11, "output_tokens": 6}
        self.assertEqual(expected, {name: found[name] for name in expected})
        self.assertEqual(2, sum(each["messages"] for each in found["over_time"]))
        narrower = self.client.get("/v1/analytics", query={**query, "agent_id": "c1"}).json()
        self.assertEqual((1, 0), (narrower["sessions_active"], narrower["sessions_paused"]))

    def test_times_are_needed_and_bounded(self):
        for query in ({}, {"from": "2026-01-01T00:00:00Z"}, {"from": "yesterday", "to": "2026-01-01T00:00:00Z"},
                      {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
                      {"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}):
            with self.subTest(query=query):
                self.assert_problem(self.client.get("/v1/analytics", query=query), 400, "invalid_request")


if __name__ == "__main__":
    unittest.main(verbosity=2)
