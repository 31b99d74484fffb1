"""How HTTP itself is spoken: connections, bodies, methods, headers, encodings, origins, the access log."""

import gzip
import json
import unittest

from support.cases import HttpTest, start_module_service, user
from support.client import Client, RawConnection, raw_request
from support.service import eventually

ORIGIN = "https://app.example.org"
shared = None  # a service with pages of other origins


def setUpModule():
    global shared
    HttpTest.service = start_module_service(settings={"access_log": "true"})
    shared = start_module_service(settings={"cors_origins": ORIGIN + ",https://two.example.org"})


JSON = [("Content-Type", "application/json")]


class RawTest(HttpTest):
    def raw(self, service=None):
        connection = RawConnection(service or self.service, timeout=15)
        self.addCleanup(connection.close)
        return connection

    def ask(self, data, **more):
        """One request as bytes, one reply."""
        connection = self.raw()
        connection.send(data)
        return connection.reply(**more)


class Connections(RawTest):
    def test_a_connection_is_kept(self):
        connection = self.raw()
        for _ in range(20):
            connection.send(raw_request("GET", "/healthz"))
            self.assertEqual((200, {"status": "ok"}), ((reply := connection.reply()).status, reply.json()))
            self.assertNotEqual("close", reply.headers["Connection"])

    def test_also_after_errors(self):
        connection = self.raw()
        for request, status in ((raw_request("GET", "/none"), 404), (raw_request("DELETE", "/healthz"), 405),
                                (raw_request("POST", "/v1/sessions", JSON, b"{"), 400),
                                (raw_request("POST", "/none", JSON, b"x" * 60_000), 404),
                                (raw_request("GET", "/healthz"), 200)):
            connection.send(request)
            self.assertEqual(status, connection.reply().status)

    def test_closed_when_asked(self):
        connection = self.raw()
        connection.send(raw_request("GET", "/healthz", [("Connection", "close")]))
        self.assertEqual("close", connection.reply().headers["Connection"])
        self.assertTrue(connection.ends())

    def test_pipelined_requests_are_answered_in_order(self):
        path = self.new_path()
        connection = self.raw()
        connection.send(b"".join(raw_request("POST", path + "/messages", JSON, json.dumps(user(str(i))).encode())
                                 for i in range(50)) + raw_request("GET", path + "/messages"))
        self.assertEqual([[i] for i in range(50)], [connection.reply().json()["offsets"] for _ in range(50)])
        self.assertEqual([str(i) for i in range(50)], [each["content"] for each in connection.reply().json()["items"]])

    def test_http_1_0(self):
        connection = self.raw()
        connection.send(raw_request("GET", "/healthz", version="1.0", host=None))
        status, headers, line = connection.head()
        self.assertEqual((200, "HTTP/1.0 200 OK"), (status, line))
        self.assertIsNone(headers["Transfer-Encoding"])
        self.assertEqual(b'{"status":"ok"}', connection.exactly(int(headers["Content-Length"])))
        self.assertTrue(connection.ends())
        kept = self.raw()
        for _ in range(2):
            kept.send(raw_request("GET", "/healthz", [("Connection", "keep-alive")], version="1.0"))
            self.assertEqual("keep-alive", kept.reply().headers["Connection"])

    def test_a_stream_to_http_1_0_ends_with_the_connection(self):
        path = self.new_path()
        self.append(path)
        connection = self.raw()
        connection.send(raw_request("GET", path + "/export", version="1.0"))
        _, headers, _ = connection.head()
        self.assertIsNone(headers["Transfer-Encoding"])
        self.assertTrue(connection.ends())
        lines = connection.received.decode().splitlines()
        self.assertEqual(["session", "event", "end"], [json.loads(each)["type"] for each in lines])

    def test_sent_byte_by_byte(self):
        connection = self.raw()
        for byte in raw_request("POST", "/v1/sessions", JSON, b'{"user_id":"slow"}'):
            connection.send(bytes([byte]))
        self.assertEqual(201, connection.reply().status)


