"""The OpenAPI document that the program serves, held against a linter from npm with its recommended rules.

usage: lint.py [--may-skip]    Exit codes: 0 nothing found, 1 something, 77 (with --may-skip) the linter cannot be had.
"""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parent.parent.parent)
sys.path.insert(0, str(SOURCE_DIR / "tests/http"))

from support.service import Service  # noqa: E402

PACKAGE, VERSION = "@stoplight/spectral-cli", "6.15.0"
NODE_MIN = 18
FOLDER = SOURCE_DIR / "build/openapi-lint"
INSTALL_LIMIT_S = 240


class NotToBeHad(Exception):
    pass


def check_node():
    if not shutil.which("node") or not shutil.which("npm"):
        raise NotToBeHad("there is no node with npm")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v(\d+)", said)
    if not major or int(major.group(1)) < NODE_MIN:
        raise NotToBeHad(f"node {said.strip()} is too old: the linter needs {NODE_MIN}")


def linter():
    """Its program; installed once, of the version that is pinned, without running what packages bring."""
    check_node()
    program = FOLDER / "node_modules/.bin/spectral"
    mark = FOLDER / "installed"
    if program.exists() and mark.exists() and mark.read_text() == VERSION:
        return program
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as why:
        raise NotToBeHad(f"npm took more than {INSTALL_LIMIT_S} s") from why
    if done.returncode != 0:
        raise NotToBeHad("npm could not install it: " + done.stderr.strip()[-300:])
    mark.write_text(VERSION)
    return program


def document():
    service = Service()
    try:
        service.start()
        with urllib.request.urlopen(service.url + "/openapi.json", timeout=30) as reply:
            return reply.read()
    finally:
        service.close()


def main():
    try:
        program = linter()
    except NotToBeHad as why:
        print(f"the linter cannot be had: {why}", file=sys.stderr)
        return 77 if "--may-skip" in sys.argv else 1
    (FOLDER / "openapi.json").write_bytes(document())
    (FOLDER / "rules.yml").write_text("extends: [[spectral:oas, recommended]]\n")
    done = subprocess.run([str(program), "lint", "--ruleset", "rules.yml", "--fail-severity", "hint", "openapi.json"],
                          cwd=FOLDER, check=False, timeout=240)
    return 0 if done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
