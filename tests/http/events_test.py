"""Events: appended, read, waited for, followed as a stream."""

import json
import random
import threading
import time
import unittest

from support.cases import HttpTest, at_once, start_module_service, user
from support.client import Client
from support.events import EventReader
from support.service import eventually


quiet = None  # a stream to which nothing happens while the other tests run, and when it began


def setUpModule():
    global quiet
    HttpTest.service = start_module_service()
    client = Client(HttpTest.service)
    session = client.post("/v1/sessions", {"user_id": "ada"}).json()["id"]
    client.close()
    quiet = EventReader(HttpTest.service, session), time.monotonic()
    unittest.addModuleCleanup(quiet[0].close)


class EventTest(HttpTest):
    def post(self, path, kind="custom", data=None, durability="durable", **more):
        reply = self.client.post(path + "/events", {"kind": kind, "data": data, **more},
                                 query={"durability": durability})
        return self.assert_status(201 if durability == "durable" else 202, reply).json()["offsets"][0]

    def follow(self, path, **more):
        reader = EventReader(self.service, path.rsplit("/", 1)[1], self.key, **more)
        self.addCleanup(reader.close)
        return reader


class Appending(EventTest):
    def test_kinds_data_source_and_trace(self):
        path = self.new_path()
        self.post(path, "custom", {"a": [1, None]}, source="crawler", trace_id="t1")
        self.post(path, "tool", None)
        self.post(path, "message", user("hi"))
        first, second, third = self.events(path)
        self.assertEqual(("custom", {"a": [1, None]}, "crawler", "t1", None, None),
                         tuple(first[name] for name in ("kind", "data", "source", "trace_id", "turn_id", "author")))
        self.assertEqual(("tool", None, None, None), tuple(second[name] for name in ("kind", "data", "source",
                                                                                     "trace_id")))
        self.assertEqual(("message", user("hi")), (third["kind"], third["data"]))
        self.assertEqual(["hi"], self.contents(path))

    def test_accepted_and_durable(self):
        path = self.new_path()
        reply = self.client.post(path + "/events", {"kind": "custom", "data": 1})
        self.assertEqual({"offsets": [0], "durability": "accepted"}, self.assert_status(202, reply).json())
        self.assertEqual(1, self.post(path))

    def test_data_comes_back_as_it_came(self):
        path = self.new_path()
        for data in ('{"z":1.50,"a":1e2,"t":"\\u00f8\\/"}', '"text"', "[1,2.0]", "0.10", "null", "true"):
            raw = b'{"kind":"custom","data":' + data.encode() + b"}"
            self.assert_status(201, self.client.post(path + "/events", raw, query={"durability": "durable"}))
            self.assertIn('"data":' + data + "}", self.client.get(path + "/events").text)

    def test_what_is_no_event(self):
        path = self.new_path()
        for wrong, pointer in (({"data": 1}, "/kind"), ({"kind": "custom"}, "/data"),
                               ({"kind": "status", "data": 1}, "/kind"), ({"kind": "Custom", "data": 1}, "/kind"),
                               ({"kind": "custom", "data": 1, "source": ""}, "/source"),
                               ({"kind": "custom", "data": 1, "trace_id": "t" * 256}, "/trace_id"),
                               ({"kind": "custom", "data": 1, "soruce": "x"}, "/soruce")):
            problem = self.assert_problem(self.client.post(path + "/events", wrong), 400, "invalid_request")
            self.assertEqual([pointer], self.pointers(problem))
        reply = self.client.post(path + "/events", {"kind": "message", "data": {"role": "user"}})
        self.assertIn("/data", self.assert_problem(reply, 400, "invalid_request")["detail"])
        big = {"kind": "custom", "data": "x" * (4 * 1024 * 1024)}
        self.assert_problem(self.client.post(path + "/events", big), 413, "payload_too_large")

    def test_status_events_tell_of_turns_and_of_the_session(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        self.client.post(f"{path}/turns/{turn['id']}/complete")
        self.client.patch(path, {"status": "paused"})
        self.client.patch(path, {"status": "active"})
        events = eventually(lambda: len(found := self.events(path)) == 4 and found, what="four events")
        self.assertEqual(["status"] * 4, [each["kind"] for each in events])
        self.assertEqual([("running", turn["id"]), ("completed", turn["id"])],
                         [(each["data"]["turn"]["status"], each["data"]["turn"]["id"]) for each in events[:2]])
        self.assertIn("paused", json.dumps(events[2]["data"]))
        self.assertIn("active", json.dumps(events[3]["data"]))


class Reading(EventTest):
    def test_after_kinds_limit_and_pages(self):
        path = self.new_path()
        for i in range(6):
            self.post(path, ("custom", "tool")[i % 2], i, durability="accepted")
        self.append(path)
        self.assertEqual([4, 5, 6], [each["offset"] for each in self.events(path, after=3)])
        self.assertEqual([1, 3, 5], [each["offset"] for each in self.events(path, kinds="tool")])
        self.assertEqual([1, 3, 5, 6], [each["offset"] for each in self.events(path, kinds="tool,message")])
        self.assertEqual([0, 1], [each["offset"] for each in self.events(path, limit=2)])
        for query in ({"limit": 3}, {"limit": 1}, {"limit": 2, "kinds": "tool,message"}):
            found = [each["offset"] for page in self.client.pages(path + "/events", query) for each in page]
            self.assertEqual([1, 3, 5, 6] if "kinds" in query else list(range(7)), found)

    def test_what_is_there_is_answered_at_once(self):
        path = self.new_path()
        self.append(path)
        began = time.monotonic()
        for _ in range(20):
            self.events(path)
        self.assertLess(time.monotonic() - began, 2.5)

    def test_last_event_id_acts_as_after(self):
        path = self.new_path()
        self.append(path, user(), user(), user())
        reply = self.client.get(path + "/events", headers={"Last-Event-ID": "1"})
        self.assertEqual([2], [each["offset"] for each in reply.json()["items"]])

    def test_wrong_parameters(self):
        path = self.new_path()
        for query, name in (({"kinds": "toll"}, "kinds"), ({"kinds": "tool,tool"}, "kinds"), ({"kinds": ""}, "kinds"),
                            ({"after": -2}, "after"), ({"wait_s": 61}, "wait_s"), ({"wait_s": -1}, "wait_s"),
                            ({"wait_s": "x"}, "wait_s"), ({"limit": 0}, "limit"), ({"limit": 1001}, "limit")):
            problem = self.assert_problem(self.client.get(path + "/events", query=query), 400, "invalid_request")
            self.assertEqual(name, problem["errors"][0]["parameter"])
        for cursor in ("x", "1a0", "1e", "1ezz"):
            self.assert_problem(self.client.get(path + "/events", query={"cursor": cursor}), 400, "invalid_request")
        reply = self.client.get(path + "/events", headers={"Last-Event-ID": "x", "Accept": "text/event-stream"})
        self.assertEqual("Last-Event-ID", self.assert_problem(reply, 400, "invalid_request")["errors"][0]["header"])


class Waiting(EventTest):
    def test_a_poll_holds_until_there_is_an_event(self):
        path = self.new_path()
        other = self.new_client()

        def poll():
            reply = other.get(path + "/events", query={"wait_s": 20, "after": -1})
            return time.monotonic(), [each["offset"] for each in reply.json()["items"]]

        def write():
            time.sleep(0.5)
            self.post(path)
            return time.monotonic()
        (answered, offsets), written = at_once([poll, write])
        self.assertEqual([0], offsets)
        self.assertLess(answered - written, 2)
        self.assertGreater(answered - written, -0.3)

    def test_a_poll_that_nothing_comes_to_ends_empty(self):
        path = self.new_path()
        self.post(path, "tool")
        began = time.monotonic()
        self.assertEqual([], self.events(path, wait_s=1, after=0))
        self.assertEqual([], self.events(path, wait_s=1, kinds="custom"))
        self.assertTrue(1.9 <= time.monotonic() - began < 8)
        self.assertEqual([0], [each["offset"] for each in self.events(path, wait_s=30)])

    def test_a_poll_for_a_kind_waits_for_that(self):
        path = self.new_path()
        other = self.new_client()

        def write():
            for kind in ("tool", "tool", "custom"):
                self.post(path, kind)
        found, _ = at_once([lambda: other.get(path + "/events", query={"wait_s": 20, "kinds": "custom"}).json(), write])
        self.assertEqual(["custom"], [each["kind"] for each in found["items"]])

    def test_a_poll_ends_when_the_session_is_erased(self):
        path = self.new_path()
        other = self.new_client()

        def poll():
            return other.get(path + "/events", query={"wait_s": 20})

        def erase():
            time.sleep(0.3)
            self.client.delete(path)
        reply, _ = at_once([poll, erase])
        self.assert_problem(reply, 404, "not_found")


class Following(EventTest):
    def test_stored_ones_and_then_new_ones(self):
        path = self.new_path()
        self.append(path, user("one"), user("two"))
        reader = self.follow(path)
        self.assertEqual((200, "text/event-stream"), (reader.status, reader.headers["Content-Type"]))
        self.assertEqual([("message", "0"), ("message", "1")], [(each.kind, each.id) for each in reader.take(2)])
        self.post(path, "custom", {"n": 1})
        third = reader.take(1)[0]
        self.assertEqual(("custom", "2"), (third.kind, third.id))
        self.assertEqual(self.events(path, after=1)[0], third.json())

    def test_where_it_begins(self):
        path = self.new_path()
        self.append(path, *[user(str(i)) for i in range(5)])
        for more, first in (({"query": "after=2"}, "3"), ({"last_event_id": "1"}, "2"),
                            ({"query": "after=3", "last_event_id": "0"}, "1"), ({"query": "kinds=message&after=3"}, "4"),
                            ({"last_event_id": "-1"}, "0")):
            self.assertEqual(first, self.follow(path, **more).take(1)[0].id, more)

    def test_only_some_kinds(self):
        path = self.new_path()
        reader = self.follow(path, query="kinds=tool")
        for kind in ("custom", "tool", "custom", "tool"):
            self.post(path, kind)
        self.assertEqual([("tool", "1"), ("tool", "3")], [(each.kind, each.id) for each in reader.take(2)])

    def test_resumed_again_and_again_with_no_gap_and_no_repeat(self):
        path = self.new_path()
        count, writer = 600, self.new_client()

        def write():
            for i in range(count):
                writer.post(path + "/events", {"kind": "custom", "data": i}, checks=False)
        thread = threading.Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)
        chance = random.Random(7)
        seen, last, connects = [], None, 0
        while len(seen) < count:
            with EventReader(self.service, path.rsplit("/", 1)[1], last_event_id=last) as reader:
                connects += 1
                for _ in range(chance.randrange(1, 60)):
                    if len(seen) == count:
                        break
                    event = reader.take(1)[0]
                    self.assertEqual(str(len(seen)), event.id)
                    self.assertEqual(len(seen), event.json()["data"])
                    seen.append(event)
                last = reader.last_id
        self.assertGreater(connects, 8)

    def test_many_follow_one_session(self):
        path = self.new_path()
        readers = [self.follow(path) for _ in range(20)]
        for i in range(30):
            self.post(path, data=i, durability="accepted")
        for reader in readers:
            self.assertEqual([str(i) for i in range(30)], [each.id for each in reader.take(30)])

    def test_a_line_break_stays_inside_its_event(self):
        path = self.new_path()
        text = "one\ntwo\r\nthree\rfour\n\ndata: five\nid: 99"
        raw = b'{"kind":"custom",\n"data":\r\n{"t":\n\n' + json.dumps(text).encode() + b',\n"id: 77":\n1}}'
        self.assert_status(201, self.client.post(path + "/events", raw, query={"durability": "durable"}))
        self.post(path, data="next")
        first, second = self.follow(path).take(2)
        self.assertEqual(("0", {"t": text, "id: 77": 1}), (first.id, first.json()["data"]))
        self.assertEqual(("1", "next"), (second.id, second.json()["data"]))

    def test_z_a_comment_comes_within_20_seconds(self):
        reader, began = quiet
        with self.assertRaises(TimeoutError):
            reader.next(max(1.0, began + 19 - time.monotonic()))
        self.assertGreaterEqual(len(reader.comments), 1)
        if len(reader.comments) == 1:  # else they were read late, all at once
            self.assertLess(reader.comments[0][0] - began, 20)

    def test_parts_of_a_reply(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        reader = self.follow(path)
        self.assertEqual("0", reader.take(1)[0].id)
        deltas = f"{path}/turns/{turn['id']}/deltas"
        for text, more in (("Twelve ", {}), ("de\ngrees", {"model": "m", "n": [1, 2]})):
            reply = self.assert_status(200, self.client.post(deltas, {"text": text, **more}))
            self.assertEqual({"listeners": 1}, reply.json())
            event = reader.take(1)[0]
            self.assertEqual(("delta", None), (event.kind, event.id))
            self.assertEqual({"turn_id": turn["id"], "text": text, **more}, event.json())
        late = self.follow(path)
        found = late.take(2)
        so_far = next(each for each in found if each.kind == "delta").json()
        self.assertEqual(("Twelve de\ngrees", True), (so_far["text"], so_far["is_text_so_far"]))
        self.assertEqual([0], [each["offset"] for each in self.events(path)])
        self.assert_problem(self.client.post(deltas, {"txt": "x"}), 400, "invalid_request")
        self.assert_problem(self.client.post(deltas, {"text": "x" * 300_000}), 413, "payload_too_large")
        self.assert_problem(self.client.post(deltas, {"text": "x", "turn_id": "y"}), 400, "invalid_request")

    def test_it_ends_when_the_session_is_erased(self):
        path = self.new_path()
        self.append(path)
        reader = self.follow(path)
        reader.take(1)
        self.client.delete(path)
        event = reader.take(1)[0]
        self.assertEqual(("end", "not_found"), (event.kind, event.json()["code"]))
        self.assertIsNone(reader.next())
        self.assertTrue(reader.is_over)

    def test_it_ends_when_the_session_expires(self):
        path = self.new_path(expires_in_s=2)
        reader = self.follow(path)
        event = reader.next(15)
        while event is not None and event.kind == "status":  # the change of status may be told first
            event = reader.next(15)
        self.assertEqual(("end", "session_expired"), (event.kind, event.json()["code"]))

    def test_what_cannot_be_followed(self):
        reader = self.follow("/v1/sessions/01890a5d-ac96-774b-bcce-b302099a8057")
        self.assertEqual((404, "not_found"), (reader.status, reader.problem()["code"]))

    def test_a_reader_that_is_gone_is_not_counted(self):
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        reader = self.follow(path)
        reader.take(1)
        reader.close()

        def listeners():
            reply = self.client.post(f"{path}/turns/{turn['id']}/deltas", {"text": "x"})
            return reply.json()["listeners"] == 0
        eventually(listeners, 10, "no listener")


if __name__ == "__main__":
    unittest.main(verbosity=2)
