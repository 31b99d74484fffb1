"""Whether a tenant at ten times its quota is felt by another.

`bench/http/neighbours.py PROGRAM [--seconds N]`: two tenants on one service. One asks at an even pace, alone and then while
the other, which may make 200 requests a second, is made 2,000 by wrk; in turn, several times. One line of JSON: the median
of each p99 and their ratio. Ends with 1 if that is above 2.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import streams

QUOTA = 200
TIMES = 10
CONNECTIONS = 20
RATIO_MAX = 2.0


def call(connection, method, path, key, body=None):
    connection.request(method, path, None if body is None else json.dumps(body),
                       {"Content-Type": "application/json", "Authorization": "Bearer " + key})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status >= 300:
        sys.exit(f"{method} {path}: {reply.status} {text!r}")
    return json.loads(text)


def make_tenant(connection, admin, name, quotas):
    call(connection, "POST", "/v1/tenants", admin, {"id": name, "quotas": quotas})
    key = call(connection, "POST", f"/v1/tenants/{name}/keys", admin, {"scopes": ["read", "write"]})["key"]
    return key


def p99_ms(connection, key, session, seconds):
    """Of durable appends, one every 5 ms."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        at = time.monotonic()
        call(connection, "POST", f"/v1/sessions/{session}/messages?durability=durable", key,
             {"role": "user", "content": "x" * 200})
        took.append(1000 * (time.monotonic() - at))
        time.sleep(max(0.0, 0.005 - (time.monotonic() - at)))
    return statistics.quantiles(took, n=100)[98]


def hammer(folder, port, key, session, seconds):
    script = os.path.join(folder, "hammer.lua")
    with open(script, "w", encoding="utf-8") as out:
        pause_ms = 1000 * CONNECTIONS // (QUOTA * TIMES)
        out.write(f"function delay() return {pause_ms} end\n"
                  f'request = function() return wrk.format("POST", "/v1/sessions/{session}/messages", '
                  f'{{["Content-Type"]="application/json", ["Authorization"]="Bearer {key}"}}, '
                  f"'{{\"role\":\"user\",\"content\":\"spam\"}}') end\n")
    return subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}"],
                            stdout=subprocess.PIPE, text=True)


def measure(folder, port, seconds, rounds):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with open(os.path.join(folder, "data", "admin.key"), encoding="ascii") as file:
        admin = file.read().strip()
    quiet = make_tenant(connection, admin, "quiet", {})
    loud = make_tenant(connection, admin, "loud", {"requests_per_s": QUOTA})
    quiet_session = call(connection, "POST", "/v1/sessions", quiet, {"user_id": "ada"})["id"]
    loud_session = call(connection, "POST", "/v1/sessions", loud, {"user_id": "bob"})["id"]
    alone, beside, asked = [], [], []
    for _ in range(rounds):
        alone.append(p99_ms(connection, quiet, quiet_session, seconds))
        load = hammer(folder, port, loud, loud_session, seconds + 1)
        time.sleep(0.5)
        beside.append(p99_ms(connection, quiet, quiet_session, seconds))
        said = load.communicate(timeout=seconds + 30)[0]
        asked.append(float(said.split("Requests/sec:")[1].split()[0]))
    return {"alone_p99_ms": round(statistics.median(alone), 2), "beside_p99_ms": round(statistics.median(beside), 2),
            "ratio": round(statistics.median(beside) / statistics.median(alone), 2),
            "asked_a_second": round(statistics.median(asked)), "quota_a_second": QUOTA}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, port = streams.start(arguments.program, folder)
        try:
            found = measure(folder, port, arguments.seconds, arguments.rounds)
        finally:
            process.terminate()
            process.wait(30)
    print(json.dumps(found))
    sys.exit(0 if found["ratio"] <= RATIO_MAX else 1)


if __name__ == "__main__":
    main()
