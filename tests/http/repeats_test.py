"""Idempotency-Key: the first answer again, across races, restarts and crashes."""

import threading
import unittest

from support.cases import HttpTest, assistant, at_once, start_module_service, user
from support.client import RawConnection, raw_request
from support.service import eventually
from support.tenants import Operator


def setUpModule():
    HttpTest.service = start_module_service()


def keyed(key):
    return {"Idempotency-Key": key}


def document(name, **more):
    return {"id": name, "version": "1", "creation_utc": "2026-01-01T00:00:00Z", **more}


class RepeatTest(HttpTest):
    def call(self, path, body, key, client=None, query=None):
        return (client or self.client).post(path, body, headers=keyed(key), query=query)

    def crash(self):
        self.service.kill()
        self.service.start()
        self.client.close()

    def assert_mismatch(self, path, body, key):
        self.assert_problem(self.call(path, body, key), 422, "idempotency_mismatch")


class Sessions(RepeatTest):
    def test_a_session_is_made_once(self):
        first = self.assert_status(201, self.call("/v1/sessions", {"user_id": "once"}, "make-1"))
        path = "/v1/sessions/" + first.json()["id"]
        self.append(path)
        self.client.patch(path, {"title": "changed since"})
        again = self.assert_status(201, self.call("/v1/sessions", {"user_id": "once"}, "make-1"))
        self.assertEqual(first.body, again.body)
        self.assert_mismatch("/v1/sessions", {"user_id": "twice"}, "make-1")
        self.assert_mismatch("/v1/sessions", b'{"user_id":"once" }', "make-1")
        other = self.assert_status(201, self.call("/v1/sessions", {"user_id": "once"}, "make-2"))
        self.assertNotEqual(first.json()["id"], other.json()["id"])

    def test_a_failure_is_not_kept(self):
        self.assert_status(400, self.call("/v1/sessions", {"user": "x"}, "fail-1"))
        self.assert_status(201, self.call("/v1/sessions", {"user_id": "x"}, "fail-1"))

    def test_keys_from_1_to_255_characters(self):
        for good in ("k", "k" * 255, "a b", "~!@#$"):
            self.assert_status(201, self.call("/v1/sessions", {"user_id": "x"}, good))
        for wrong in ("", "k" * 256):
            problem = self.assert_problem(self.call("/v1/sessions", {"user_id": "x"}, wrong), 400, "invalid_request")
            self.assertEqual("Idempotency-Key", problem["errors"][0]["header"])
        with RawConnection(self.service) as raw:
            raw.send(raw_request("POST", "/v1/sessions", [("Content-Type", "application/json"),
                                                          ("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
                                 b'{"user_id":"x"}'))
            self.assertEqual(400, raw.reply().status)

    def test_twins_at_the_same_time(self):
        clients = [self.new_client() for _ in range(8)]
        replies = at_once([lambda each=each: self.call("/v1/sessions", {"user_id": "twins"}, "twin-1", each)
                           for each in clients])
        self.assertEqual({201}, {each.status for each in replies})
        self.assertEqual(1, len({each.body for each in replies}))
        self.assertEqual(1, len(self.client.get("/v1/sessions", query={"user_id": "twins"}).json()["items"]))

    def test_a_fork_is_made_once(self):
        path = self.new_path()
        self.append(path)
        first = self.assert_status(201, self.call(path + "/fork", {"at_offset": 0}, "fork-1"))
        self.append("/v1/sessions/" + first.json()["id"])
        self.assertEqual(first.body, self.assert_status(201, self.call(path + "/fork", {"at_offset": 0}, "fork-1")).body)
        self.append(path)
        self.assert_mismatch(path + "/fork", {"at_offset": 1}, "fork-1")

    def test_a_tenant_is_made_once(self):
        operator = Operator(self.service).client
        first = self.call("/v1/tenants", {"id": "made-once"}, "tenant-1", operator)
        again = self.call("/v1/tenants", {"id": "made-once"}, "tenant-1", operator)
        self.assertEqual((201, 201, first.body), (first.status, again.status, again.body))
        self.assert_problem(self.call("/v1/tenants", {"id": "made-twice"}, "tenant-1", operator), 422,
                            "idempotency_mismatch")
        self.assert_problem(self.call("/v1/tenants", {"id": "made-once"}, "tenant-2", operator), 409, "conflict")


class Appends(RepeatTest):
    def test_messages_are_written_once(self):
        path = self.new_path()
        body = {"messages": [user("a"), user("b")]}
        for durability, status in (("accepted", 202), ("durable", 201)):
            key = "append-" + durability
            query = {"durability": durability}
            first = self.assert_status(status, self.call(path + "/messages", body, key, query=query))
            self.append(path, user("between"))
            again = self.call(path + "/messages", body, key, query=query)
            self.assertEqual(first.json()["offsets"], again.json()["offsets"])
            self.assertIn(again.status, (201, 202))
            self.assert_mismatch(path + "/messages", user("c"), key)
        self.assertEqual(["a", "b", "between"] * 2, self.contents(path))

    def test_events_are_written_once(self):
        path = self.new_path()
        body = {"kind": "custom", "data": 1}
        first = self.call(path + "/events", body, "event-1")
        self.assertEqual(first.json()["offsets"], self.call(path + "/events", body, "event-1").json()["offsets"])
        self.assert_mismatch(path + "/events", {"kind": "custom", "data": 2}, "event-1")
        self.assertEqual(1, self.client.get(path).json()["next_offset"])

    def test_a_key_is_of_its_path(self):
        one, two = self.new_path(), self.new_path()
        for path in (one, two):
            self.assertEqual([0], self.call(path + "/messages", user(), "same").json()["offsets"])
            reply = self.call(path + "/events", {"kind": "custom", "data": 1}, "same")
            self.assertEqual([1], reply.json()["offsets"])
            turn = self.call(path + "/turns", {}, "same")
            self.assert_status(201, turn)
            inside = f"{path}/turns/{turn.json()['turn']['id']}/messages"
            self.assertEqual([3], self.call(inside, user(), "same").json()["offsets"])
        self.assert_status(201, self.call("/v1/sessions", {"user_id": "x"}, "same"))

    def test_messages_of_a_turn_are_written_once(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        inside = f"{path}/turns/{turn['id']}/messages"
        first = self.call(inside, assistant("x"), "turn-1")
        self.assertEqual(first.json()["offsets"], self.call(inside, assistant("x"), "turn-1").json()["offsets"])
        self.assert_mismatch(inside, assistant("y"), "turn-1")
        self.assertEqual(["x"], self.contents(path))

    def test_twins_at_the_same_time(self):
        path = self.new_path()
        clients = [self.new_client() for _ in range(8)]
        replies = at_once([lambda each=each: self.call(path + "/messages", user("twin"), "twin", each,
                                                       {"durability": "durable"}) for each in clients])
        self.assertEqual({(201, "[0]")}, {(each.status, str(each.json()["offsets"])) for each in replies})
        self.assertEqual(["twin"], self.contents(path))


class Turns(RepeatTest):
    def test_the_turn_with_fresh_history(self):
        path = self.new_path()
        body = {"messages": [user("start")]}
        first = self.assert_status(201, self.call(path + "/turns", body, "turn")).json()
        self.append(path, user("since"))
        again = self.assert_status(201, self.call(path + "/turns", body, "turn")).json()
        self.assertEqual(first["turn"]["id"], again["turn"]["id"])
        self.assertEqual(["start", "since"], [each["content"] for each in again["history"]["items"]])
        self.assert_mismatch(path + "/turns", {}, "turn")
        self.assertEqual(1, len(self.turns(path)))

    def test_a_repeat_of_one_that_has_ended(self):
        path = self.new_path()
        turn = self.assert_status(201, self.call(path + "/turns", {}, "ended")).json()["turn"]
        self.client.post(f"{path}/turns/{turn['id']}/complete")
        again = self.assert_status(201, self.call(path + "/turns", {}, "ended")).json()["turn"]
        self.assertEqual((turn["id"], "completed"), (again["id"], again["status"]))

    def test_a_repeat_while_the_first_waits_gives_the_same_turn(self):
        path = self.new_path()
        running = self.start_turn(path)["turn"]
        clients = [self.new_client(), self.new_client()]

        def end():
            eventually(lambda: any(each["status"] == "queued" for each in self.turns(path).values()), 10, "who waits")
            self.client.post(f"{path}/turns/{running['id']}/complete")
        first, second, _ = at_once([lambda each=each: self.call(path + "/turns", {"wait_s": 20}, "waits", each)
                                    for each in clients] + [end])
        self.assertEqual((201, 201), (first.status, second.status), (first, second))
        self.assertEqual(first.json()["turn"]["id"], second.json()["turn"]["id"])
        self.assertEqual(2, len(self.turns(path)))


class Crashes(RepeatTest):
    def test_answers_outlive_a_crash_and_a_restart(self):
        made = self.call("/v1/sessions", {"user_id": "crash"}, "crash-make")
        path = "/v1/sessions/" + made.json()["id"]
        query = {"durability": "durable"}
        written = self.assert_status(201, self.call(path + "/messages", user("x"), "crash-append", query=query))
        forked = self.assert_status(201, self.call(path + "/fork", {"at_offset": 0}, "crash-fork"))
        turn = self.assert_status(201, self.call(path + "/turns", {}, "crash-turn")).json()["turn"]
        self.append(path, user("y"))
        for end in (self.crash, lambda: (self.service.restart(), self.client.close())):
            end()
            self.assertEqual(made.body, self.call("/v1/sessions", {"user_id": "crash"}, "crash-make").body)
            self.assert_mismatch("/v1/sessions", {"user_id": "other"}, "crash-make")
            again = self.call(path + "/messages", user("x"), "crash-append", query=query)
            self.assertEqual((201, written.json()["offsets"]), (again.status, again.json()["offsets"]))
            self.assertEqual(forked.body, self.call(path + "/fork", {"at_offset": 0}, "crash-fork").body)
            same = self.assert_status(201, self.call(path + "/turns", {}, "crash-turn")).json()["turn"]
            self.assertEqual((turn["id"], "lost"), (same["id"], same["status"]))
        self.assertEqual(["x", "y"], self.contents(path))

    def test_one_that_the_crash_cut_off_is_done_once(self):
        # Each append is sent until it is answered, through kills in between; then each is there once.
        path = self.new_path()
        stop = threading.Event()
        done = []

        def write():
            client = self.new_client(checks=False)
            for i in range(10_000):
                if stop.is_set():
                    return
                while True:
                    try:
                        reply = self.call(path + "/messages", user(f"n{i}"), f"cut-{i}", client,
                                          {"durability": "durable"})
                    except (OSError, ValueError, AssertionError):
                        client.close()
                        continue
                    if reply.status == 201:
                        done.append((f"n{i}", reply.json()["offsets"][0]))
                        break
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(2):
                before = len(done)
                eventually(lambda: len(done) > before + 30, 20, "thirty appends")
                self.service.kill()
                self.service.start()
        finally:
            before = len(done)
            eventually(lambda: len(done) > before + 5, 20, "some appends more")
            stop.set()
            thread.join(20)
        self.client.close()
        items = [each for page in self.client.pages(path + "/messages", {"limit": 1000}) for each in page]
        kept = {each["offset"]: each["content"] for each in items}
        for content, offset in done:
            self.assertEqual(content, kept[offset])
        self.assertEqual(len(kept), len(set(kept.values())), "one was written twice")


class Users(RepeatTest):
    """Who sees one user's things alone has keys of their own, whatever others call theirs."""

    def setUp(self):
        super().setUp()
        operator = Operator(self.service)
        tenant = operator.new_tenant()
        self.all_of_it, self.ada, self.bob = (
            self.new_client(operator.new_key(tenant, ("read", "write"), **more)[0])
            for more in ({}, {"user_id": "ada"}, {"user_id": "bob"}))

    def test_an_update_of_one_is_not_taken_for_another_ones(self):
        path = "/v1/collections/notes"
        for name in ("ada", "bob"):
            body = document("of-" + name, customer_id=name, secret=name)
            self.assert_status(201, self.all_of_it.post(path + "/documents", body))
        body = {"where": {}, "set": {"x": 1}, "upsert": True}
        for client, name in ((self.ada, "ada"), (self.bob, "bob"), (self.ada, "ada")):
            done = self.assert_status(200, self.call(path + "/update-one", body, "1", client)).json()
            self.assertEqual(("of-" + name, name), (done["document"]["id"], done["document"]["secret"]))
        for name in ("ada", "bob"):
            found = self.all_of_it.post(path + "/find-one", {"where": {"id": {"$eq": "of-" + name}}}).json()["document"]
            self.assertEqual(1, found["x"])

    def test_an_insert_of_one_is_not_answered_to_another(self):
        path, body = "/v1/collections/drafts/documents", document("draft", customer_id="ada")
        first = self.assert_status(201, self.call(path, body, "1", self.ada))
        self.assert_problem(self.call(path, body, "1", self.bob), 403, "forbidden")
        self.assertEqual(first.body, self.assert_status(201, self.call(path, body, "1", self.ada)).body)
        self.assert_problem(self.call(path, body, "1", self.all_of_it), 409, "conflict")

    def test_both_may_write_to_what_they_share(self):
        path = "/v1/sessions/" + self.new_session(self.ada, user_id="ada")["id"]
        self.assert_status(200, self.ada.put(path + "/participants/bob", {"role": "writer"}))
        for client, offset in ((self.ada, 0), (self.bob, 1), (self.ada, 0)):
            self.assertEqual([offset], self.call(path + "/messages", user("yes"), "1", client).json()["offsets"])

    def test_a_session_of_one_is_not_answered_to_another(self):
        first = self.assert_status(201, self.call("/v1/sessions", {"user_id": "ada"}, "1", self.ada))
        self.assert_problem(self.call("/v1/sessions", {"user_id": "ada"}, "1", self.bob), 403, "forbidden")
        self.assertEqual(first.body, self.call("/v1/sessions", {"user_id": "ada"}, "1", self.ada).body)


class Shown(RepeatTest):
    def test_what_is_shown_only_once_takes_no_key(self):
        service = self.service
        operator = Operator(service)
        tenant = operator.new_tenant(name="shown")
        reply = operator.client.post(f"/v1/tenants/{tenant}/keys", {"scopes": ["read"]}, headers=keyed("k"))
        self.assertEqual("Idempotency-Key", self.assert_problem(reply, 400, "invalid_request")["errors"][0]["header"])

    def test_where_nothing_is_made_it_means_nothing(self):
        path = self.new_path()
        for title in ("a", "b"):
            reply = self.client.patch(path, {"title": title}, headers=keyed("same"))
            self.assertEqual(title, self.assert_status(200, reply).json()["title"])
        self.assert_status(200, self.client.get(path, headers=keyed("same")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
