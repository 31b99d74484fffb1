"""Taking data out, putting it in again, erasing a user."""

import json
import unittest

from support.cases import HttpTest, assistant, start_module_service, user
from support.service import eventually

LINES = {"Content-Type": "application/x-ndjson"}


def setUpModule():
    HttpTest.service = start_module_service(settings={"sweep_interval": "1h"})  # what is overdue is found by who asks


class DataTest(HttpTest):
    def exported(self, path):
        reply = self.assert_status(200, self.client.get(path + "/export"))
        self.assertEqual("application/x-ndjson", reply.headers["Content-Type"])
        return reply

    def load(self, body):
        return self.client.post("/v1/import", body, headers=LINES)

    def lived(self, user_id="ada", **fields):
        """The path of a session with all that a session can have."""
        path = self.new_path(user_id=user_id, agent_id="guide", title="t\u00f8", metadata={"a": 1.5}, **fields)
        raw = b'{"role":"user","content":[{"type":"text","text":"\\u00e9","n":1.50}],"tokens":7}'
        self.assert_status(202, self.client.post(path + "/messages", raw))
        for call, body in (("complete", {"usage": {"input_tokens": 3, "output_tokens": 4}, "messages": [assistant()]}),
                           ("fail", {"reason": "r"}), ("cancel", None)):
            turn = self.start_turn(path, messages=[user(call)])["turn"]
            self.assert_status(200, self.client.post(f"{path}/turns/{turn['id']}/{call}", body))
        self.client.post(path + "/events", {"kind": "custom", "data": {"z": 1}, "source": "s", "trace_id": "t"})
        self.client.put(path + "/participants/bob", {"role": "writer"})
        self.append(path, user("end"))
        return path


class RoundTrip(DataTest):
    def test_an_export_says_all_and_that_it_is_all(self):
        path = self.lived()
        lines = [json.loads(each) for each in self.exported(path).text.splitlines()]
        self.assertEqual("session", lines[0]["type"])
        self.assertEqual({"type": "end", "sessions": 1}, lines[-1])
        self.assertEqual({"session": 1, "participant": 1, "turn": 3, "event": 13, "end": 1},
                         {kind: sum(each["type"] == kind for each in lines) for kind in
                          ("session", "participant", "turn", "event", "end")})
        self.assertEqual(self.client.get(path).json(), lines[0]["session"])
        self.assertEqual(self.events(path), [each["event"] for each in lines if each["type"] == "event"])

    def test_what_is_imported_is_as_it_was(self):
        path = self.lived()
        body = self.exported(path).body
        reply = self.assert_status(201, self.load(body))
        made = reply.json()["sessions"]
        self.assertEqual((1, path, 13, 3), (len(made), "/v1/sessions/" + made[0]["exported_id"], made[0]["events"],
                                            made[0]["turns"]))
        copy = "/v1/sessions/" + made[0]["id"]
        self.assertNotEqual(path, copy)
        old, new = self.client.get(path).json(), self.client.get(copy).json()
        for name in ("user_id", "agent_id", "title", "status", "metadata", "next_offset", "turn_count", "total_tokens"):
            self.assertEqual(old[name], new[name], name)

        def comparable(events, turns):
            number = {turn["id"]: turn["number"] for turn in turns}
            return [{**each, "turn_id": number.get(each["turn_id"])} for each in events if each["kind"] != "status"]
        turns, copied = (self.client.get(each + "/turns").json()["items"] for each in (path, copy))
        self.assertEqual([(each["number"], each["status"], each["usage"]) for each in turns],
                         [(each["number"], each["status"], each["usage"]) for each in copied])
        self.assertEqual(comparable(self.events(path), turns), comparable(self.events(copy), copied))
        self.assertEqual(self.client.get(path + "/participants").json(), self.client.get(copy + "/participants").json())
        self.assertIn('"n":1.50', self.client.get(copy + "/messages").text)
        self.append(copy, user("it goes on"))
        self.start_turn(copy)

    def test_status_and_no_end(self):
        for status in ("paused", "completed"):
            path = self.lived(expires_in_s=None)
            self.client.patch(path, {"status": status})
            made = self.assert_status(201, self.load(self.exported(path).body)).json()["sessions"][0]
            copy = self.client.get("/v1/sessions/" + made["id"]).json()
            self.assertEqual((status, None), (copy["status"], copy["expires_at"]))

    def test_an_overdue_one_is_expired_and_stays_so(self):
        path = self.new_path(expires_in_s=1)
        self.append(path)
        eventually(lambda: self.client.get(path).status == 410, 10, "the end of the session")
        exported = self.exported(path)
        self.assertEqual("expired", json.loads(exported.text.splitlines()[0])["session"]["status"])
        made = self.assert_status(201, self.load(exported.body)).json()["sessions"][0]
        eventually(lambda: self.client.get("/v1/sessions/" + made["id"]).status == 410, 10, "the end of its copy")

    def test_an_empty_session(self):
        path = self.new_path()
        made = self.assert_status(201, self.load(self.exported(path).body)).json()["sessions"]
        self.assertEqual(0, made[0]["events"])

    def test_all_sessions_of_a_user(self):
        paths = {self.lived("traveller") for _ in range(3)}
        self.lived("another")
        reply = self.assert_status(200, self.client.get("/v1/users/traveller/export"))
        lines = [json.loads(each) for each in reply.text.splitlines()]
        self.assertEqual({"type": "end", "sessions": 3}, lines[-1])
        self.assertEqual(paths, {"/v1/sessions/" + each["session"]["id"] for each in lines if each["type"] == "session"})
        made = self.assert_status(201, self.load(reply.body)).json()["sessions"]
        self.assertEqual(3, len(made))

    def test_a_long_one(self):
        path = self.new_path()
        for i in range(3):
            self.append(path, *[user(f"{i}.{j} " + "x" * 500) for j in range(900)])
        body = self.exported(path).body
        self.assertGreater(len(body), 1_500_000)
        made = self.assert_status(201, self.load(body)).json()["sessions"][0]
        copy = "/v1/sessions/" + made["id"]
        old, new = ([each["content"] for page in self.client.pages(one + "/messages", {"limit": 1000}) for each in page]
                    for one in (path, copy))
        self.assertEqual(2700, len(old))
        self.assertEqual(old, new)


