"""Every error code that HTTP can reach, and what a wrong request is told."""

import contextlib
import json
import subprocess
import time
import unittest

from support.cases import UNKNOWN_ID, HttpTest, start_module_service, user
from support.client import Client, RawConnection, raw_request
from support.service import Service, eventually
from support.tenants import Operator

guarded = None  # a service whose callers need keys


def setUpModule():
    global guarded
    HttpTest.service = start_module_service(settings={"request_timeout": "2s", "turns_queued_max": "1"})
    guarded = start_module_service()


def start_second(database):
    """Another process on the same database."""
    return Service(arguments=["--database", database]).start()


class Codes(HttpTest):
    """Where each row of the table is tested in depth: sessions, log, turns, repeats, tenants, service."""

    def test_unauthenticated(self):
        operator = Operator(guarded)
        _, key = operator.new_tenant_key()
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic " + key},
                        {"Authorization": "Bearer"}, {"Authorization": "Bearer " + key[:-1]},
                        {"Authorization": "Bearer " + key + "x"}, {"Authorization": key},
                        {"Authorization": "Bearer cqa_nonsense"}, {"Authorization": "Bearer a.b.c"}):
            reply = operator.client.call("GET", "/v1/sessions", headers=headers, key=None)
            self.assert_problem(reply, 401, "unauthenticated")
            self.assertIn("Bearer", reply.headers["WWW-Authenticate"])
        self.assertEqual(200, operator.client.call("GET", "/v1/sessions", key=key).status)
        self.assertEqual(200, operator.client.call("GET", "/v1/sessions", key=None,
                                                   headers={"Authorization": "bearer " + key}).status)

    def test_forbidden(self):
        operator = Operator(guarded)
        tenant = operator.new_tenant()
        reader, _ = operator.new_key(tenant, ["read"])
        self.assert_problem(operator.client.post("/v1/sessions", {"user_id": "a"}, key=reader), 403, "forbidden")
        self.assert_problem(operator.client.get("/v1/pool", key=reader), 403, "forbidden")
        self.assert_problem(operator.client.get("/v1/sessions"), 403, "forbidden")

    def test_not_found(self):
        self.assert_problem(self.client.get("/v1/sessions/" + UNKNOWN_ID), 404, "not_found")
        for path in ("/", "/v1", "/v1/", "/v1/session", "/v1/sessions/", "//v1/sessions", "/v1/sessions//messages",
                     "/v1/../v1/sessions", "/V1/sessions", "/healthz/", "/v1/sessions/%2e%2e", "/v1/sessions%2f"):
            reply = self.client.get(path)
            self.assertIn((reply.status, reply.code), ((404, "not_found"), (400, "invalid_request")), path)

    def test_method_not_allowed(self):
        for method, path in (("DELETE", "/v1/sessions"), ("POST", "/healthz"), ("PUT", "/v1/sessions/" + UNKNOWN_ID),
                             ("GET", f"/v1/sessions/{UNKNOWN_ID}/fork"), ("BREW", "/v1/sessions")):
            reply = self.client.call(method, path)
            self.assert_problem(reply, 405, "method_not_allowed")
            self.assertNotIn(method, reply.headers["Allow"].split(", "))
            self.assertIn("OPTIONS", reply.headers["Allow"].split(", "))

    def test_conflicts(self):
        self.new_session(external_id="one")
        reply = self.client.post("/v1/sessions", {"user_id": "a", "external_id": "one"})
        self.assert_problem(reply, 409, "conflict")
        path = self.new_path()
        turn = self.start_turn(path)["turn"]
        self.assert_problem(self.client.post(path + "/turns", {"policy": "reject"}), 409, "turn_in_progress")
        self.client.post(f"{path}/turns/{turn['id']}/cancel")
        self.assert_problem(self.client.post(f"{path}/turns/{turn['id']}/complete"), 409, "turn_lost")
        self.client.patch(path, {"status": "paused"})
        self.assert_problem(self.client.post(path + "/messages", user()), 409, "session_not_active")

    def test_expired_stale_too_large_mismatched(self):
        path = self.new_path(expires_in_s=1)
        self.assert_problem(self.client.patch(path, {}, headers={"If-Match": "7"}), 412, "precondition_failed")
        self.assert_problem(self.client.post(path + "/messages", user("x" * (4 << 20))), 413, "payload_too_large")
        self.client.post(path + "/messages", user("a"), headers={"Idempotency-Key": "k"})
        reply = self.client.post(path + "/messages", user("b"), headers={"Idempotency-Key": "k"})
        self.assert_problem(reply, 422, "idempotency_mismatch")
        eventually(lambda: self.client.get(path).status == 410, 10, "the end of the session")
        self.assert_problem(self.client.get(path), 410, "session_expired")

    def test_quota_exceeded(self):
        operator = Operator(guarded)
        _, key = operator.new_tenant_key({"sessions_max": 1})
        self.assertEqual(201, operator.client.post("/v1/sessions", {"user_id": "a"}, key=key).status)
        self.assert_problem(operator.client.post("/v1/sessions", {"user_id": "a"}, key=key), 429, "quota_exceeded")

    def test_deadline_exceeded_carries_the_offsets_that_stay(self):
        path = self.new_path()
        self.append(path)
        with self.locked("events"):
            held = self.client.post(path + "/messages", {"messages": [user("a"), user("b")]},
                                    query={"durability": "durable"})
            problem = self.assert_problem(held, 504, "deadline_exceeded")
            self.assertEqual([1, 2], problem["offsets"])
        self.append(path, user("c"))
        self.assertEqual(["Hello.", "a", "b", "c"], self.contents(path))

    @contextlib.contextmanager
    def locked(self, table):
        """Nobody else gets at the table meanwhile."""
        command = ["psql", "-h", str(self.service.data_dir / "postgres/socket"), "-U", "postgres", "-d", "colloquy",
                   "-X", "-q"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as holder:
            holder.stdin.write(f"BEGIN; LOCK TABLE {table};\n")
            holder.stdin.flush()
            eventually(lambda: self.service.psql("SELECT 1 FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' "
                                                 f"AND relation = '{table}'::regclass"), what="the lock")
            yield
            holder.stdin.close()

    def test_overloaded(self):
        path = self.new_path()
        self.start_turn(path)
        with RawConnection(self.service) as waiting:
            waiting.send(raw_request("POST", path + "/turns"))
            eventually(lambda: any(each["status"] == "queued" for each in self.turns(path).values()), what="who waits")
            self.assert_problem(self.client.post(path + "/turns"), 503, "overloaded")

    def test_not_owner(self):
        path = self.new_path()
        socket = self.service.data_dir / "postgres/socket"
        second = start_second(f"postgresql:///colloquy?host={socket}&user=colloquy")
        self.addCleanup(second.close)
        client = Client(second)
        self.addCleanup(client.close)
        self.assert_problem(client.post(path + "/messages", user()), 503, "not_owner")
        ready = self.assert_status(503, client.get("/readyz")).json()
        self.assertIn("another process", ready["reason"])
        self.append(path)

    def test_internal_shows_nothing_of_the_inside(self):
        tenant, key = Operator(guarded).new_tenant_key()
        client = Client(guarded, key)
        self.addCleanup(client.close)
        guarded.psql("ALTER TABLE audit_log RENAME TO audit_log_away")
        try:
            problem = self.assert_problem(client.get("/v1/audit"), 500, "internal")
        finally:
            guarded.psql("ALTER TABLE audit_log_away RENAME TO audit_log")
        self.assertNotIn("audit", problem["detail"])
        self.assertNotIn("relation", problem["detail"])
        guarded.wait_for_log(problem["request_id"])
        self.assert_status(200, client.get("/v1/audit"))
        self.assertTrue(tenant)


class Mistakes(HttpTest):
    def wrong(self, body, path="/v1/sessions", **more):
        return self.assert_problem(self.client.post(path, body, **more), 400, "invalid_request")

    def test_all_of_them_with_their_pointers(self):
        problem = self.wrong({"agent_id": 5, "external_id": "", "title": "t" * 1001, "metadata": [],
                              "expires_in_s": 0, "nickname": "x", "a/b~c": 1})
        self.assertEqual(sorted(["/user_id", "/agent_id", "/external_id", "/title", "/metadata", "/expires_in_s",
                                 "/nickname", "/a~1b~0c"]), self.pointers(problem))
        path = self.new_path()
        problem = self.wrong({"messages": [{"role": "x", "content": ""}, user(), {"role": "user"}]}, path + "/messages")
        self.assertEqual(["/messages/0/role", "/messages/2/content"], self.pointers(problem))

    def test_in_query_and_path_and_header_together(self):
        path = "/v1/sessions/none"
        reply = self.client.patch(path + "?colour=red", {"titel": "x"}, headers={"If-Match": "none"})
        problem = self.assert_problem(reply, 400, "invalid_request")
        where = {key for each in problem["errors"] for key in each if key != "detail"}
        self.assertEqual({"pointer", "parameter", "header"}, where)
        self.assertEqual(4, len(problem["errors"]))

    def test_an_unknown_field_is_told_what_it_may_have_meant(self):
        for wrong, meant in (("user_ld", "user_id"), ("titel", "title"), ("expire_in_s", "expires_in_s"),
                             ("meta_data", "metadata")):
            problem = self.wrong({"user_id": "ada", wrong: "x"})
            self.assertIn(f'did you mean "{meant}"', problem["errors"][0]["detail"])
        problem = self.wrong({"user_id": "ada", "zzzzzzzzzzzz": 1})
        self.assertIn("user_id", problem["errors"][0]["detail"])
        reply = self.client.get("/v1/sessions", query={"limt": 5})
        self.assertIn('did you mean "limit"', self.assert_problem(reply, 400, "invalid_request")["errors"][0]["detail"])

    def test_what_is_no_json_object(self):
        for body in (b"", b"{", b"[]", b"5", b'"x"', b"null", b"{'user_id':'x'}", b'{"user_id":"x",}', b"\xef\xbb\xbf{}",
                     b'{"user_id":"x"} {}', b'{"user_id":NaN}', b'{"user_id":"x" /* a comment */}', b"\x00",
                     b'{"user_id":"x"}\x00', b'{"user_id":"a\nb"}', b'{"user_id":"x","expires_in_s":01}'):
            with self.subTest(body=body):
                self.wrong(body)

    def test_strings_that_postgresql_cannot_hold(self):
        path = self.new_path()
        for text in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800", b"\\udc00",
                     b"\\ud800\\u0041", b"\\udc00\\ud800", b"\\u0000", b"\x00", b"\\x", b"\\u12"):
            with self.subTest(text=text):
                self.wrong(b'{"user_id":"' + text + b'"}')
                self.wrong(b'{"user_id":"ada","metadata":{"a":["' + text + b'"]}}')
                self.wrong(b'{"user_id":"ada","metadata":{"' + text + b'":1}}')
                self.wrong(b'{"role":"user","content":"' + text + b'"}', path + "/messages")
                self.wrong(b'{"kind":"custom","data":{"a":"' + text + b'"}}', path + "/events")
        for query in ("user_id=%ff", "user_id=%00", "user_id=%c3", "%ff=1", "user_id=%ed%a0%80", "user_id=%"):
            reply = self.client.get("/v1/sessions?" + query)
            self.assert_problem(reply, 400, "invalid_request")
        for part in ("%00", "%ff", "a%00b"):
            reply = self.client.put("/v1/sessions/by-external-id/" + part, {"user_id": "ada"})
            self.assertEqual(400, reply.status, reply)

    def test_duplicate_keys(self):
        path = self.new_path()
        self.wrong(b'{"user_id":"a","user_id":"a"}')
        self.wrong(b'{"user_id":"a","metadata":{"x":{"y":1,"\\u0079":2}}}')
        self.wrong(b'{"role":"user","content":[{"type":"text","type":"text"}]}', path + "/messages")
        self.wrong(b'{"kind":"custom","data":{"a":1,"a":1}}', path + "/events")

    def test_numbers_out_of_range(self):
        for number in ("1e400", "9223372036854775808", "-1", "1.0", "1e1", "99999999999999999999999999", "-0"):
            with self.subTest(number=number):
                self.wrong(b'{"user_id":"a","expires_in_s":' + number.encode() + b"}")

    def test_nesting(self):
        def nested(depth, opening=b"[", closing=b"]"):
            return opening * depth + closing * depth
        path = self.new_path()
        for depth, is_good in ((62, True), (64, False), (65, False), (100, False)):
            metadata = b'{"user_id":"a","metadata":{"m":' + nested(depth) + b"}}"
            self.assertEqual(201 if is_good else 400, self.client.post("/v1/sessions", metadata).status, depth)
            message = b'{"role":"user","content":"x","metadata":{"m":' + nested(depth) + b"}}"
            self.assertEqual(202 if is_good else 400, self.client.post(path + "/messages", message).status, depth)

    def test_depth_bombs_are_refused_at_once(self):
        path = self.new_path()
        for bomb in (b"[" * 1_000_000, b'{"a":' * 1_000_000, b'{"user_id":' + b"[" * 5_000_000,
                     b'{"role":"user","content":' + b'[{"type":' * 500_000):
            for target in ("/v1/sessions", path + "/messages", path + "/events"):
                began = time.monotonic()
                reply = self.client.post(target, bomb)
                self.assertIn(reply.status, (400, 413), reply)
                self.assertLess(time.monotonic() - began, 2)

    def test_very_many_mistakes_are_counted_and_not_all_told(self):
        problem = self.wrong({f"field{i}": i for i in range(20_000)})
        self.assertLess(len(problem["errors"]), 1000)
        self.assertIn("more", problem["detail"])

    def test_a_body_has_a_content_type(self):
        body = json.dumps({"user_id": "ada"}).encode()
        for good in ("application/json", "application/json; charset=utf-8"):
            self.assert_status(201, self.client.post("/v1/sessions", body, headers={"Content-Type": good}))
        for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/xml", ""):
            problem = self.wrong(body, headers={"Content-Type": wrong})
            self.assertEqual("Content-Type", problem["errors"][0]["header"])

    def test_a_call_that_takes_no_body(self):
        reply = self.client.call("DELETE", self.new_path(), {"a": 1})
        self.assert_problem(reply, 400, "invalid_request")

    def test_nothing_inside_is_told(self):
        for reply in (self.client.get("/v1/sessions/" + UNKNOWN_ID), self.client.post("/v1/sessions", b"{"),
                      self.client.get("/nothing")):
            for word in ("postgres", "SELECT", "colloquy::", ".cpp", "boost"):
                self.assertNotIn(word, reply.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