class Bodies(RawTest):
    def chunked(self, *chunks, end=b"0\r\n\r\n", headers=()):
        head = raw_request("POST", "/v1/sessions", JSON + [("Transfer-Encoding", "chunked"), *headers])
        return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + end

    def test_chunked(self):
        connection = self.raw()
        for data in (self.chunked(b'{"user_id":', b'"ada"}'), self.chunked(*[bytes([b]) for b in b'{"user_id":"ada"}']),
                     self.chunked(b'{"user_id":"ada"}', end=b"0\r\nTrailer: x\r\n\r\n"),
                     self.chunked().replace(b"0\r\n\r\n", b'11;ext=1\r\n{"user_id":"ada"}\r\n0\r\n\r\n')):
            connection.send(data)
            self.assertEqual(201, connection.reply().status, data)

    def test_chunks_that_are_none(self):
        for tail in (b"zz\r\n", b"-1\r\n", b"fffffffffffffffff\r\n", b"5\r\n{}{}{}{}\r\n"):
            reply = self.ask(raw_request("POST", "/v1/sessions", JSON + [("Transfer-Encoding", "chunked")]) + tail)
            self.assertIn(reply.status, (400, 413), tail)

    def test_a_length_and_chunks_at_once_are_refused(self):
        for headers in ([("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
                        [("Content-Length", "5"), ("Content-Length", "6")], [("Content-Length", "-1")],
                        [("Content-Length", "+5")], [("Content-Length", "5x")],
                        [("Transfer-Encoding", "gzip")], [("Transfer-Encoding", "chunked, identity")]):
            with self.subTest(headers=headers):
                connection = self.raw()
                connection.send(raw_request("POST", "/v1/sessions", JSON + headers) + b"0\r\n\r\n")
                connection.socket.settimeout(5)
                reply = connection.reply()
                self.assertTrue(reply is None or reply.status in (400, 501), reply)
                self.assertTrue(connection.ends(5))

    def test_expect_100_continue(self):
        connection = self.raw()
        body = b'{"user_id":"patient"}'
        connection.send(raw_request("POST", "/v1/sessions", JSON + [("Expect", "100-continue"),
                                                                    ("Content-Length", str(len(body)))]))
        self.assertEqual(100, connection.head()[0])
        connection.send(body)
        self.assertEqual(201, connection.reply().status)
        refused = self.raw()
        refused.send(raw_request("POST", "/none", JSON + [("Expect", "100-continue"), ("Content-Length", "5000000")]))
        self.assertEqual(404, refused.head()[0])

    def test_large_replies_are_compressed_for_who_takes_it(self):
        path = self.new_path()
        self.append(path, user("words " * 5000))
        plain = self.client.get(path + "/messages")
        self.assertIsNone(plain.headers["Content-Encoding"])
        for accepted in ("gzip", "br, gzip;q=0.5", "*"):
            packed = self.client.get(path + "/messages", headers={"Accept-Encoding": accepted}, checks=False)
            self.assertEqual(("gzip", "Accept-Encoding"), (packed.headers["Content-Encoding"], packed.headers["Vary"]))
            self.assertEqual(plain.body, gzip.decompress(packed.body))
            self.assertLess(len(packed.body), len(plain.body) / 10)
        for not_taken in ("identity", "gzip;q=0", "br"):
            reply = self.client.get(path + "/messages", headers={"Accept-Encoding": not_taken})
            self.assertIsNone(reply.headers["Content-Encoding"], not_taken)
        small = self.client.get("/healthz", headers={"Accept-Encoding": "gzip"})
        self.assertIsNone(small.headers["Content-Encoding"])


class Methods(RawTest):
    def test_head_is_get_without_its_body(self):
        path = self.new_path()
        connection = self.raw()
        for target in ("/healthz", path, path + "/messages", "/v1/sessions/none", "/openapi.json"):
            connection.send(raw_request("GET", target))
            whole = connection.reply()
            connection.send(raw_request("HEAD", target))
            status, headers, _ = connection.head()
            self.assertEqual(whole.status, status)
            for name in ("Content-Type", "Content-Length", "ETag"):
                if target.endswith("none") and name == "Content-Length":
                    continue  # it names the request
                self.assertEqual(whole.headers[name], headers[name], target)
        connection.send(raw_request("GET", "/healthz"))
        self.assertEqual(200, connection.reply().status)

    def test_options_tells_what_is_allowed(self):
        for path, allowed in (("/v1/sessions", {"GET", "HEAD", "POST", "OPTIONS"}),
                              (self.new_path(), {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"})):
            reply = self.assert_status(204, self.client.call("OPTIONS", path))
            self.assertEqual(allowed, set(reply.headers["Allow"].split(", ")))
        self.assert_problem(self.client.call("OPTIONS", "/nothing"), 404, "not_found")


class Malformed(RawTest):
    def test_what_is_no_request(self):
        for data in (b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
                     b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost localhost\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHo st: x\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n"):
            with self.subTest(data=data):
                connection = self.raw()
                connection.send(data)
                reply = connection.reply()
                self.assertTrue(reply is not None and reply.status in (400, 413), reply)
                self.assertTrue(connection.ends(5))

    def test_absolute_targets_are_paths(self):
        self.assertEqual(200, self.ask(raw_request("GET", "http://localhost/healthz")).status)
        self.assertEqual(200, self.ask(raw_request("GET", "/healthz?")).status)

    def test_a_client_that_breaks_off_harms_nobody(self):
        for data in (b"", b"GET /heal", b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"):
            connection = self.raw()
            connection.send(data)
            connection.close()
        self.assert_status(200, self.client.get("/healthz"))


class Tracing(RawTest):
    def test_a_request_id_is_given_or_taken(self):
        first = self.client.get("/healthz").headers["X-Request-Id"]
        self.assertRegex(first, "^[0-9a-f-]{36}$")
        self.assertNotEqual(first, self.client.get("/healthz").headers["X-Request-Id"])
        reply = self.client.get("/v1/sessions/none", headers={"X-Request-Id": "mine-1"})
        self.assertEqual(("mine-1", "mine-1"), (reply.headers["X-Request-Id"], reply.json()["request_id"]))
        for strange in ("a b", "x" * 129, 'a"b', "a\\b", "\u00f8", ""):
            reply = self.client.get("/healthz", headers={"X-Request-Id": strange.encode()})
            self.assertRegex(reply.headers["X-Request-Id"], "^[0-9a-f-]{36}$")

    def test_traceparent_goes_out_and_into_the_log(self):
        trace = "0af7651916cd43dd8448eb211c80319c"
        parent = f"00-{trace}-b7ad6b7169203331-01"
        path = self.new_path()
        reply = self.client.post(path + "/messages", user(), headers={"traceparent": parent},
                                 query={"durability": "durable"})
        self.assertEqual(parent, reply.headers["traceparent"])
        for wrong in ("nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", f"00-{trace.upper()}-b7ad6b7169203331-01"):
            self.client.post(path + "/messages", user(), headers={"traceparent": wrong}, query={"durability": "durable"})
        self.assertEqual([trace, None, None, None], [each["trace_id"] for each in self.events(path)])

    def test_the_access_log(self):
        self.client.get("/v1/sessions/none?secret=1", headers={"X-Request-Id": "logged-1",
                                                               "Authorization": "Bearer cq_secret"})
        line = self.service.wait_for_log("id=logged-1")
        self.assertIn("GET /v1/sessions/none 401 unauthenticated", line)
        self.assertNotIn("secret", line)
        self.client.post("/v1/sessions", {"user_id": "a private name"}, headers={"X-Request-Id": "logged-2"})
        line = self.service.wait_for_log("id=logged-2")
        self.assertRegex(line, r"POST /v1/sessions 201 - \d+B [0-9.]+ms tenant=default id=logged-2")
        self.assertNotIn("private", self.service.log())

    def test_replies_are_not_cached_and_not_guessed_at(self):
        reply = self.client.get("/healthz")
        self.assertEqual(("no-store", "nosniff"), (reply.headers["Cache-Control"],
                                                   reply.headers["X-Content-Type-Options"]))
        self.assertTrue(reply.headers["Date"].endswith("GMT"))


class LocalMode(RawTest):
    """Without keys, a page in somebody's browser must not call."""

    def test_the_host_must_be_this_machine(self):
        for good in ("localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:99", "[::1]:5"):
            self.assertEqual(200, self.ask(raw_request("GET", "/v1/sessions", host=good)).status, good)
        for wrong in ("evil.example.org", "localhost.evil.example.org", "127.0.0.1.evil.example.org", "10.0.0.1", "",
                      "evil.example.org:80", "localhost@evil.example.org"):
            reply = self.ask(raw_request("GET", "/v1/sessions", host=wrong))
            self.assertIn(reply.status, (403, 400), wrong)

    def test_the_host_in_capitals(self):
        self.assertEqual(200, self.ask(raw_request("GET", "/v1/sessions", host="LocalHost")).status)

    def test_pages_of_other_origins_must_not_call(self):
        for origin in ("https://evil.example.org", "null", "http://localhost:3000"):
            reply = self.client.post("/v1/sessions", {"user_id": "x"}, headers={"Origin": origin})
            self.assert_problem(reply, 403, "forbidden")


class Origins(RawTest):
    def test_only_those_that_are_set(self):
        client = Client(shared)
        self.addCleanup(client.close)
        reply = client.get("/v1/sessions", headers={"Origin": ORIGIN})
        self.assertEqual((200, ORIGIN), (reply.status, reply.headers["Access-Control-Allow-Origin"]))
        self.assertIn("Retry-After", reply.headers["Access-Control-Expose-Headers"])
        self.assertIn("Origin", reply.headers["Vary"])
        for other in ("https://evil.example.org", ORIGIN + ".evil", ORIGIN.upper(), "null"):
            reply = client.get("/healthz", headers={"Origin": other})
            self.assertIsNone(reply.headers["Access-Control-Allow-Origin"], other)
            self.assertEqual(403, client.get("/v1/sessions", headers={"Origin": other}).status)
        mistaken = client.post("/v1/sessions", b"{", headers={"Origin": ORIGIN})
        self.assertEqual((400, ORIGIN), (mistaken.status, mistaken.headers["Access-Control-Allow-Origin"]))

    def test_a_browser_asks_first(self):
        client = Client(shared)
        self.addCleanup(client.close)
        asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization, if-match"}
        reply = client.call("OPTIONS", "/v1/sessions/x", headers=asks)
        self.assertEqual((204, ORIGIN), (reply.status, reply.headers["Access-Control-Allow-Origin"]))
        self.assertIn("PATCH", reply.headers["Access-Control-Allow-Methods"])
        for name in ("Authorization", "Idempotency-Key", "If-Match", "Last-Event-ID"):
            self.assertIn(name, reply.headers["Access-Control-Allow-Headers"])
        self.assertIsNone(self.client.call("OPTIONS", "/v1/sessions", headers=asks)
                          .headers["Access-Control-Allow-Origin"])

    def test_no_connection_is_left_behind(self):
        eventually(lambda: self.connections() <= 3, 15, "few open connections")

    def connections(self):
        text = self.client.get("/metrics").text
        return int(float(next(line for line in text.splitlines()
                              if line.startswith("colloquy_http_connections ")).split()[1]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
