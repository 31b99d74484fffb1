"""What the edge does not let a client do: too large, too slow, too long, too many."""

import json
import time
import unittest

from support.cases import HttpTest, start_module_service, user
from support.client import Client, RawConnection, raw_request
from support.events import EventReader
from support.service import eventually

JSON = [("Content-Type", "application/json")]

tight = None  # a service with limits that are soon reached


def setUpModule():
    global tight
    HttpTest.service = start_module_service()
    tight = start_module_service(settings={
        "http_header_bytes_max": "4KiB", "body_bytes_max": "64KiB", "message_bytes_max": "1KiB",
        "metadata_bytes_max": "100B", "http_request_read_timeout": "1s", "http_idle_timeout": "2s",
        "http_write_timeout": "2s", "http_connections_max": "30", "tenant_connections_max": "10", "streams_max": "2",
        "response_compress_bytes_min": "0B"})


class LimitTest(HttpTest):
    def setUp(self):
        super().setUp()
        self.tight = Client(tight)
        self.addCleanup(self.tight.close)

    def raw(self, service=None):
        connection = RawConnection(service or tight, timeout=15)
        self.addCleanup(connection.close)
        return connection

    def tight_path(self):
        return "/v1/sessions/" + self.tight.post("/v1/sessions", {"user_id": "ada"}).json()["id"]


class Sizes(LimitTest):
    def test_a_body_of_16_mib(self):
        path = self.new_path()
        messages = [user("x" * 2_000_000) for _ in range(8)]
        body = json.dumps({"messages": messages}).encode()
        most = 16 * 1024 * 1024
        self.assertLess(len(body), most)
        whole = body + b" " * (most - len(body))
        self.assert_status(202, self.client.post(path + "/messages", whole))
        connection = self.raw(self.service)
        try:
            connection.send(raw_request("POST", path + "/messages", JSON, whole + b" "))
        except OSError:
            pass  # the answer comes before all of it is sent
        self.assert_problem(connection.reply(), 413, "payload_too_large")
        self.assertEqual(8, self.client.get(path).json()["next_offset"])

    def test_a_body_that_says_it_is_larger_is_not_waited_for(self):
        connection = self.raw(self.service)
        connection.send(raw_request("POST", "/v1/sessions", JSON + [("Content-Length", str(10**12))]))
        reply = connection.reply()
        self.assertEqual((413, "payload_too_large"), (reply.status, reply.code))
        self.assertTrue(connection.ends())

    def test_chunks_that_grow_past_it(self):
        connection = self.raw()
        connection.send(raw_request("POST", "/v1/sessions", JSON + [("Transfer-Encoding", "chunked")]))
        try:
            for _ in range(30):
                connection.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        except OSError:
            pass  # closed by now
        reply = connection.reply()
        self.assertEqual((413, "payload_too_large"), (reply.status, reply.code))

    def test_settings_bound_body_message_metadata(self):
        path = self.tight_path()
        self.assert_problem(self.tight.post(path + "/messages", b" " * 65537), 413, "payload_too_large")
        self.assert_problem(self.tight.post(path + "/messages", user("x" * 1024)), 413, "payload_too_large")
        self.assert_problem(self.tight.post(path + "/events", {"kind": "custom", "data": "x" * 1024}), 413,
                            "payload_too_large")
        self.assert_status(202, self.tight.post(path + "/messages", user("x" * 900)))
        problem = self.assert_problem(self.tight.patch(path, {"metadata": {"a": "x" * 100}}), 413, "payload_too_large")
        self.assertEqual(["/metadata"], self.pointers(problem))

    def test_a_head_of_32_kib(self):
        connection = self.raw()
        connection.send(raw_request("GET", "/healthz", [("X-Long", "x" * 3900)]))
        self.assertEqual(200, connection.reply().status)
        for headers in ([("X-Long", "x" * 5000)], [(f"X-{i}", "y") for i in range(800)]):
            connection = self.raw()
            connection.send(raw_request("GET", "/healthz", headers))
            reply = connection.reply()
            self.assertEqual((413, "payload_too_large"), (reply.status, reply.code))
            self.assertTrue(connection.ends())
        connection = self.raw(self.service)
        connection.send(raw_request("GET", "/healthz?" + "a" * 9000))
        self.assertEqual(400, connection.reply().status)

    def test_compression_can_be_off(self):
        path = self.tight_path()
        for _ in range(20):
            self.tight.post(path + "/messages", user("x" * 900))
        reply = self.tight.get(path + "/messages", headers={"Accept-Encoding": "gzip"})
        self.assertIsNone(reply.headers["Content-Encoding"])


