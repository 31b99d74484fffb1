"""HTTP as a client speaks it that is not ours: http.client, and bare sockets where that would correct what is sent."""

import http.client
import json
import socket
import ssl
import time
import urllib.parse

from .schema import Operations

TIMEOUT_S = 40


class Reply:
    def __init__(self, status, headers, body, version=11):
        self.status = status
        self.headers = headers
        self.body = body
        self.version = version

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """Of a problem; "" if it is none."""
        kind = (self.headers.get("Content-Type") or "").split(";")[0]
        return self.json().get("code", "") if kind == "application/problem+json" else ""

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client:
    """One kept connection; of one thread at a time. Every reply is held against /openapi.json unless `checks` is
    false; what does not fit is an AssertionError."""

    def __init__(self, service, key=None, checks=True, tls=None, timeout=TIMEOUT_S):
        self.service = service
        self.key = key
        self.checks = checks
        self.tls = tls
        self.timeout = timeout
        self.connection = None

    def open(self):
        if self.service.unix_path and self.service.host is None:
            return UnixConnection(str(self.service.unix_path), self.timeout)
        where = (self.service.host, self.service.port)
        if self.service.scheme == "https":
            return http.client.HTTPSConnection(*where, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(*where, timeout=self.timeout)

    def send(self, method, path, body=None, headers=None):
        """The bytes and headers given and no others; a connection that the other side has closed is opened again."""
        for is_last in (False, True):
            if self.connection is None:
                self.connection = self.open()
                is_last = True
            try:
                self.connection.request(method, path, body, headers or {})
                answer = self.connection.getresponse()
                reply = Reply(answer.status, answer.headers, answer.read(), answer.version)
                if answer.will_close:
                    self.close()
                return reply
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                self.close()
                if is_last or method not in ("GET", "HEAD"):
                    raise
            except BaseException:
                self.close()
                raise
        raise AssertionError("not reached")

    def call(self, method, path, body=None, query=None, headers=None, key=..., checks=None):
        """body: bytes as they are, anything else as JSON."""
        sent = {} if headers is None else dict(headers)
        key = self.key if key is ... else key
        if key is not None:
            sent.setdefault("Authorization", "Bearer " + key)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        reply = self.send(method, target, body, sent)
        if self.checks if checks is None else checks:
            found = self.operations().complaints(method, path.split("?")[0], reply)
            if found:
                raise AssertionError("against /openapi.json:\n" + "\n".join(found))
        return reply

    def operations(self):
        kept = self.service.documents
        if "openapi" not in kept:
            kept["openapi"] = Operations(self.send("GET", "/openapi.json").json())
        return kept["openapi"]

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.call("PUT", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.call("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    def pages(self, path, query=None):
        """The items of each page, to the last one."""
        query, out = dict(query or {}), []
        while True:
            reply = self.get(path, query=query)
            assert reply.status == 200, reply
            out.append(reply.json()["items"])
            query["cursor"] = reply.json()["next_cursor"]
            if query["cursor"] is None:
                return out

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class RawConnection:
    """Bytes out, replies in: what no well-behaved client would send."""

    def __init__(self, service, timeout=TIMEOUT_S, tls=None):
        if service.host is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(service.unix_path))
        else:
            self.socket = socket.create_connection((service.host, service.port), timeout)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.received = b""

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        self.received += data
        return bool(data)

    def until(self, mark):
        """Everything up to and with the mark; None if the connection ended before."""
        while mark not in self.received:
            if not self._more():
                return None
        end = self.received.index(mark) + len(mark)
        taken, self.received = self.received[:end], self.received[end:]
        return taken

    def exactly(self, count):
        while len(self.received) < count:
            if not self._more():
                return None
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def head(self):
        """Status and headers of the next reply; None if the connection ended before."""
        text = self.until(b"\r\n\r\n")
        if text is None:
            return None
        lines = text.decode("latin-1").split("\r\n")
        headers = http.client.HTTPMessage()
        for line in lines[1:]:
            if line:
                name, value = line.split(":", 1)
                headers[name] = value.strip()
        return int(lines[0].split()[1]), headers, lines[0]

    def reply(self, has_body=True):
        found = self.head()
        if found is None:
            return None
        status, headers, _ = found
        body = b""
        if has_body and headers.get("Transfer-Encoding") == "chunked":
            while True:
                part = self.chunk()
                if not part:
                    break
                body += part
        elif has_body:
            body = self.exactly(int(headers.get("Content-Length") or 0))
        return Reply(status, headers, body)

    def chunk(self):
        """The next chunk of a body; b"" is its end, None that of the connection."""
        line = self.until(b"\r\n")
        if line is None:
            return None
        data = self.exactly(int(line, 16) + 2)
        return None if data is None else data[:-2]

    def ends(self, within_s=10):
        """Whether the other side closes the connection in time, whatever it says before."""
        self.socket.settimeout(0.2)
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            try:
                if not self._more():
                    return True
            except TimeoutError:
                continue
        return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def raw_request(method, target, headers=(), body=b"", host="localhost", version="1.1"):
    """The bytes of a request; nothing is added but Host and, for a body, Content-Length."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
