"""Clients of the Model Context Protocol for tests, in both eras and over both transports; Python's library alone."""

import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[2])
sys.path.insert(0, str(SOURCE_DIR / "tests/http"))

from support.service import PROGRAM, Service, eventually  # noqa: E402, F401

MODERN, LEGACY = "2026-07-28", "2025-11-25"
META = "io.modelcontextprotocol/"
ANSWER_LIMIT_S = 200  # the first start makes a database, and the machine may have much else to do


def modern_meta(more=None, capabilities=None):
    return {META + "protocolVersion": MODERN, META + "clientInfo": {"name": "test", "version": "1"},
            META + "clientCapabilities": capabilities or {}, **(more or {})}


class Stdio:
    """`colloquy mcp` as a process of a test's own."""

    def __init__(self, data_dir, arguments=(), environment=None, home=None, program=None):
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG", "ASAN_OPTIONS") if name in os.environ}
        command = [program or PROGRAM, *(["mcp"] if program is None else []), *arguments]
        if data_dir is not None:
            command += ["--data-dir", str(data_dir)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={"HOME": str(home or "/nonexistent"), **kept, **(environment or {})},
                                        cwd=home)
        self.ids = itertools.count(1)
        self.answers, self.notes, self.other, self.log_lines = {}, [], [], []
        self.refused = []  # codes of what could not be given an id
        self.news = threading.Condition()
        for target in (self._read, self._read_log):
            threading.Thread(target=target, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                message = {"not json": line.decode("utf-8", "replace")}
            with self.news:
                if "error" in message and message.get("id") is None:
                    self.refused.append(message["error"]["code"])
                elif "id" in message and "method" not in message:
                    self.answers[message["id"]] = message
                elif "method" in message:
                    self.notes.append(message)
                else:
                    self.other.append(message)
                self.news.notify_all()

    def _read_log(self):
        for line in self.process.stderr:
            self.log_lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self, method, params=None):
        number = next(self.ids)
        self.send({"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})})
        return number

    def wait(self, number, limit_s=ANSWER_LIMIT_S):
        with self.news:
            if not self.news.wait_for(lambda: number in self.answers, limit_s):
                raise AssertionError(f"no answer within {limit_s} s; log:\n" + "\n".join(self.log_lines[-20:]))
            return self.answers.pop(number)

    def ask(self, method, params=None):
        return self.wait(self.begin(method, params))

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})})

    def initialize(self, version=LEGACY):
        answer = self.ask("initialize", {"protocolVersion": version, "capabilities": {},
                                         "clientInfo": {"name": "test", "version": "1"}})
        self.notify("notifications/initialized")
        return answer["result"]

    def call(self, tool, **arguments):
        """The result of a tool, in the older era."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]

    def modern(self, method, params=None, **more):
        return self.ask(method, {**(params or {}), "_meta": modern_meta(more)})

    def note(self, method, limit_s=60):
        """The first notification of that method, taken out."""
        def find():
            return next((each for each in self.notes if each["method"] == method), None)
        with self.news:
            if not self.news.wait_for(find, limit_s):
                raise AssertionError(f"no {method} within {limit_s} s")
            found = find()
            self.notes.remove(found)
            return found

    def close(self, limit_s=100):
        """As clients end a server: its input first."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class StdioCase(unittest.TestCase):
    """One data folder for all cases of a class: making a database takes longest."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="colloquy-mcp-", dir="/tmp"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.clients = []

    def tearDown(self):
        for each in self.clients:
            if each.process.poll() is None:
                each.close()

    def client(self, *arguments, **more):
        made = Stdio(self.folder / "data", arguments, home=self.folder, **more)
        self.clients.append(made)
        return made


class Http:
    """Single requests to /mcp."""

    def __init__(self, service, path="/mcp", key=None):
        self.service, self.path, self.key = service, path, key
        self.ids = itertools.count(1)
        self.session = None
        self.version = None

    def post(self, message, headers=None, body=None):
        """(status, headers, JSON or list of events)"""
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.key:
            sent["Authorization"] = "Bearer " + self.key
        if self.session:
            sent["Mcp-Session-Id"] = self.session
            sent["MCP-Protocol-Version"] = self.version
        sent.update(headers or {})
        connection = http.client.HTTPConnection(self.service.host, self.service.port, timeout=ANSWER_LIMIT_S)
        try:
            text = body if body is not None else json.dumps(message)
            connection.request("POST", self.path, text, {k: v for k, v in sent.items() if v is not None})
            reply = connection.getresponse()
            raw = reply.read().decode()
            if "event-stream" in reply.getheader("Content-Type", ""):
                return reply.status, reply.headers, [json.loads(line[6:]) for line in raw.split("\n")
                                                     if line.startswith("data: ")]
            return reply.status, reply.headers, json.loads(raw) if raw else None
        finally:
            connection.close()

    def initialize(self, version=LEGACY):
        status, headers, answer = self.post({"jsonrpc": "2.0", "id": next(self.ids), "method": "initialize",
                                             "params": {"protocolVersion": version, "capabilities": {},
                                                        "clientInfo": {"name": "test", "version": "1"}}})
        assert status == 200, (status, answer)
        self.session, self.version = headers["Mcp-Session-Id"], answer["result"]["protocolVersion"]
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 202
        return answer["result"]

    def ask(self, method, params=None):
        status, _, answer = self.post({"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params or {}})
        if isinstance(answer, list):
            answer = answer[-1]
        return status, answer

    def call(self, tool, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})[1]["result"]

    def modern(self, method, params=None, headers=None, meta=None):
        """(status, answer, what came before it)"""
        params = {**(params or {}), "_meta": meta if meta is not None else modern_meta()}
        name = params.get("uri") if method == "resources/read" else params.get("name")
        sent = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **({"Mcp-Name": name} if name else {}),
                **(headers or {})}
        status, _, answer = self.post({"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}, sent)
        if isinstance(answer, list):
            return status, answer[-1], answer[:-1]
        return status, answer, []


def structured(result):
    """What a tool gave, which its text says, too."""
    assert not result.get("isError"), result["content"][0]["text"]
    return result["structuredContent"]


def error_text(result):
    assert result.get("isError"), result
    return result["content"][0]["text"]