class Times(LimitTest):
    def ends_after(self, connection, least, most):
        began = time.monotonic()
        self.assertTrue(connection.ends(most + 3))
        self.assertTrue(least <= time.monotonic() - began <= most, time.monotonic() - began)

    def test_a_head_that_does_not_come_whole(self):
        connection = self.raw()
        connection.send(b"GET /healthz HTT")
        self.ends_after(connection, 0.5, 5)

    def test_a_head_that_drips(self):
        connection = self.raw()
        began = time.monotonic()
        connection.socket.settimeout(0.05)
        ended = False
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Drip: 1\r\n" * 50:
            try:
                connection.send(bytes([byte]))
                connection._more()
            except TimeoutError:
                continue
            except OSError:
                ended = True
                break
        self.assertTrue(ended)
        self.assertLess(time.monotonic() - began, 8)

    def test_a_body_that_does_not_come_whole(self):
        connection = self.raw()
        connection.send(raw_request("POST", "/v1/sessions", JSON + [("Content-Length", "100")]) + b'{"user_id"')
        self.ends_after(connection, 0.5, 6)

    def test_an_idle_connection(self):
        connection = self.raw()
        connection.send(raw_request("GET", "/healthz"))
        self.assertEqual(200, connection.reply().status)
        self.ends_after(connection, 1, 6)

    def test_one_who_does_not_read(self):
        """Its replies are not kept for ever; others are served meanwhile."""
        path = self.tight_path()
        for _ in range(40):
            self.tight.post(path + "/messages", user("x" * 900))
        connection = self.raw()
        request = raw_request("GET", path + "/messages") * 200
        connection.socket.settimeout(0.5)
        try:
            for _ in range(60):
                connection.send(request)
        except OSError:
            pass
        self.assert_status(200, self.tight.get("/healthz"))
        metrics = Client(tight)
        self.addCleanup(metrics.close)

        def is_dropped():
            text = metrics.get("/metrics").text
            line = next(each for each in text.splitlines() if each.startswith("colloquy_http_connections "))
            return int(line.split()[1]) <= 2
        eventually(is_dropped, 12, "the end of the connection that nobody reads")


class Numbers(LimitTest):
    def test_connections_of_a_tenant_and_of_all(self):
        path = self.tight_path()
        self.tight.close()
        mine = [self.raw() for _ in range(12)]
        replies = []
        for each in mine:
            each.send(raw_request("GET", path))
            replies.append(each.reply())
        refused = [each for each in replies if each.status != 200]
        self.assertEqual(2, len(refused))
        for each in refused:
            self.assert_problem(each, 429, "quota_exceeded")
            self.assertEqual("close", each.headers["Connection"])
        more = [self.raw() for _ in range(30)]

        def is_refused(connection):
            connection.socket.settimeout(0.3)
            try:
                return connection.socket.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True
        self.assertGreaterEqual(sum(is_refused(each) for each in more), 10)
        for each in mine + more:
            each.close()

        def is_served():
            try:
                return self.tight.get(path).status == 200
            except OSError:
                self.tight.close()
                return False
        eventually(is_served, 10, "an answer")

    def test_streams_of_all(self):
        path = self.tight_path()
        readers = []
        for _ in range(2):
            readers.append(EventReader(tight, path.rsplit("/", 1)[1]))
            self.addCleanup(readers[-1].close)
            self.assertEqual(200, readers[-1].status)
        third = EventReader(tight, path.rsplit("/", 1)[1])
        self.addCleanup(third.close)
        self.assertEqual((503, "overloaded"), (third.status, third.problem()["code"]))
        self.assert_problem(self.tight.get(path + "/events", query={"wait_s": 1}), 503, "overloaded")
        self.assert_status(200, self.tight.get(path + "/events"))
        for each in readers:
            each.close()
        eventually(lambda: self.tight.get(path + "/events", query={"wait_s": 1}).status == 200, 10, "a free place")


if __name__ == "__main__":
    unittest.main(verbosity=2)
