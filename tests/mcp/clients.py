"""The official clients and the official inspector against the program, over both transports, on one data folder.

usage: clients.py [--may-skip]    Exit codes: 0 all of them work, 1 something does not, 77 (with --may-skip) they cannot
be had.
"""

import json
import subprocess
import sys
from pathlib import Path

from mcp_client import PROGRAM, Service
from npm_tools import NotToBeHad, installed

LIMIT_S = 240


def inspect(program, modules, home, *words):
    """What the inspector's command line says, as JSON."""
    launcher = next((modules / "@modelcontextprotocol/inspector").glob("clients/launcher/build/index.js"))
    done = subprocess.run([str(program), str(launcher), "--cli", *words, "--format", "json"], capture_output=True,
                          text=True, timeout=LIMIT_S, check=False, cwd=home,
                          env={"HOME": str(home), "PATH": f"{program.parent}:/usr/bin:/bin"})
    if done.returncode != 0:
        raise AssertionError(f"mcp-inspector {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


def tools_of(said):
    return (said.get("result") or said)["tools"]


def main():
    try:
        program, modules = installed()
    except NotToBeHad as why:
        print(f"they cannot be had: {why}", file=sys.stderr)
        return 77 if "--may-skip" in sys.argv else 1
    service = Service()
    try:
        service.start()
        done = subprocess.run([str(program), str(Path(__file__).with_name("clients.mjs")), str(modules),
                               service.url + "/mcp", PROGRAM, str(service.data_dir)], timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            return 1
        over_http = tools_of(inspect(program, modules, service.folder, service.url + "/mcp", "--transport", "http",
                                     "--protocol-era", "modern", "--method", "tools/list", "--strict"))
        over_stdio = tools_of(inspect(program, modules, service.folder, PROGRAM, "mcp", "--data-dir",
                                      str(service.data_dir), "--method", "tools/list"))
        names = [each["name"] for each in over_http]
        assert names == [each["name"] for each in over_stdio], (names, over_stdio)
        print(f"ok inspector over both transports: {len(names)} tools")
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
