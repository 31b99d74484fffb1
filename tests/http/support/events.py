"""A reader of server-sent events (HTML, section 9.2) over a bare socket."""

import json
import time

from .client import RawConnection, raw_request


class SentEvent:
    def __init__(self, kind, identity, data):
        self.kind = kind
        self.id = identity
        self.data = data

    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"<{self.kind} {self.id} {self.data:.80}>"


class EventReader:
    """Follows one session. `last_id` is what a browser would send when it comes again."""

    def __init__(self, service, session, key=None, query="", last_event_id=None, timeout=40, tls=None):
        self.connection = RawConnection(service, timeout, tls)
        headers = [("Accept", "text/event-stream")]
        if key is not None:
            headers.append(("Authorization", "Bearer " + key))
        if last_event_id is not None:
            headers.append(("Last-Event-ID", last_event_id))
        target = f"/v1/sessions/{session}/events" + ("?" + query if query else "")
        self.connection.send(raw_request("GET", target, headers))
        self.status, self.headers, _ = self.connection.head()
        self.last_id = None if last_event_id is None else str(last_event_id)
        self.comments = []
        self.lines = []
        self.pending = b""
        self.is_over = False  # the chunked body has ended as it should
        self.is_cut = False

    def problem(self):
        """The body of a reply that is no stream."""
        return json.loads(self.connection.exactly(int(self.headers["Content-Length"])))

    def _line(self, until):
        while b"\n" not in self.pending:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("no event in time")
            self.connection.socket.settimeout(left)
            part = self.connection.chunk()
            if not part:
                self.is_over = part == b""
                self.is_cut = part is None
                return None
            self.pending += part
        line, self.pending = self.pending.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8")

    def next(self, within_s=10):
        """The next event; None at the end of the stream. Comments are gathered beside."""
        until = time.monotonic() + within_s
        kind, data, identity = "message", [], None
        while True:
            line = self._line(until)
            if line is None:
                return None
            if line == "":
                if identity is not None:
                    self.last_id = identity
                if data:
                    return SentEvent(kind, identity, "\n".join(data))
                kind, identity = "message", None
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "":
                self.comments.append((time.monotonic(), value))
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id":
                identity = value

    def take(self, count, within_s=20):
        """That many events."""
        out = []
        while len(out) < count:
            event = self.next(within_s)
            if event is None:
                raise AssertionError(f"the stream ended after {out}")
            out.append(event)
        return out

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
