"""What could be understood in two ways is refused, and nothing secret gets out."""

import subprocess
import unittest
from pathlib import Path

import world as worlds
from support.client import Client, RawConnection, raw_request
from world import SECRET, World, claims, hs256, new_id, operations, start_service

service = None
world = None


def setUpModule():
    global service, world
    service = start_service()
    unittest.addModuleCleanup(service.close)
    world = World(service)


class WireTest(unittest.TestCase):
    def raw(self):
        connection = RawConnection(service, timeout=10)
        self.addCleanup(connection.close)
        return connection

    def replies(self, data):
        """Statuses of all that is answered, until the connection ends or nothing comes."""
        connection = self.raw()
        connection.send(data)
        found = []
        connection.socket.settimeout(1.5)
        try:
            while True:
                reply = connection.reply()
                if reply is None:
                    break
                found.append(reply)
        except (TimeoutError, TypeError, ConnectionError):
            pass
        return found

    def head(self, *lines, key=None):
        return "\r\n".join([f"POST /v1/sessions/{world.b_session}/messages HTTP/1.1", "Host: localhost",
                            "Content-Type: application/json", f"Authorization: Bearer {key or world.b_key}",
                            *lines]).encode("latin-1") + b"\r\n\r\n"

    def assert_no_second(self, name, data):
        """One request at most is seen in it, and the connection does not go on."""
        with self.subTest(name):
            replies = self.replies(data)
            self.assertLessEqual(len(replies), 1, [name, replies])
            for reply in replies:
                self.assertIn(reply.status, (400, 413, 501, 505), (name, reply))
                self.assertNotIn(b"sessions", reply.body)

    def test_lengths_that_disagree(self):
        hidden = f"GET /v1/sessions/{world.b_session} HTTP/1.1\r\nHost: localhost\r\n" \
                 f"Authorization: Bearer {world.b_key}\r\n\r\n".encode()
        chunked = b"0\r\n\r\n"
        n = len(chunked + hidden)
        for name, lines in {
            "CL and TE": (f"Content-Length: {n}", "Transfer-Encoding: chunked"),
            "TE and CL": ("Transfer-Encoding: chunked", f"Content-Length: {n}"),
            "CL short and TE": ("Content-Length: 4", "Transfer-Encoding: chunked"),
            "two CL": ("Content-Length: 5", f"Content-Length: {n}"),
            "CL list": (f"Content-Length: 5, {n}",),
            "CL plus": ("Content-Length: +5",), "CL minus": ("Content-Length: -1",), "CL hex": ("Content-Length: 0x5",),
            "CL space": ("Content-Length: 5 5",), "CL huge": ("Content-Length: 99999999999999999999999",),
            "CL before colon": (f"Content-Length : {n}",),
            "TE before colon": ("Transfer-Encoding : chunked", "Content-Length: 5"),
            "TE twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
            "TE unknown": ("Transfer-Encoding: xchunked",), "TE tab": ("Transfer-Encoding:\x0bchunked",),
            "TE gzip, not chunked": ("Transfer-Encoding: gzip",),
            "obs-fold": ("Transfer-Encoding:", " chunked", "Content-Length: 5"),
            "name with a space": ("Transfer-Encoding chunked", "Content-Length: 5"),
            "NUL in a value": ("X-A: a\0b", "Content-Length: 5"),
        }.items():
            self.assert_no_second(name, self.head(*lines) + chunked + hidden)

    def test_bare_line_feeds(self):
        text = f"GET /v1/sessions/{world.b_session} HTTP/1.1\nHost: localhost\nAuthorization: Bearer {world.b_key}\n\n"
        self.assert_no_second("only LF", text.encode())
        self.assert_no_second("LF in a header", raw_request("GET", "/healthz", [("X-A", "a\nX-B: b")]))
        self.assert_no_second("CR in a header", raw_request("GET", "/healthz", [("X-A", "a\rX-B: b")]))

    def test_chunks(self):
        body = b'{"role":"user","content":"x"}'
        for name, chunks in {
            "size too large": b"FFFFFFFFFFFFFFFFF\r\n" + body, "largest size": b"FFFFFFFFFFFFFFFF\r\n" + body,
            "over the limit": b"7FFFFFFF\r\n" + body,
            "no size": b"\r\n" + body, "negative": b"-1\r\n" + body, "hex mark": b"0x1d\r\n" + body + b"\r\n0\r\n\r\n",
            "data longer": b"1\r\n" + body + b"\r\n0\r\n\r\n", "LF after size": b"1d\n" + body + b"\r\n0\r\n\r\n",
        }.items():
            with self.subTest(name):
                replies = self.replies(self.head("Transfer-Encoding: chunked") + chunks)
                self.assertLessEqual(len(replies), 1, replies)
                for reply in replies:
                    self.assertIn(reply.status, (400, 413), (name, reply))

    def test_chunk_extensions_and_trailers_are_not_headers(self):
        chunks = b'1d;a="\xff";Authorization=x\r\n{"role":"user","content":"x"}\r\n0\r\n' \
                 b"Authorization: Bearer x\r\nX-Request-Id: trailer\r\n\r\n"
        replies = self.replies(self.head("Transfer-Encoding: chunked", "Connection: close") + chunks)
        self.assertEqual(1, len(replies))
        self.assertIn(replies[0].status, (202, 400))
        self.assertNotEqual("trailer", replies[0].headers["X-Request-Id"])

    def test_headers_twice(self):
        for name, value in (("Authorization", "Bearer " + world.a_key), ("Host", "other"),
                            ("Content-Type", "application/json"), ("Idempotency-Key", "k"), ("If-Match", "1"),
                            ("Last-Event-ID", "1")):
            both = [(name, value), (name, value)]
            key = [] if name == "Authorization" else [("Authorization", "Bearer " + world.b_key)]
            replies = self.replies(raw_request("GET", "/v1/sessions/" + world.b_session, key + both))
            self.assertEqual([400], [each.status for each in replies], name)

    def test_methods_that_headers_name(self):
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"):
            reply = world.b_client.get("/v1/sessions/" + world.b_session, headers={name: "DELETE"})
            self.assertEqual(200, reply.status, name)
            reply = world.b_client.call("POST", "/v1/sessions/" + world.b_session, headers={name: "DELETE"})
            self.assertEqual(405, reply.status, name)
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"):
            reply = world.b_client.get("/healthz", headers={name: "/v1/sessions/" + world.session})
            self.assertIn(b"ok", reply.body)
        self.assertEqual(200, world.b_client.get("/v1/sessions/" + world.b_session).status)

    def test_paths(self):
        """None leads to A's session, nor past the need for a key."""
        a, b = world.session, world.b_session
        for path in (f"/v1/sessions/{b}/../{a}", f"/v1/sessions/{b}/..;/{a}", f"/v1/sessions/{b}%2f..%2f{a}",
                     f"/v1/sessions/{b}/%2e%2e/{a}", f"/v1/sessions/{b}/%252e%252e/{a}", f"/v1/sessions//{a}",
                     f"//v1/sessions/{a}", f"/v1/sessions/{a}/", f"/V1/sessions/{a}", f"/v1/Sessions/{a}",
                     f"/v1/sessions/{a};jsessionid=1", f"/v1/sessions/{a}%00", f"/v1/sessions/{a}.json",
                     f"/v1/sessions/%20{a}", f"/v1/sessions/{{{a}}}", f"/v1/sessions/{a.replace('-', '')}",
                     f"/healthz/../v1/sessions/{a}", f"/healthz/%2e%2e/v1/sessions/{a}", f"/openapi.json/v1/sessions/{a}",
                     f"\\v1\\sessions\\{a}", f"/v1\\sessions\\{a}", f"/./v1/sessions/{a}", f"/v1/./sessions/{a}",
                     f"/v1/tenants/{world.b}/../{world.a}/quotas", f"/v1/tenants/{world.a}%2fquotas",
                     f"http://localhost/v1/sessions/{a}", f"http://x@localhost/v1/sessions/{a}",
                     f"/v1/users/..%2fada-of-a/export", f"/v1/users/../ada-of-a/export", f"*", f"localhost:80"):
            for key in (world.b_key, None):
                with self.subTest(path, key=bool(key)):
                    headers = [("Authorization", "Bearer " + key)] if key else []
                    for reply in self.replies(raw_request("GET", path, headers + [("Connection", "close")])):
                        self.assertIn(reply.status, (400, 401, 404) + ((200,) if "users" in path and key else ()), reply)
                        self.assertNotIn(b"secret of A", reply.body)
                        self.assertNotIn(a.encode() + b'"', reply.body)

    def test_only_one_path_for_a_thing_of_ones_own(self):
        for path in (f"/v1/sessions/{world.b_session}/", f"/v1//sessions/{world.b_session}", "/v1/sessions/",
                     f"/v1/sessions/./{world.b_session}", "/v1/Sessions", f"/v1/sessions/{world.b_session}/x/../export"):
            self.assertIn(world.b_client.get(path).status, (400, 404), path)


