"""What every source file must keep to, as far as a script can tell.

Run as it is, or by ctest. The tree looked at is COLLOQUY_SOURCE_DIR, else the one this file is in.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

LINES_MAX = 450  # a file is to be held in the head; past this it has two subjects
LINE_LIMITED = {".hpp", ".cpp", ".py", ".sql"}
TEXT = LINE_LIMITED | {".cmake", ".txt", ".json", ".md", ".sh", ".yml", ".yaml", ".toml", ".html", ".js", ".css", ""}
# Recorded conversations say what they said.
DATA = ("examples/",)
SKIPPED_FOLDERS = {".git", "build", "__pycache__", "node_modules"}

# Homes of some machine: nobody else has them.
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root)/\w")

# GCC 12 destroys an aggregate twice that is made inside an awaited expression (gateway/README.md). As far as a line shows.
AWAITED_AGGREGATE = re.compile(r"\bco_await\b[^;]*[(,]\s*(?:[a-z_]\w*(?:::\w+)*)?\{")


def source_files(root):
    """Paths below root, relative: what git tracks or would track, or everything where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."],
            check=True, capture_output=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            listed += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(path for path in set(listed) if path and (root / path).is_file())


def first_code(text):
    """The first line that is neither empty nor #pragma once."""
    for line in text.splitlines():
        if line.strip() and not re.match(r"\s*#\s*pragma\s+once\b", line):
            return line.strip()
    return ""


def complaints(root):
    root = Path(root)
    paths = source_files(root)
    found = []
    for path in paths:
        file = Path(path)
        if file.suffix not in TEXT:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            found.append(f"{path}: not UTF-8")
            continue
        lines = text.splitlines()
        if file.suffix in LINE_LIMITED and len(lines) > LINES_MAX:
            found.append(f"{path}: {len(lines)} lines; {LINES_MAX} are allowed")
        if file.suffix == ".hpp" and not re.search(r"^#pragma once$", text, re.MULTILINE):
            found.append(f"{path}: no #pragma once")
        if file.suffix in {".hpp", ".cpp"}:
            for number, line in enumerate(lines, 1):
                if AWAITED_AGGREGATE.search(line.split("//")[0]):
                    found.append(f"{path}:{number}: an aggregate inside an awaited expression: name it first")
        if not path.startswith(DATA):
            for number, line in enumerate(lines, 1):
                if MACHINE_PATH.search(line):
                    found.append(f"{path}:{number}: a path of one machine: {line.strip()[:80]}")
        if path.startswith("actors/") and file.suffix == ".hpp" and str(file.with_suffix(".cpp")) in paths:
            if not first_code(text).startswith(("//", "/*")):
                found.append(f"{path}: an actor's header opens with a comment, its protocol")
    return found


SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parent.parent)


class Style(unittest.TestCase):
    def test_sources(self):
        found = complaints(SOURCE_DIR)
        if found:
            self.fail("\n" + "\n".join(found))


class PlantedViolations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def assert_found(self, path, text, part):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        found = complaints(self.root)
        file.unlink()
        if part is None:
            self.assertEqual([], found)
        else:
            self.assertEqual(1, len(found), found)
            self.assertIn(part, found[0])

    def test_long_files(self):
        self.assert_found("db/a.cpp", "\n" * LINES_MAX, None)
        self.assert_found("db/a.cpp", "\n" * (LINES_MAX + 1), f"{LINES_MAX + 1} lines")
        self.assert_found("docs/a.md", "\n" * (LINES_MAX + 1), None)

    def test_pragma_once(self):
        self.assert_found("db/a.hpp", "struct a;\n", "#pragma once")
        self.assert_found("db/a.hpp", "// why\n#pragma once\n", None)

    def test_machine_paths(self):
        for home in ("work", "root"):
            self.assert_found("db/a.cpp", f'"/{home}/main"\n', "a path of one machine")
            self.assert_found("db/a.cpp", f'"https://example.org/{home}/main"\n', None)
        self.assert_found("examples/a.txt", "/" + "root/a\n", None)

    def test_aggregates_in_awaited_expressions(self):
        for line in ("co_await ask(get_session{a, b});", "x(200, co_await ask(to, wanted{}));", "co_await f(of, {a, b});"):
            self.assert_found("gateway/a.cpp", line + "\n", "aggregate")
        for line in ("co_await ask(std::move(wanted));", "get_session wanted{a};", "co_await spawn([&] { return 1; });"):
            self.assert_found("gateway/a.cpp", line + "\n", None)

    def test_an_actors_header_opens_with_its_protocol(self):
        (self.root / "actors").mkdir()
        (self.root / "actors/a.cpp").write_text("")
        self.assert_found("actors/a.hpp", "#pragma once\n#include <b>\n", "protocol")
        self.assert_found("actors/a.hpp", "#pragma once\n\n// Accepts\n", None)
        self.assert_found("actors/a.hpp", "// Accepts\n#pragma once\n", None)
        self.assert_found("actors/alone.hpp", "#pragma once\nstruct b;\n", None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
