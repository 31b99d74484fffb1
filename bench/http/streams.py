"""Many open event streams on one service: what they cost, how soon all hear, and that those who do not read cost nothing.

`bench/http/streams.py PROGRAM [--streams N] [--sessions N] [--broken N]`: starts the service on a data folder of its own,
opens N streams over some sessions (`--broken` of them never read a byte), appends an event to each session, and prints one
line of JSON: seconds until every stream that reads had it, resident memory before and behind, and the time of a durable
append meanwhile. Fails if one that reads missed anything.
"""

import argparse
import http.client
import json
import os
import re
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

WAIT_SECONDS = 120


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def start(program, folder):
    log = open(os.path.join(folder, "log"), "wb")
    process = subprocess.Popen([program, "serve", "--data-dir", os.path.join(folder, "data"), "--listen", "127.0.0.1:0",
                                "--http-connections-max", "100000", "--tenant-connections-max", "100000",
                                "--streams-max", "100000"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with open(log.name, encoding="utf-8") as said:
            found = re.search(r"serving http://127\.0\.0\.1:(\d+)", said.read())
        if found:
            return process, int(found.group(1))
        time.sleep(0.05)
    sys.exit("the service did not start: " + open(log.name, encoding="utf-8").read())


def ask(connection, method, path, body):
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status >= 300:
        sys.exit(f"{method} {path}: {reply.status} {text!r}")
    return json.loads(text)


def open_streams(port, sessions, count):
    """Sockets whose stream has begun; the service has answered each."""
    request = "GET /v1/sessions/{}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    streams = []
    for i in range(count):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(request.format(sessions[i % len(sessions)]).encode())
        streams.append(stream)
        if i % 200 == 199:  # no faster than they are taken
            for each in streams[-200:]:
                each.recv(1, socket.MSG_PEEK)
    return streams


def await_all(streams, mark):
    """Until each has been sent the mark."""
    waiting = selectors.DefaultSelector()
    tails = {}
    for stream in streams:
        stream.setblocking(False)
        waiting.register(stream, selectors.EVENT_READ)
        tails[stream] = b""
    until = time.monotonic() + WAIT_SECONDS
    while tails and time.monotonic() < until:
        for key, _ in waiting.select(1):
            data = key.fileobj.recv(65536)
            if not data:
                sys.exit("a stream was closed")
            seen = tails[key.fileobj] + data
            if mark in seen:
                waiting.unregister(key.fileobj)
                del tails[key.fileobj]
            else:
                tails[key.fileobj] = seen[-len(mark):]
    if tails:
        sys.exit(f"{len(tails)} streams have not heard it within {WAIT_SECONDS} s")


def measure(arguments, process, port):
    plain = http.client.HTTPConnection("127.0.0.1", port)
    sessions = [ask(plain, "POST", "/v1/sessions", {"user_id": f"u{i}"})["id"] for i in range(arguments.sessions)]
    before = resident_mib(process.pid)
    began = time.monotonic()
    streams = open_streams(port, sessions, arguments.streams)
    opened = time.monotonic() - began
    reading = streams[arguments.broken:]
    heard, appends = [], []
    for round_number in range(arguments.rounds):
        mark = f"mark {round_number} of all"
        began = time.monotonic()
        for session in sessions:
            at = time.monotonic()
            ask(plain, "POST", f"/v1/sessions/{session}/messages?durability=durable",
                {"role": "user", "content": mark + " " + "x" * 200})
            appends.append(time.monotonic() - at)
        await_all(reading, mark.encode())
        heard.append(time.monotonic() - began)
    behind = resident_mib(process.pid)
    return {"streams": arguments.streams, "sessions": arguments.sessions, "broken": arguments.broken,
            "open_s": round(opened, 2), "heard_by_all_s": round(statistics.median(heard), 3),
            "append_ms": round(1000 * statistics.median(appends), 2), "resident_before_mib": round(before, 1),
            "resident_behind_mib": round(behind, 1),
            "kib_a_stream": round(1024 * (behind - before) / arguments.streams, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--broken", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if arguments.streams + 200 > most:
        sys.exit(f"{arguments.streams} streams need as many descriptors, and {most} are allowed")
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(arguments.program, folder)
        try:
            print(json.dumps(measure(arguments, process, port)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


if __name__ == "__main__":
    main()