class Refused(DataTest):
    def test_what_is_no_export(self):
        lines = self.exported(self.lived("exact")).body.splitlines(keepends=True)
        good = b"".join(lines)
        for wrong in (b"", b"".join(lines[:-1]), b"".join(lines[1:]), good + b"{}\n", good + lines[0], b"nonsense\n" + good,
                      b"[]\n" + good, b'{"type":"session"}\n{"type":"end"}\n', b'{"type":"what","what":{}}\n' + lines[-1],
                      good.replace(b'"user_id":"exact"', b'"user_id":5'), good.replace(b'"role":"user"', b'"role":"x"'),
                      good.replace(b'"content": "end"', b'"content": "\xff"')):
            with self.subTest(wrong=wrong[:60]):
                problem = self.assert_problem(self.load(wrong), 400, "invalid_request")
                self.assertTrue(problem["errors"])
        listed = self.client.get("/v1/sessions", query={"user_id": "exact"}).json()["items"]
        self.assertEqual(1, len(listed), "of an import that is refused nothing stays")

    def test_all_or_nothing_also_when_a_name_is_taken(self):
        first, second = self.lived("named"), self.lived("named", external_id="taken name")
        both = b"".join([line for path in (first, second) for line in self.exported(path).body.splitlines(keepends=True)
                         if b'"type":"end"' not in line]) + b'{"type":"end","sessions":2}\n'
        reply = self.load(both)
        self.assertEqual((409, "conflict"), (reply.status, reply.code), reply)
        eventually(lambda: len(self.client.get("/v1/sessions", query={"user_id": "named"}).json()["items"]) == 2, 5,
                   "only the two that were there")


class Erasing(DataTest):
    def test_a_user_in_one_call(self):
        mine = [self.lived("leaver") for _ in range(2)]
        others = self.new_path(user_id="stayer")
        self.client.put(others + "/participants/leaver", {"role": "writer"})
        fork_of_mine = self.client.post(mine[0] + "/fork", {"at_offset": 0}).json()
        self.client.delete("/v1/sessions/" + fork_of_mine["id"])
        reply = self.assert_status(200, self.client.delete("/v1/users/leaver"))
        gone = reply.json()
        self.assertGreaterEqual(gone["sessions"], 2)
        self.assertGreaterEqual(gone["events"], 26)
        for path in mine:
            self.assert_problem(self.client.get(path), 404, "not_found")
        self.assertEqual([], self.client.get("/v1/sessions", query={"user_id": "leaver"}).json()["items"])
        self.assertEqual([], self.client.get(others + "/participants").json()["items"])
        left = "\n".join(str(self.service.psql(f"SELECT * FROM {table} t WHERE t::text LIKE '%leaver%'"))
                         for table in ("sessions", "participants", "audit_log", "events"))
        self.assertNotIn("leaver", left)
        self.assertEqual(0, self.assert_status(200, self.client.delete("/v1/users/leaver")).json()["sessions"])

    def test_the_audit_log_does_not_name_them(self):
        self.lived("unnamed")
        self.client.delete("/v1/users/unnamed")
        reply = self.client.get("/v1/audit", query={"action": "user.erase"})
        self.assertTrue(reply.json()["items"])
        self.assertNotIn("unnamed", reply.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
