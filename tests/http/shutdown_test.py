"""How it ends: what is under way is finished, what was promised is kept."""

import signal
import threading
import time
import unittest

from support.cases import HttpTest, user
from support.client import Client, RawConnection, raw_request
from support.events import EventReader
from support.service import Service, eventually

JSON = [("Content-Type", "application/json")]


class ShutdownTest(HttpTest):
    def started(self, **options):
        self.service = Service(**options)
        self.addCleanup(self.service.close)
        self.service.start()
        self.client = self.new_client()
        return self.service

    def setUp(self):
        pass


class Ending(ShutdownTest):
    def test_an_idle_one_ends_soon_on_either_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            service = self.started()
            self.client.get("/healthz")
            began = time.monotonic()
            service.signal(number)
            self.assertEqual(0, service.wait())
            self.assertLess(time.monotonic() - began, 8)
            self.assertIsNone(service.server_pid())

    def test_requests_under_way_are_not_cut(self):
        service = self.started()
        path = self.new_path()
        body = b'{"messages":[' + b",".join(b'{"role":"user","content":"%d"}' % i for i in range(500)) + b"]}"
        senders = [RawConnection(service) for _ in range(10)]
        request = raw_request("POST", path + "/messages?durability=durable", JSON, body)
        for each in senders:
            each.send(request[:-100])
        poll = RawConnection(service)
        poll.send(raw_request("GET", path + "/events?wait_s=60&after=99999999"))
        turn = self.start_turn(path)["turn"]
        waiting = RawConnection(service)
        waiting.send(raw_request("POST", path + "/turns", JSON, b'{"wait_s":60}'))
        eventually(lambda: any(each["status"] == "queued" for each in self.turns(path).values()), 10, "who waits")
        reader = EventReader(service, path.rsplit("/", 1)[1])
        reader.take(1)
        service.signal(signal.SIGTERM)
        service.wait_for_log("shutting down")
        for each in senders:
            each.send(request[-100:])
        replies = [each.reply() for each in senders]
        self.assertEqual([201] * 10, [each.status for each in replies])
        self.assertEqual({"close"}, {each.headers["Connection"] for each in replies})
        self.assertEqual((200, []), ((reply := poll.reply()).status, reply.json()["items"]))
        refused = waiting.reply()
        self.assertEqual(True, refused is not None and refused.status in (409, 503), refused)
        kinds = []
        while (event := reader.next()) is not None:
            kinds.append(event.kind)
        self.assertEqual(("end", True), (kinds[-1], reader.is_over))
        self.assertEqual(0, service.wait())
        service.start()
        self.client.close()
        items = [each for page in self.client.pages(path + "/messages", {"limit": 1000}) for each in page]
        self.assertEqual(5000, len(items))
        self.assertEqual("running", self.turns(path)[turn["id"]]["status"])

    def test_under_a_load_every_2xx_is_in_the_database(self):
        service = self.started()
        paths = [self.new_path() for _ in range(8)]
        seen, cut, stop = [[] for _ in paths], [], threading.Event()

        def write(at):
            client = Client(service, checks=False)
            for i in range(100_000):
                durability = "durable" if i % 2 else "accepted"
                try:
                    reply = client.post(paths[at] + "/messages", user(f"{at}.{i}"), query={"durability": durability})
                except ConnectionRefusedError:
                    return
                except OSError as why:
                    # A kept connection may be closed between two requests, and never within one.
                    if not isinstance(why, (BrokenPipeError, ConnectionResetError)) and client.connection is not None:
                        cut.append(repr(why))
                    continue
                finally:
                    if stop.is_set():
                        client.close()
                if reply.status in (201, 202):
                    seen[at].append((reply.json()["offsets"][0], f"{at}.{i}"))
                elif reply.status != 503:
                    cut.append(repr(reply))
                if reply.status == 503:
                    return
        writers = [threading.Thread(target=write, args=(at,)) for at in range(len(paths))]
        for each in writers:
            each.start()
        eventually(lambda: all(len(each) > 100 for each in seen), 30, "a load")
        service.signal(signal.SIGTERM)
        code = service.wait()
        stop.set()
        for each in writers:
            each.join(30)
        self.assertEqual((0, []), (code, cut))
        service.start()
        self.client.close()
        kept = sorted((int(offset), content) for offset, content in
                      service.psql("SELECT \"offset\", data::json->>'content' FROM events"))
        self.assertEqual([], sorted(set(pair for each in seen for pair in each) - set(kept)))

    def test_a_connection_that_says_nothing_does_not_hold_it(self):
        service = self.started()
        silent = RawConnection(service)
        kept = RawConnection(service)
        kept.send(raw_request("GET", "/healthz"))
        self.assertEqual(200, kept.reply().status)
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        self.assertEqual(0, service.wait())
        self.assertLess(time.monotonic() - began, 8)
        self.assertTrue(silent.ends() and kept.ends())

    def test_a_request_that_never_comes_whole_is_cut_and_said(self):
        service = self.started(settings={"shutdown_timeout": "1s"})
        half = RawConnection(service)
        half.send(raw_request("POST", "/v1/sessions", JSON + [("Content-Length", "100")]) + b"{")
        self.client.get("/healthz")
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        self.assertEqual(1, service.wait())
        self.assertLess(time.monotonic() - began, 6)
        self.assertIn("cut", service.log())

    def test_a_second_signal_ends_at_once(self):
        service = self.started(settings={"shutdown_timeout": "1min"})
        half = RawConnection(service)
        half.send(raw_request("POST", "/v1/sessions", JSON + [("Content-Length", "100")]) + b"{")
        self.client.get("/healthz")
        service.signal(signal.SIGTERM)
        service.wait_for_log("shutting down")
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        self.assertEqual(1, service.wait())
        self.assertLess(time.monotonic() - began, 2)

    def test_while_it_ends_it_takes_nobody(self):
        service = self.started(settings={"shutdown_timeout": "4s"})
        half = RawConnection(service)
        half.send(raw_request("POST", "/v1/sessions", JSON + [("Content-Length", "18")]) + b'{"user_')
        self.client.get("/healthz")
        service.signal(signal.SIGTERM)
        service.wait_for_log("shutting down")

        def is_refused():
            try:
                RawConnection(service).close()
                return False
            except ConnectionRefusedError:
                return True
        eventually(is_refused, 5, "a closed door")
        half.send(b'id":"abc" }')
        self.assertEqual(201, half.reply().status)
        self.assertEqual(0, service.wait())


if __name__ == "__main__":
    unittest.main(verbosity=2)
