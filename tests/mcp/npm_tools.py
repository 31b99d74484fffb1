"""What of npm the tests of the Model Context Protocol use: installed once, of versions that are pinned, into build/."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[2])
FOLDER = SOURCE_DIR / "build/mcp-tools"
CACHE = SOURCE_DIR / "build/npm-cache"
INSTALL_LIMIT_S = 300

NODE = "node@22"
PACKAGES = ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "@modelcontextprotocol/inspector@2.12.0",
            "@modelcontextprotocol/sdk@1.32.2", "@modelcontextprotocol/client@2.4.0"]


class NotToBeHad(Exception):
    pass


def _npm(folder, packages, more):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-audit", "--no-fund", "--save-exact", "--cache", str(CACHE), *more, *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as why:
        raise NotToBeHad(f"npm took more than {INSTALL_LIMIT_S} s") from why
    if done.returncode != 0:
        raise NotToBeHad("npm could not install them: " + done.stderr.strip()[-300:])


def node():
    """A node that is new enough: as an npm package, since few distributions have it. That package's own script fetches
    what is of this machine's kind; of the others no script is run."""
    program = FOLDER / "node/node_modules/.bin/node"

    def version():
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
        return said.strip().lstrip("v")
    if not program.exists() or not version().startswith("22."):
        _npm(FOLDER / "node", [NODE], [])
    if not program.exists() or not version().startswith("22."):
        raise NotToBeHad("npm's package node gave no program")
    return program


def installed():
    """(node, node_modules), or NotToBeHad."""
    if not shutil.which("npm"):
        raise NotToBeHad("there is no npm")
    mark = FOLDER / "packages/installed"
    wanted = "\n".join(PACKAGES)
    program = node()
    if not mark.exists() or mark.read_text() != wanted:
        _npm(FOLDER / "packages", PACKAGES, ["--ignore-scripts"])
        mark.write_text(wanted)
    return program, FOLDER / "packages/node_modules"
