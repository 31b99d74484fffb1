"""Turns: who gets one, who waits, who loses it, and what stays of it."""

import socket
import time
import unittest
from datetime import datetime, timedelta

from support.cases import UNKNOWN_ID, HttpTest, assistant, at_once, start_module_service, user
from support.client import RawConnection, raw_request
from support.service import eventually


def setUpModule():
    HttpTest.service = start_module_service(settings={"turns_queued_max": "3"})


class TurnTest(HttpTest):
    def at(self, path, turn, call):
        return f"{path}/turns/{turn['id']}/{call}"

    def end(self, path, turn, call="complete", body=None):
        return self.assert_status(200, self.client.post(self.at(path, turn, call), body)).json()

    def status(self, path, turn):
        return self.turns(path)[turn["id"]]["status"]

    def ask_raw(self, path, body=b"{}"):
        """A request for a turn whose sender may go away at any time."""
        connection = RawConnection(self.service)
        self.addCleanup(connection.close)
        connection.send(raw_request("POST", path + "/turns", [("Content-Type", "application/json")], body))
        return connection

    def queued(self, path, count):
        def look():
            return len([each for each in self.turns(path).values() if each["status"] == "queued"]) == count
        eventually(look, 10, f"{count} who wait")


class Taking(TurnTest):
    def test_a_turn_and_what_was_said_before(self):
        path = self.new_path()
        self.append(path, {"role": "system", "content": "rules"}, user("one"))
        started = self.start_turn(path, messages=[user("two"), user("three")])
        turn = started["turn"]
        self.assertEqual((1, "running", None, None), tuple(turn[name] for name in ("number", "status", "ended_at",
                                                                                   "usage")))
        self.assertEqual(["rules", "one", "two", "three"], [each["content"] for each in started["history"]["items"]])
        self.assertEqual([None, None, turn["id"], turn["id"]], [each["turn_id"] for each in started["history"]["items"]])
        self.assertEqual(0, started["history"]["trimmed"])
        self.assertRegex(turn["id"], "^[0-9a-f]{8}-[0-9a-f]{4}-7")
        lease = datetime.fromisoformat(turn["lease_expires_at"]) - datetime.fromisoformat(turn["started_at"])
        self.assertEqual(timedelta(seconds=60), lease)

    def test_numbers_count_and_the_newest_is_first(self):
        path = self.new_path()
        made = []
        for _ in range(5):
            made.append(self.start_turn(path)["turn"])
            self.end(path, made[-1])
        self.assertEqual([1, 2, 3, 4, 5], [each["number"] for each in made])
        pages = self.client.pages(path + "/turns", {"limit": 2})
        self.assertEqual([5, 4, 3, 2, 1], [each["number"] for page in pages for each in page])
        for cursor in ("x", "1t", "1a5", "1tzz"):
            self.assert_problem(self.client.get(path + "/turns", query={"cursor": cursor}), 400, "invalid_request")

    def test_the_trace_of_the_request_is_the_turns(self):
        path = self.new_path()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        reply = self.client.post(path + "/turns", {"messages": [user()]},
                                 headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        self.assertEqual(trace, reply.json()["turn"]["trace_id"])

    def test_the_trace_of_the_request_is_its_messages_too(self):
        path = self.new_path()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        self.client.post(path + "/turns", {"messages": [user()]},
                         headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        events = eventually(lambda: len(found := self.events(path)) == 2 and found, what="two events")
        self.assertEqual(trace, events[1]["trace_id"])

    def test_wrong_fields(self):
        path = self.new_path()
        for wrong, pointer in (({"policy": "queue"}, "/policy"), ({"lease_s": 0}, "/lease_s"),
                               ({"lease_s": 3601}, "/lease_s"), ({"wait_s": -1}, "/wait_s"), ({"wait_s": 301}, "/wait_s"),
                               ({"token_budget": 0}, "/token_budget"), ({"messages": {}}, "/messages"),
                               ({"messages": [{"role": "x", "content": ""}]}, "/messages/0/role"),
                               ({"leases": 5}, "/leases")):
            problem = self.assert_problem(self.client.post(path + "/turns", wrong), 400, "invalid_request")
            self.assertEqual([pointer], self.pointers(problem))
        self.assertEqual({}, self.turns(path))
        for good in ({"lease_s": 1}, {"lease_s": 3600}, {"wait_s": 0}, {"wait_s": 300}, {"token_budget": 10_000_000}):
            self.end(path, self.start_turn(path, **good)["turn"])

    def test_a_free_turn_is_given_at_once(self):
        path = self.new_path()
        began = time.monotonic()
        for _ in range(10):
            self.end(path, self.start_turn(path)["turn"])
        self.assertLess(time.monotonic() - began, 1.6)


class Policies(TurnTest):
    def test_reject(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        refused = self.client.post(path + "/turns", {"policy": "reject", "messages": [user("never")]})
        self.assert_problem(refused, 409, "turn_in_progress")
        self.assertEqual([], self.contents(path))
        self.end(path, turn)
        self.start_turn(path, policy="reject")

    def test_interrupt_ends_it_and_keeps_what_it_wrote(self):
        path = self.new_path()
        first = self.start_turn(path, messages=[user("kept")])["turn"]
        second = self.start_turn(path, policy="interrupt")
        self.assertEqual(["kept"], [each["content"] for each in second["history"]["items"]])
        self.assertEqual("interrupted", self.status(path, first))
        reply = self.client.post(self.at(path, first, "messages"), assistant())
        self.assert_problem(reply, 409, "turn_lost")

    def test_rollback_hides_all_that_was_the_turns(self):
        path = self.new_path()
        self.append(path, user("before"))
        first = self.start_turn(path, messages=[user("its start")])["turn"]
        self.assert_status(201, self.client.post(self.at(path, first, "messages"), assistant("its own"),
                                                 query={"durability": "durable"}, headers={"Idempotency-Key": "own"}))
        self.append(path, user("another's"))
        second = self.start_turn(path, policy="rollback")
        self.assertEqual(["before", "another's"], [each["content"] for each in second["history"]["items"]])
        self.assertEqual("rolled_back", self.status(path, first))
        self.end(path, second["turn"])
        after = self.append(path, user("after"))
        self.assertGreater(after[0], 5)
        self.assertEqual(["before", "another's", "after"], self.contents(path))
        events = self.events(path)
        self.assertFalse([each for each in events if each["kind"] == "message" and each["turn_id"] == first["id"]])
        named = [each for each in events if each["kind"] == "status" and first["id"] in str(each["data"])]
        self.assertTrue(any("rolled_back" in str(each["data"]) for each in named), events)
        again = self.client.post(self.at(path, first, "messages"), assistant("its own"),
                                 query={"durability": "durable"}, headers={"Idempotency-Key": "own"})
        self.assertIn(again.status, (201, 409), again)
        self.assertEqual(201, again.status, "its idempotency keys still answer")

    def test_enqueue_first_come_first_served(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        waiting = []
        for i in range(3):
            waiting.append(self.ask_raw(path, b'{"wait_s":20,"messages":[{"role":"user","content":"%d"}]}' % i))
            self.queued(path, i + 1)
        listed = self.assert_status(200, self.client.get(path + "/turns")).json()["items"]
        self.assertEqual(["queued"] * 3 + ["running"], [each["status"] for each in listed])
        self.assertEqual([], self.contents(path))
        for i in range(3):
            self.end(path, turn)
            reply = waiting[i].reply()
            self.assertEqual(201, reply.status)
            turn = reply.json()["turn"]
            self.assertEqual(i + 2, turn["number"])
            self.assertEqual([str(j) for j in range(i + 1)], self.contents(path))

    def test_the_line_has_an_end(self):
        path = self.new_path()
        self.start_turn(path)
        waiting = [self.ask_raw(path) for _ in range(3)]
        self.queued(path, 3)
        self.assert_problem(self.client.post(path + "/turns"), 503, "overloaded")
        for each in waiting:
            each.close()

    def test_who_waits_too_long(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        for wait, least in ((0, 0), (1, 1)):
            began = time.monotonic()
            refused = self.client.post(path + "/turns", {"wait_s": wait, "messages": [user("never")]})
            self.assert_problem(refused, 409, "turn_in_progress")
            self.assertTrue(least <= time.monotonic() - began < least + 3)
        self.end(path, turn)
        self.assertEqual([], self.contents(path))


class Leases(TurnTest):
    def test_a_lease_that_runs_out_is_lost_and_the_next_starts(self):
        path = self.new_path()
        first = self.start_turn(path, lease_s=1)["turn"]
        began = time.monotonic()
        second = self.start_turn(path, wait_s=10)["turn"]
        self.assertTrue(0.5 < time.monotonic() - began < 6)
        self.assertEqual("lost", self.status(path, first))
        for call, body in (("messages", assistant("late")), ("renew", None), ("deltas", {"text": "late"}),
                           ("complete", None), ("fail", {"reason": "r"}), ("cancel", None)):
            self.assert_problem(self.client.post(self.at(path, first, call), body), 409, "turn_lost")
        self.assertEqual([], self.contents(path))
        self.assertEqual("running", self.status(path, second))

    def test_a_lease_that_is_renewed_goes_on(self):
        path = self.new_path()
        turn = self.start_turn(path, lease_s=1)["turn"]
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            renewed = self.end(path, turn, "renew", {"lease_s": 1})
            self.assertEqual("running", renewed["status"])
            time.sleep(0.2)
        longer = self.end(path, turn, "renew", {"lease_s": 100})
        self.assertGreater(longer["lease_expires_at"], renewed["lease_expires_at"])
        for wrong in ({"lease_s": 0}, {"lease_s": 3601}, {"lease": 5}):
            self.assert_problem(self.client.post(self.at(path, turn, "renew"), wrong), 400, "invalid_request")

    def test_a_lease_outlives_a_clean_restart_and_no_crash(self):
        path, other = self.new_path(), self.new_path()
        turn = self.start_turn(path, lease_s=300)["turn"]
        self.service.restart()
        self.client.close()
        self.assertEqual("running", self.status(path, turn))
        self.assert_status(202, self.client.post(self.at(path, turn, "messages"), assistant("still mine")))
        doomed = self.start_turn(other, lease_s=300, messages=[user("kept")])["turn"]
        self.append(other, user("durable"))
        self.service.kill()
        self.service.start()
        self.client.close()
        self.assertEqual("lost", self.status(other, doomed))
        self.assert_problem(self.client.post(self.at(other, doomed, "messages"), assistant()), 409, "turn_lost")
        self.start_turn(other, policy="reject")


class Ending(TurnTest):
    def test_each_end_and_the_same_again(self):
        usage = {"input_tokens": 3, "output_tokens": 4}
        calls = {"complete": ({"usage": usage, "messages": [assistant("end")]}, "completed"),
                 "fail": ({"reason": "the model", "usage": usage}, "failed"), "cancel": (None, "cancelled")}
        for call, (body, status) in calls.items():
            path = self.new_path()
            turn = self.start_turn(path)["turn"]
            ended = self.client.post(self.at(path, turn, call), body)
            self.assertEqual((200, status), (ended.status, ended.json()["status"]))
            self.assertEqual(None if call == "cancel" else usage, ended.json()["usage"])
            self.assertIsNotNone(ended.json()["ended_at"])
            self.assertIsNone(ended.json()["lease_expires_at"])
            self.assertEqual(ended.body, self.client.post(self.at(path, turn, call), body).body)
            for other in calls:
                if other != call:
                    self.assert_problem(self.client.post(self.at(path, turn, other), calls[other][0]), 409, "turn_lost")
            self.assertEqual(["end"] if call == "complete" else [], self.contents(path))
            session = self.client.get(path).json()
            self.assertEqual((0, 0) if call == "cancel" else (1, 7), (session["turn_count"], session["total_tokens"]))

    def test_what_it_writes_is_its_own(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        for durability, status in (("accepted", 202), ("durable", 201)):
            reply = self.client.post(self.at(path, turn, "messages"), {"messages": [assistant("a"), assistant("b")]},
                                     query={"durability": durability})
            self.assertEqual(durability, self.assert_status(status, reply).json()["durability"])
        items = self.client.get(path + "/messages").json()["items"]
        self.assertEqual([turn["id"]] * 4, [each["turn_id"] for each in items])

    def test_its_last_messages_are_all_or_none(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        wrong = {"messages": [assistant("good"), {"role": "x", "content": ""}]}
        self.assert_problem(self.client.post(self.at(path, turn, "complete"), wrong), 400, "invalid_request")
        self.assertEqual(("running", []), (self.status(path, turn), self.contents(path)))
        for wrong, pointer in (({}, "/reason"), ({"reason": ""}, "/reason"), ({"reason": "r" * 1001}, "/reason"),
                               ({"reason": "r", "usage": {"input_tokens": 1}}, "/usage/output_tokens"),
                               ({"reason": "r", "usage": {"input_tokens": -1, "output_tokens": 1}},
                                "/usage/input_tokens")):
            problem = self.assert_problem(self.client.post(self.at(path, turn, "fail"), wrong), 400, "invalid_request")
            self.assertEqual([pointer], self.pointers(problem))

    def test_a_turn_that_never_was(self):
        path = self.new_path()
        for call, body in (("messages", assistant()), ("renew", None), ("deltas", {"text": "x"}), ("complete", None),
                           ("fail", {"reason": "r"}), ("cancel", None)):
            reply = self.client.post(f"{path}/turns/{UNKNOWN_ID}/{call}", body)
            self.assertIn((reply.status, reply.code), ((404, "not_found"), (409, "turn_lost")), call)
            wrong = self.client.post(f"{path}/turns/none/{call}", body)
            self.assertEqual("turn", self.assert_problem(wrong, 400, "invalid_request")["errors"][0]["parameter"])


class Leaving(TurnTest):
    def test_who_goes_away_leaves_the_line(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        gone = self.ask_raw(path, b'{"wait_s":60,"messages":[{"role":"user","content":"never"}]}')
        self.queued(path, 1)
        gone.close()
        self.queued(path, 0)
        self.end(path, turn)
        self.assertEqual([], self.contents(path))
        self.start_turn(path, policy="reject")

    def test_a_waiting_one_can_be_cancelled(self):
        path = self.new_path()
        self.start_turn(path)
        waiting = self.ask_raw(path, b'{"wait_s":60}')
        self.queued(path, 1)
        queued = next(each for each in self.turns(path).values() if each["status"] == "queued")
        self.assertEqual("cancelled", self.end(path, queued, "cancel")["status"])
        reply = waiting.reply()
        self.assertIn((reply.status, reply.code), ((409, "turn_lost"), (409, "turn_in_progress")))

    def test_a_grant_that_cannot_be_delivered_is_cancelled_at_once(self):
        # The caller goes at the very moment at which the turn becomes theirs: whatever wins, it is soon free again.
        def leave_while_it_ends(path, turn, waiting):
            at_once([waiting.close, lambda: self.end(path, turn)])
        for _ in range(5):
            path = self.new_path()
            turn = self.start_turn(path)["turn"]
            waiting = self.ask_raw(path, b'{"wait_s":60,"lease_s":3600}')
            self.queued(path, 1)
            leave_while_it_ends(path, turn, waiting)
            began = time.monotonic()
            self.start_turn(path, wait_s=10)
            self.assertLess(time.monotonic() - began, 5)

    def test_a_turn_whose_asker_is_gone_before_it_is_read(self):
        body = b'{"lease_s":3600}'
        for _ in range(5):
            path = self.new_path()
            with RawConnection(self.service) as asker:
                asker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the request and the end, at once
                asker.send(raw_request("POST", path + "/turns", [("Content-Type", "application/json")], body))
            eventually(lambda path=path: not [each for each in self.turns(path).values() if each["status"] == "running"],
                       5, "a free session")
            self.start_turn(path, wait_s=10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
