"""Database sessions over HTTP: SQL as a client sends it, and what it is told."""

import contextlib
import json
import re
import subprocess
import time
import unittest

from support.cases import HttpTest, at_once, start_module_service
from support.client import RawConnection, raw_request
from support.service import eventually
from support.tenants import Operator

PATH = "/v1/database-sessions"


def setUpModule():
    HttpTest.service = start_module_service()


class DatabaseSessionTest(HttpTest):
    """Each test has a tenant of its own."""

    def setUp(self):
        self.operator = Operator(self.service)
        self.addCleanup(self.operator.client.close)
        self.tenant, self.key = self.operator.new_tenant_key()
        super().setUp()

    def open(self, client=None, **fields):
        reply = (client or self.client).post(PATH, fields or None)
        return PATH + "/" + self.assert_status(201, reply).json()["id"]

    def execute(self, path, sql, *params, client=None, **more):
        body = {"sql": sql, **more}
        if params:
            body["params"] = list(params)
        return (client or self.client).post(path + "/execute", body)

    def rows(self, path, sql, *params, **more):
        return self.assert_status(200, self.execute(path, sql, *params, **more)).json()["rows"]

    def test_what_a_statement_gives_is_told_with_its_types(self):
        path = self.open()
        reply = self.assert_status(200, self.execute(
            path, "SELECT 1 AS one, 9007199254740993::bigint AS big, 1.50::numeric AS n, 'NaN'::float8 AS nan, true AS yes,"
            " null AS nothing, '{\"a\": [1.0]}'::jsonb AS doc, 'x' || $1 AS text, $2::text AS doc_text", "y", {"b": 1})).json()
        self.assertEqual([[1, 9007199254740993, 1.5, "NaN", True, None, {"a": [1.0]}, "xy", '{"b": 1}']], reply["rows"])
        self.assertEqual(["integer", "bigint", "numeric", "double precision", "boolean", "text", "jsonb", "text", "text"],
                         [each["type"] for each in reply["columns"]])
        self.assertEqual((1, False, None, "idle", {"is_pinned": False, "reason": None}, []),
                         (reply["row_count"], reply["truncated"], reply["cursor"], reply["transaction_status"],
                          reply["pinned"], reply["notices"]))

    def test_the_session_that_it_serves_is_in_the_audit_log(self):
        served = self.assert_status(201, self.client.post("/v1/sessions", {"user_id": "u"})).json()["id"]
        self.open(session_id=served)
        self.assert_problem(self.client.post(PATH, {"session_id": "00000000-0000-4000-8000-000000000000"}), 404, "not_found")
        deadline = time.monotonic() + 10
        found = []
        while not found and time.monotonic() < deadline:
            entries = self.client.get("/v1/audit", query={"action": "database_session.open"}).json()["items"]
            found = [each for each in entries if each["target"] == served]
        self.assertEqual(["session"], [each["target_kind"] for each in found])

    def test_state_lasts_from_call_to_call(self):
        path = self.open(access="read_write")
        self.rows(path, "SET TIME ZONE 'Asia/Tokyo'")
        self.rows(path, "PREPARE twice (int) AS SELECT $1 * 2")
        self.rows(path, "CREATE TEMP TABLE kept (a int)")
        self.rows(path, "BEGIN")
        self.rows(path, "INSERT INTO kept VALUES (1)")
        self.rows(path, "COMMIT")
        self.assertEqual([["Asia/Tokyo"]], self.rows(path, "SHOW timezone"))
        self.assertEqual([[42]], self.rows(path, "EXECUTE twice(21)"))
        self.assertEqual([[1]], self.rows(path, "SELECT a FROM kept"))
        self.assert_status(204, self.client.delete(path))
        self.assert_problem(self.execute(path, "SELECT 1"), 404, "not_found")

    def test_what_the_server_refuses_is_a_problem_with_its_sqlstate(self):
        path = self.open(access="read_write")
        problem = self.assert_problem(self.execute(path, "SELEKT 1"), 400, "invalid_request")
        self.assertEqual(("42601", 1), (problem["sqlstate"], problem["position"]))
        self.rows(path, "CREATE TABLE t (a int UNIQUE)")
        self.rows(path, "INSERT INTO t VALUES (1)")
        problem = self.assert_problem(self.execute(path, "INSERT INTO t VALUES (1)"), 409, "conflict")
        self.assertEqual("23505", problem["sqlstate"])
        self.assert_problem(self.execute(path, "SELECT pg_sleep(30)", timeout_s=1), 504, "deadline_exceeded")
        self.rows(path, "BEGIN")
        problem = self.assert_problem(self.execute(path, "SELECT 1 / 0"), 400, "invalid_request")
        self.assertEqual("failed", problem["transaction_status"])
        reading = self.open()
        self.assert_problem(self.execute(reading, "INSERT INTO t VALUES (2)"), 403, "forbidden")
        self.assertEqual([[1]], self.rows(reading, "SELECT * FROM t"))

    def test_a_session_that_is_lost_says_why(self):
        path = self.open()
        lost = self.assert_problem(self.execute(path, "SET client_encoding = 'LATIN1'"), 410, "session_expired")
        later = self.assert_problem(self.execute(path, "SELECT 1"), 410, "session_expired")
        for each in (lost, later):
            self.assertIn("client_encoding must stay UTF8", each["detail"])

    def test_rows_past_the_bounds_come_by_the_cursor(self):
        path = self.open()
        reply = self.assert_status(200, self.execute(path, "SELECT n FROM generate_series(1, 25) AS n", max_rows=10)).json()
        seen = reply["rows"]
        while reply["truncated"]:
            reply = self.assert_status(200, self.client.post(path + "/execute",
                                                             {"cursor": reply["cursor"], "max_rows": 10})).json()
            seen += reply["rows"]
        self.assertEqual([[n] for n in range(1, 26)], seen)
        self.assertEqual("idle", reply["transaction_status"])

    def test_it_is_nobody_elses(self):
        path = self.open()
        _, other = self.operator.new_tenant_key()
        stranger = self.new_client(key=other)
        said = self.assert_problem(self.execute(path, "SELECT 1", client=stranger), 404, "not_found")["detail"]
        never = self.assert_problem(self.execute(PATH + "/" + "0" * 32, "SELECT 1"), 404, "not_found")["detail"]
        self.assertEqual(said, never)
        self.assert_problem(stranger.delete(path), 404, "not_found")
        self.assert_problem(stranger.get(path + "/notifications"), 404, "not_found")

    def test_opened_again_by_its_key_it_is_the_same_session(self):
        keyed = lambda body, key="1", client=None: (client or self.client).post(PATH, body,
                                                                                headers={"Idempotency-Key": key})
        body = {"access": "read_write", "idle_timeout_s": 600}
        both = at_once([lambda: keyed(body, client=self.new_client()) for _ in range(2)])
        first = self.assert_status(201, both[0]).json()
        self.assertEqual([first["id"]] * 2, [self.assert_status(201, each).json()["id"] for each in both])
        again = self.assert_status(201, keyed(body)).json()
        self.assertEqual((first["id"], "read_write"), (again["id"], again["access"]))
        self.assert_problem(keyed({"access": "read_only"}), 422, "idempotency_mismatch")
        others = self.new_client(self.operator.new_key(self.tenant)[0])
        for other in (keyed(body, key="2"), keyed(body, client=others)):
            self.assertNotEqual(first["id"], self.assert_status(201, other).json()["id"])
        self.assert_status(204, self.client.delete(PATH + "/" + first["id"]))
        self.assertNotEqual(first["id"], self.assert_status(201, keyed(body)).json()["id"])

    def test_a_tenant_sees_its_own_conversations(self):
        made = self.new_session(title="Mine")
        self.append("/v1/sessions/" + made["id"])
        path = self.open(session_id=made["id"])
        self.assertEqual([[made["id"], "Mine"]], self.rows(path, "SELECT id, title FROM sessions"))
        self.assertEqual([[0, "message"]], self.rows(path, "SELECT \"offset\", kind FROM events WHERE session_id = $1::uuid",
                                                     made["id"]))
        self.assert_problem(self.client.post(PATH, {"session_id": "01890a5d-ac96-774b-bcce-b302099a8057"}), 404, "not_found")

    def test_what_a_session_sends_that_only_reads_is_not_delivered(self):
        listening, reading, writing = self.open(), self.open(), self.open(access="read_write")
        self.rows(listening, "LISTEN news")
        self.assert_problem(self.execute(reading, "NOTIFY news, 'x'"), 403, "forbidden")
        self.rows(reading, "SELECT pg_notify('news', 'of one that reads')")
        self.rows(writing, "SELECT pg_notify('news', 'of one that writes')")
        got = self.client.get(listening + "/notifications", query={"wait_s": 20}).json()
        self.assertEqual(["of one that writes"], [each["payload"] for each in got["notifications"]])

    def test_notifications_are_waited_for(self):
        listening, sending = self.open(), self.open(access="read_write")
        self.rows(listening, "LISTEN news")
        got, _ = at_once([lambda: self.new_client().get(listening + "/notifications", query={"wait_s": 20}),
                          lambda: self.execute(sending, "NOTIFY news, 'hello'", client=self.new_client())])
        self.assertEqual([{"channel": "news", "payload": "hello"}], got.json()["notifications"])
        self.assertEqual([], self.client.get(listening + "/notifications").json()["notifications"])

    def test_a_session_whose_opener_has_gone_is_closed(self):
        before = self.counted()
        leaving = [RawConnection(self.service) for _ in range(8)]
        with self.no_roles_made():  # so that none is answered before its client leaves
            for each in leaving:
                each.send(raw_request("POST", PATH, [("Authorization", "Bearer " + self.key)]))
                each.close()
        since = lambda event: self.counted()[event] - before[event]
        eventually(lambda: since("opened") == len(leaving), 20, "all that were asked for")
        eventually(lambda: since("closed") == len(leaving), 20, "the end of all of them")

    def counted(self):
        """What has become of database sessions since the start, by event."""
        text = self.operator.client.get("/metrics").body.decode()
        return {event: int(count) for event, count in re.findall(
            r'^colloquy_database_sessions_total\{event="(\w+)"\} (\d+)$', text, re.MULTILINE)}

    @contextlib.contextmanager
    def no_roles_made(self):
        psql = subprocess.Popen(["psql", "-h", str(self.service.data_dir / "postgres/socket"), "-U", "postgres", "-d",
                                 "colloquy", "-X", "-q", "-A", "-t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with psql:
            psql.stdin.write(b"BEGIN; LOCK TABLE pg_authid IN SHARE MODE; SELECT 'locked';\n")
            psql.stdin.flush()
            self.assertEqual(b"locked\n", psql.stdout.readline())
            yield

    def test_a_statement_whose_client_leaves_is_cancelled(self):
        path = self.open()
        body = json.dumps({"sql": "SELECT pg_sleep(600)", "timeout_s": 300}).encode()
        with RawConnection(self.service) as leaving:
            leaving.send(raw_request("POST", path + "/execute", [("Authorization", "Bearer " + self.key),
                                                                 ("Content-Type", "application/json")], body))
            # Once it runs, the others wait for the session until their own time is over.
            late = eventually(lambda: next(filter(lambda each: each.status != 200,
                                                  [self.execute(path, "SELECT 1", timeout_s=1)]), None))
            self.assert_problem(late, 504, "deadline_exceeded")
        self.assertEqual([[2]], self.rows(path, "SELECT 2", timeout_s=60))

    def test_a_wrong_request_is_told_what_is_wrong(self):
        path = self.open()
        for body in ({}, {"sql": "SELECT 1", "cursor": "x"}, {"sql": "SELECT 1", "params": {}}, {"sql": ""},
                     {"sql": "SELECT 1", "max_rows": 0}, {"sql": "SELECT 1", "timeout_s": 301}, {"cursor": "x"}):
            self.assert_problem(self.client.post(path + "/execute", body), 400, "invalid_request")
        self.assert_problem(self.client.post(PATH, {"access": "all"}), 400, "invalid_request")
        self.assert_problem(self.client.post(PATH, {"idle_timeout_s": 0}), 400, "invalid_request")
        self.assert_problem(self.client.get(path + "/notifications", query={"wait_s": 61}), 400, "invalid_request")


if __name__ == "__main__":
    unittest.main()
