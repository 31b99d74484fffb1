"""Where it listens: TLS, its certificate changed while it runs, unix sockets, several at once."""

import os
import signal
import socket
import ssl
import tempfile
import unittest
from pathlib import Path

from support.cases import HttpTest, start_module_service, user
from support.certificates import make_authority, make_certificate
from support.client import Client, RawConnection, raw_request
from support.events import EventReader
from support.service import Service, eventually

folder = None


def setUpModule():
    global folder
    holder = tempfile.TemporaryDirectory(prefix="colloquy-certificates-", dir="/tmp")
    unittest.addModuleCleanup(holder.cleanup)
    folder = Path(holder.name)
    make_authority(folder)
    make_certificate(folder, "first", "server")
    HttpTest.service = start_module_service(
        listen=f"127.0.0.1:0,unix:{folder}/door.sock",
        settings={"tls_certificate": folder / "server.crt", "tls_key": folder / "server.key"})
    client = Client(Beside(folder / "door.sock"))
    HttpTest.service.documents["openapi"] = client.operations()
    client.close()


class Beside:
    """A service that is reached through its unix socket."""

    host = None
    scheme = "http"

    def __init__(self, path):
        self.unix_path = path
        self.documents = {}


class DoorTest(HttpTest):
    def trusting(self, **more):
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        for name, value in more.items():
            setattr(context, name, value)
        return context

    def new_client(self, key=..., **more):
        return super().new_client(key, tls=self.trusting(), **more)


class Encrypted(DoorTest):
    def test_calls_and_streams(self):
        self.assertEqual("https", self.service.scheme)
        path = self.new_path()
        self.append(path, user("x" * 15_000))
        self.assertEqual(["x" * 15_000], self.contents(path))
        with EventReader(self.service, path.rsplit("/", 1)[1], tls=self.trusting()) as reader:
            self.assertEqual("0", reader.take(1)[0].id)
            self.append(path, user("next"))
            self.assertEqual("1", reader.take(1)[0].id)

    def test_replies_of_many_records(self):
        path = self.new_path()
        self.append(path, user("x" * 300_000))
        client = self.new_client(timeout=5)
        reply = self.assert_status(200, client.get(path + "/messages"))
        self.assertEqual("x" * 300_000, reply.json()["items"][0]["content"])

    def test_old_protocols_are_refused(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = self.trusting()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with self.assertRaises((ssl.SSLError, OSError)):
                RawConnection(self.service, tls=context)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.trusting()
            context.minimum_version = context.maximum_version = version
            with RawConnection(self.service, tls=context) as connection:
                connection.send(raw_request("GET", "/healthz"))
                self.assertEqual(200, connection.reply().status)

    def test_http_1_1_is_agreed_on(self):
        context = self.trusting()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with RawConnection(self.service, tls=context) as connection:
            self.assertEqual("http/1.1", connection.socket.selected_alpn_protocol())

    def test_what_is_not_encrypted_is_not_answered(self):
        with RawConnection(self.service) as connection:
            connection.send(raw_request("GET", "/healthz"))
            self.assertTrue(connection.ends())
            self.assertNotIn(b"HTTP/1.1 200", connection.received)

    def test_a_handshake_that_does_not_come(self):
        with socket.create_connection((self.service.host, self.service.port)):
            self.assert_status(200, self.client.get("/healthz"))


class Renewed(DoorTest):
    def common_name(self, connection):
        subject = connection.socket.getpeercert()["subject"]
        return dict(pair for group in subject for pair in group)["commonName"]

    def presented(self):
        with RawConnection(self.service, tls=self.trusting()) as connection:
            return self.common_name(connection)

    def test_a_new_certificate_on_sighup_cuts_nobody(self):
        kept = RawConnection(self.service, tls=self.trusting())
        self.addCleanup(kept.close)
        before = self.presented()
        make_certificate(folder, "second", "server")
        self.assertEqual(before, self.presented())
        self.service.signal(signal.SIGHUP)
        eventually(lambda: self.presented() == "second", 10, "the new certificate")
        kept.send(raw_request("GET", "/healthz"))
        self.assertEqual((200, before), (kept.reply().status, self.common_name(kept)))
        # One that cannot be used changes nothing.
        good = (folder / "server.crt").read_bytes()
        (folder / "server.crt").write_text("nonsense")
        self.service.signal(signal.SIGHUP)
        self.service.wait_for_log("not reloaded: .*tls_certificate")
        self.assertEqual("second", self.presented())
        (folder / "server.crt").write_bytes(good)

    def test_certificates_that_cannot_be_used_at_start(self):
        (folder / "other.key").write_bytes((folder / "ca.key").read_bytes())
        for settings in ({"tls_certificate": folder / "server.crt"}, {"tls_key": folder / "server.key"},
                         {"tls_certificate": folder / "none.crt", "tls_key": folder / "server.key"},
                         {"tls_certificate": folder / "server.crt", "tls_key": folder / "other.key"}):
            service = Service(settings=settings)
            self.addCleanup(service.close)
            self.assertEqual(2, service.launch().wait(), settings)
            self.assertRegex(service.log(), "tls_(certificate|key)")


class UnixSocket(DoorTest):
    def at_socket(self, path):
        where = Beside(path)
        client = Client(where)
        self.addCleanup(client.close)
        return where, client

    def test_it_is_served_beside_tls(self):
        where, client = self.at_socket(folder / "door.sock")
        session = self.assert_status(201, client.post("/v1/sessions", {"user_id": "ada"})).json()
        self.assertEqual(session["id"], self.client.get("/v1/sessions/" + session["id"]).json()["id"])
        self.append("/v1/sessions/" + session["id"], client=client)
        with EventReader(where, session["id"]) as reader:
            self.assertEqual("0", reader.take(1)[0].id)

    def test_one_that_is_left_behind_is_no_obstacle_and_none_is_left(self):
        path = folder / "left.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        service = Service(listen=f"unix:{path}")
        self.addCleanup(service.close)
        service.start()
        _, client = self.at_socket(path)
        self.assert_status(200, client.get("/readyz"))
        second = Service(listen=f"unix:{path}")
        self.addCleanup(second.close)
        self.assertEqual(2, second.launch().wait())
        self.assertIn(str(path), second.log())
        self.assert_status(200, client.get("/readyz"))
        self.assertEqual(0, service.stop())
        self.assertFalse(os.path.exists(path))


class Taken(HttpTest):
    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            service = Service(listen=where)
            self.addCleanup(service.close)
            self.assertEqual(2, service.launch().wait())
            self.assertIn(where, service.log())

    def setUp(self):
        pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