class SecretsTest(unittest.TestCase):
    """Whoever reads what the service says of itself learns no key."""

    def test_nothing_tells_a_secret(self):
        token = hs256(claims(world.a))
        made, record = world.operator.new_key(world.b)
        content = "what A says is nobody's business " + new_id()
        client = Client(service, world.a_key, checks=False)
        self.addCleanup(client.close)
        client.post(f"/v1/sessions/{world.session}/messages", {"role": "user", "content": content})
        client.post(f"/v1/sessions/{world.session}/messages", {"role": "user", "content": content, "wrong": content})
        for key in (token, token + "x", made, made[:-1] + "!", "cqa_" + "x" * 43, service.admin_key):
            client.get("/v1/sessions", key=key)
            client.get("/v1/sessions/" + key, key=world.b_key)
        rotated = world.b_client.post(f"/v1/tenants/{world.b}/keys/{record['id']}/rotate", {"grace_s": 60}).json()["key"]
        secrets = [*world.secrets(), token.split(".")[2], made.split("_")[2], rotated, content]
        metrics = client.get("/metrics", key=service.admin_key)
        self.assertEqual(200, metrics.status)
        said = {"metrics": metrics.text, "openapi": client.get("/openapi.json").text,
                "pool": client.get("/v1/pool", key=service.admin_key).text,
                "keys": world.b_client.get(f"/v1/tenants/{world.b}/keys").text,
                "audit": world.b_client.get("/v1/audit").text}
        for process in (service.process.pid, service.server_pid()):
            said[f"cmdline {process}"] = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
        said["log of the database"] = (service.data_dir / "postgres.log").read_text(encoding="utf-8", errors="replace")
        for where, text in said.items():
            for number, secret in enumerate(secrets):
                self.assertNotIn(secret, text, f"secret {number} in {where}")

    def test_the_log(self):
        self.test_nothing_tells_a_secret()
        # A path is logged, and who puts a key there has told it to every proxy between; no other way leads there.
        lines = [line for line in service.log().splitlines() if " /v1/sessions/c" not in line and "/v1/sessions/ey" not in line]
        self.assertGreater(len(lines), 20)
        for number, secret in enumerate(world.secrets()):
            self.assertNotIn(secret, "\n".join(lines), f"secret {number}")
        self.assertNotIn("what A says is nobody's business", service.log())

    def test_files(self):
        for name in ("admin.key",):
            self.assertEqual(0o600, (service.data_dir / name).stat().st_mode & 0o777, name)
        self.assertEqual(0o700, service.data_dir.stat().st_mode & 0o777)

    def test_errors_echo_no_key(self):
        for call in operations(world.b_client)[:10]:
            reply = world.b_client.call(call[1], call[2].replace("{id}", "x"), b"{", key="cq_wrong_" + SECRET)
            self.assertNotIn(SECRET.encode(), reply.body)


if __name__ == "__main__":
    unittest.main(verbosity=1)
