"""The public conformance suite of the Model Context Protocol against the fixture server, with both requirement sets.

usage: conformance.py [--may-skip] [SCENARIO...]    Exit codes: 0 all that is required passes, 1 something does not,
77 (with --may-skip) the suite cannot be had.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from npm_tools import SOURCE_DIR, NotToBeHad, installed

FIXTURE = os.environ.get("COLLOQUY_MCP_FIXTURE") or str(SOURCE_DIR / "build/release/tests/mcp/mcp_fixture")
REQUIREMENTS = ("2026-07-28", "2025-11-25")
RUN_LIMIT_S = 240
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Fixture:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="colloquy-mcp-", dir="/tmp")
        self.process = subprocess.Popen([FIXTURE, self.folder + "/data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.url = self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return code


def run(program, modules, url, requirement):
    suite = modules / "@modelcontextprotocol/conformance/dist/index.js"
    with tempfile.TemporaryDirectory(prefix="colloquy-mcp-results-") as results:
        done = subprocess.run([str(program), str(suite), "server", "--url", url, "--requirements", requirement],
                              cwd=results, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
    said = COLOURS.sub("", done.stdout + done.stderr)
    at = said.rfind("SUMMARY")
    print(f"== {requirement}: exit code {done.returncode}")
    print(said[at:] if at >= 0 and done.returncode == 0 else said[-12000:])
    return done.returncode == 0


def run_one(program, modules, url, scenario):
    suite = modules / "@modelcontextprotocol/conformance/dist/index.js"
    with tempfile.TemporaryDirectory(prefix="colloquy-mcp-results-") as results:
        return subprocess.run([str(program), str(suite), "server", "--url", url, "--scenario", scenario, "--verbose"],
                              cwd=results, timeout=RUN_LIMIT_S, check=False).returncode == 0


def main():
    scenarios = [each for each in sys.argv[1:] if not each.startswith("--")]
    try:
        program, modules = installed()
    except NotToBeHad as why:
        print(f"the suite cannot be had: {why}", file=sys.stderr)
        return 77 if "--may-skip" in sys.argv else 1
    fixture = Fixture()
    try:
        if not fixture.url.startswith("http"):
            print("the fixture did not start", file=sys.stderr)
            return 1
        if scenarios:
            passed = all([run_one(program, modules, fixture.url, each) for each in scenarios])
        else:
            passed = all([run(program, modules, fixture.url, each) for each in REQUIREMENTS])
    finally:
        code = fixture.close()
    if code != 0:
        print(f"the fixture ended with {code}", file=sys.stderr)
    return 0 if passed and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
