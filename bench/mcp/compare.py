"""What an agent's `SELECT 1` takes through each door, beside psql on the same server, and how large our list of tools is
beside those of other servers. `./dev bench mcp` runs it.

Each door is asked one call after another, in turn and repeated: medians of all rounds.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/mcp"))

# Public servers of comparable use, as their packages are on npm; what each needs to be started without asking anybody.
OTHERS = {
    "@modelcontextprotocol/server-filesystem@2026.8.31": ["mcp-server-filesystem", "{folder}"],
    "@modelcontextprotocol/server-memory@2026.8.31": ["mcp-server-memory"],
    "@modelcontextprotocol/server-postgres@0.6.2": ["mcp-server-postgres", "postgresql://nobody@localhost/none"],
    "@playwright/mcp@0.0.83": ["playwright-mcp"],
    "@notionhq/notion-mcp-server@2.5.2": ["notion-mcp-server"],
}
BYTES_A_TOKEN = 4  # of JSON in English, about


class Psql:
    """One psql for all statements, as a person has it open."""

    def __init__(self, data_dir):
        self.process = subprocess.Popen(["psql", "-XqAt", "-h", str(data_dir / "postgres/socket"), "-U", "postgres", "-d",
                                         "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def select_one(self):
        self.process.stdin.write(b"SELECT 1;\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"1\n"

    def close(self):
        self.process.kill()
        self.process.wait()


class McpStdio:
    def __init__(self, client):
        self.client = client
        client.initialize()
        self.handle = client.call("open_database_session")["structuredContent"]["id"]

    def select_one(self):
        told = self.client.call("execute_sql", database_session_id=self.handle, sql="SELECT 1")
        assert told["structuredContent"]["rows"] == [[1]]


class Kept:
    """Requests over one connection that is kept, with the headers that each has."""

    def __init__(self, service, headers):
        self.connection = http.client.HTTPConnection(service.host, service.port, timeout=60)
        self.headers = {"Content-Type": "application/json", **headers}

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), self.headers)
        return json.loads(self.connection.getresponse().read())


class McpHttp:
    def __init__(self, service):
        self.kept = Kept(service, {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
                                   "Mcp-Method": "tools/call"})
        self.handle = self.call("open_database_session", {})["structuredContent"]["id"]

    def call(self, tool, arguments):
        from mcp_client import modern_meta
        self.kept.headers["Mcp-Name"] = tool
        return self.kept.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": tool, "arguments": arguments, "_meta": modern_meta()}})["result"]

    def select_one(self):
        told = self.call("execute_sql", {"database_session_id": self.handle, "sql": "SELECT 1"})
        assert told["structuredContent"]["rows"] == [[1]]


class Rest:
    def __init__(self, service):
        self.kept = Kept(service, {})
        self.path = "/v1/database-sessions/" + self.kept.post("/v1/database-sessions", {})["id"] + "/execute"

    def select_one(self):
        assert self.kept.post(self.path, {"sql": "SELECT 1"})["rows"] == [[1]]


def measure_latency(doors, options):
    times = {name: [] for name in doors}
    for _ in range(options.rounds):
        for name, door in doors.items():
            for _ in range(options.calls // 10):
                door.select_one()
            for _ in range(options.calls):
                begun = time.perf_counter()
                door.select_one()
                times[name].append((time.perf_counter() - begun) * 1000)
    return times


def shown_latency(times):
    base = statistics.median(times["psql"])
    lines = ["| `SELECT 1` | median ms | p99 ms | of psql's median |", "| --- | --- | --- | --- |"]
    for name, all_of in times.items():
        median = statistics.median(all_of)
        p99 = statistics.quantiles(all_of, n=100)[98]
        lines.append(f"| {name} | {median:.3f} | {p99:.3f} | {median / base:.2f} × |")
    return "\n".join(lines)


def tools_of(command, environment):
    """Its list as it comes over the pipe, whole."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=environment)

    def ask(number, method, params):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n")
        process.stdin.flush()
        while line := process.stdout.readline():
            told = json.loads(line)
            if told.get("id") == number:
                return told["result"]
        raise RuntimeError(f"{command[0]} ended")
    try:
        ask(1, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                              "clientInfo": {"name": "bench", "version": "1"}})
        process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        tools, cursor = [], None
        while True:
            page = ask(2 + len(tools), "tools/list", {"cursor": cursor} if cursor else {})
            tools += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return tools
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def row_of(name, tools):
    def size(what):
        return len(json.dumps(what, separators=(",", ":"), ensure_ascii=False).encode())
    whole = size(tools)
    shown = size([{k: each[k] for k in ("name", "description", "inputSchema") if k in each} for each in tools])
    return f"| {name} | {len(tools)} | {whole:,} | {shown:,} | {shown // BYTES_A_TOKEN:,} | {shown // max(1, len(tools)):,} |"


def shown_lists(ours, options, folder):
    lines = ["| server | tools | bytes of the list | of name, description, arguments | in tokens, about | bytes a tool |",
             "| --- | --- | --- | --- | --- | --- |", row_of("Colloquy", ours)]
    target = options.build / "mcp-others"
    target.mkdir(parents=True, exist_ok=True)
    for package, command in OTHERS.items():
        place = target / package.replace("/", "_")
        if not (place / "node_modules/.bin").is_dir():
            place.mkdir(exist_ok=True)
            (place / "package.json").write_text('{"private": true}\n')
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package], cwd=place,
                                  capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                lines.append(f"| {package} | not to be had: {done.stderr.strip().splitlines()[-1][:80]} | | | | |")
                shutil.rmtree(place, ignore_errors=True)
                continue
        program = place / "node_modules/.bin" / command[0]
        try:
            tools = tools_of([str(program), *(each.format(folder=folder) for each in command[1:])], dict(os.environ))
            lines.append(row_of(package, tools))
        except (OSError, RuntimeError, ValueError, KeyError) as why:
            lines.append(f"| {package} | does not start: {why} | | | | |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench mcp", description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500, help="a door and round [500]")
    parser.add_argument("--lists-only", action="store_true", help="no latency")
    options = parser.parse_args()
    options.build = options.build.resolve()
    os.environ["COLLOQUY_PROGRAM"] = str(options.program.resolve())
    from mcp_client import Service, Stdio
    folder = Path(tempfile.mkdtemp(prefix="colloquy-mcp-bench-", dir="/tmp"))
    load = os.getloadavg()[0]
    service = Service().start()
    closing = [service.close]
    try:
        alone = Stdio(folder / "data", home=folder)
        closing.append(alone.close)
        through = Stdio(service.data_dir, home=service.folder)
        closing.append(through.close)
        doors = {"psql": Psql(service.data_dir), "HTTP, /execute": Rest(service), "MCP over HTTP": McpHttp(service),
                 "MCP over the pipe": McpStdio(alone), "MCP over the pipe, through the folder's owner": McpStdio(through)}
        closing.append(doors["psql"].close)
        tools = alone.ask("tools/list")["result"]["tools"]
        if not options.lists_only:
            print(shown_latency(measure_latency(doors, options)))
            print(f"\n{options.rounds} rounds of {options.calls} calls, one after another; load of the machine {load:.1f} before, "
                  f"{os.getloadavg()[0]:.1f} after\n")
        print(shown_lists(tools, options, folder))
    finally:
        for each in reversed(closing):
            each()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
