"""The rooms and the arrows between them: an #include or a link line against them fails here.

Run as it is, or by ctest. The tree looked at is COLLOQUY_SOURCE_DIR, else the one this file is in.
"""

import os
import re
import tempfile
import unittest
from pathlib import Path

ALL = None
MAY_USE = {
    "messages": set(),
    "config": {"messages"},
    "db": {"messages", "config"},
    "actors": {"messages", "config", "db"},
    "gateway": {"messages", "config", "actors"},
    "cli": ALL,
    "tests": ALL,
    "bench": ALL,
    "library": {"messages", "config", "db", "actors"},
}

NO_ROOMS = {"library"}  # what shows rooms to others; its target is made of theirs

SOURCE_SUFFIXES = {".hpp", ".cpp", ".h", ".ipp", ".inl"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

CAF = re.compile(r"^caf/")
LIBPQ = re.compile(r"^(postgresql/)?(libpq-fe\.h|libpq/|libpq-events\.h)")
IMPLEMENTATION_LIBRARIES = re.compile(r"^(nlohmann|boost)/")
# The only headers of messages/ that may name CAF: the typed actor interfaces.
INTERFACE_HEADER = re.compile(r"(_interface|^actor_interfaces|^caf_.*)\.hpp$")

LIBRARY_HOMES = {
    "CAF::core": {"actors", "gateway", "cli"},
    "PostgreSQL::PostgreSQL": {"db"},
}


def room_of_include(root, file, path):
    """The room that an include leads to, or None if it leads outside the tree."""
    first = path.split("/", 1)[0]
    if first in MAY_USE and "/" in path:
        return first
    beside = (file.parent / path).resolve()
    if beside.is_file() and root in beside.parents:
        first = beside.relative_to(root).parts[0]
        return first if first in MAY_USE else None
    return None


def library_complaint(room, file, path):
    if CAF.match(path):
        if room in ("db", "config"):
            return "CAF has no place in " + room + "/"
        if room == "messages" and not INTERFACE_HEADER.search(file.name):
            return "in messages/ only *_interface.hpp, actor_interfaces.hpp and caf_*.hpp may name CAF"
    if LIBPQ.match(path) and room not in ("db", "tests", "bench"):
        return "libpq stays in db/"
    if IMPLEMENTATION_LIBRARIES.match(path) and room in ("messages", "config") and file.suffix != ".cpp":
        return "the headers of " + room + "/ are installed and name no JSON library and no Boost"
    return None


def include_complaints(root):
    root = Path(root).resolve()
    found = []
    for room, may_use in MAY_USE.items():
        for file in sorted((root / room).rglob("*")):
            if file.suffix not in SOURCE_SUFFIXES or not file.is_file():
                continue
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                path = match.group(2)
                complaint = library_complaint(room, file, path)
                other = room_of_include(root, file, path)
                if other and other != room and may_use is not ALL and other not in may_use:
                    allowed = ", ".join(sorted(may_use)) or "nothing of ours"
                    complaint = f"{room}/ may use {allowed}, not {other}/"
                if complaint:
                    found.append(f"{file.relative_to(root)}:{number}: {path}: {complaint}")
    return found


def declared_rooms(cmake_text):
    """{room: {"ROOMS": [...], "LIBRARIES": [...]}} of the colloquy_room(...) calls."""
    text = re.sub(r"#[^\n]*", "", cmake_text)
    rooms = {}
    for call in re.findall(r"\bcolloquy_room\s*\(([^)]*)\)", text):
        name, *words = call.split()
        lists = {"ROOMS": [], "LIBRARIES": []}
        current = None
        for word in words:
            if re.fullmatch(r"[A-Z_]+", word):
                current = lists.setdefault(word, [])
            elif current is not None:
                current.append(word)
        rooms[name] = lists
    return rooms


def link_complaints(root):
    root = Path(root)
    text = (root / "CMakeLists.txt").read_text(encoding="utf-8")
    rooms = declared_rooms(text)
    found = [] if rooms else ["CMakeLists.txt: no colloquy_room() calls"]
    for name, lists in rooms.items():
        if name not in MAY_USE:
            found.append(f"CMakeLists.txt: colloquy_room({name}): there is no such room")
            continue
        linked = set(lists["ROOMS"])
        optional = set()
        expected = MAY_USE[name]
        if expected is ALL:
            optional = {"bench", "tests"} - {name}
            expected = set(rooms) - {name} - {"bench", "tests"}
        for other in sorted(expected - linked):
            found.append(f"CMakeLists.txt: colloquy_room({name}) lacks the arrow to {other}")
        for other in sorted(linked - expected - optional):
            found.append(f"CMakeLists.txt: colloquy_room({name}) has an arrow to {other} that the table has not")
        for library, homes in LIBRARY_HOMES.items():
            if library in lists["LIBRARIES"] and name not in homes:
                found.append(f"CMakeLists.txt: colloquy_room({name}) links {library}, which stays in {sorted(homes)}")
    around = re.compile(r"target_link_libraries\s*\(\s*colloquy_(" + "|".join(MAY_USE.keys() - NO_ROOMS) + r")\s")
    for file in [root / "CMakeLists.txt", *sorted(root.glob("cmake/*.cmake")), *sorted(root.glob("*/CMakeLists.txt"))]:
        if not file.is_file() or file.parent.name in ("tests", "bench"):
            continue
        for match in around.finditer(re.sub(r"#[^\n]*", "", file.read_text(encoding="utf-8"))):
            found.append(f"{file.relative_to(root)}: colloquy_{match.group(1)} is linked around colloquy_room()")
    return found


SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parent.parent)


class Rooms(unittest.TestCase):
    def assert_none(self, found):
        if found:
            self.fail("\n" + "\n".join(found))

    def test_includes_follow_the_arrows(self):
        self.assert_none(include_complaints(SOURCE_DIR))

    def test_link_lines_are_the_arrows(self):
        self.assert_none(link_complaints(SOURCE_DIR))


GOOD_CMAKE = """
# colloquy_room(db ROOMS actors)
colloquy_room(messages LIBRARIES nlohmann_json::nlohmann_json)
colloquy_room(config ROOMS messages)
colloquy_room(db ROOMS messages config LIBRARIES PostgreSQL::PostgreSQL)
colloquy_room(actors ROOMS messages config db
              LIBRARIES CAF::core PRECOMPILE_CAF)
colloquy_room(cli ROOMS messages config db actors LIBRARIES CAF::core)
"""


class PlantedViolations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def plant(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def assert_found(self, path, include, found):
        self.plant(path, "#pragma once\n" + include + "\n")
        complaints = include_complaints(self.root)
        (self.root / path).unlink()
        self.assertEqual(1 if found else 0, len(complaints), f"{path}: {include}: {complaints}")
        if found:
            self.assertTrue(complaints[0].startswith(path + ":2: "), complaints[0])

    def test_an_include_against_the_arrows(self):
        for path, other in [
            ("messages/a.hpp", "config/b.hpp"),
            ("config/a.cpp", "db/b.hpp"),
            ("db/a.cpp", "actors/b.hpp"),
            ("db/deep/a.hpp", "gateway/b.hpp"),
            ("actors/a.hpp", "gateway/b.hpp"),
            ("actors/a.cpp", "tests/support/b.hpp"),
            ("gateway/a.cpp", "db/b.hpp"),
        ]:
            self.assert_found(path, f'#include "{other}"', True)
            self.assert_found(path, f"  #  include <{other}>", True)

    def test_an_include_along_the_arrows(self):
        for path, other in [
            ("messages/a.hpp", "messages/b.hpp"),
            ("db/a.cpp", "messages/b.hpp"),
            ("actors/a.hpp", "db/b.hpp"),
            ("gateway/a.cpp", "actors/b.hpp"),
            ("cli/a.cpp", "gateway/b.hpp"),
            ("bench/a.cpp", "tests/support/b.hpp"),
        ]:
            self.assert_found(path, f'#include "{other}"', False)
        self.assert_found("db/a.cpp", '// #include "actors/b.hpp"', False)

    def test_a_way_round_by_dots(self):
        self.plant("actors/session.hpp", "")
        self.assert_found("db/a.cpp", '#include "../actors/session.hpp"', True)
        self.assert_found("cli/a.cpp", '#include "../actors/session.hpp"', False)

    def test_caf_where_it_must_not_be(self):
        self.assert_found("db/a.cpp", "#include <caf/all.hpp>", True)
        self.assert_found("config/a.hpp", '#include "caf/actor.hpp"', True)
        self.assert_found("messages/session.hpp", "#include <caf/all.hpp>", True)
        for name in ("session_interface.hpp", "actor_interfaces.hpp", "caf_type_ids.hpp"):
            self.assert_found("messages/" + name, "#include <caf/all.hpp>", False)
        self.assert_found("actors/a.hpp", "#include <caf/all.hpp>", False)

    def test_libpq_outside_db(self):
        for path in ("actors/a.hpp", "gateway/a.cpp", "cli/a.cpp", "messages/a.hpp", "config/a.hpp"):
            self.assert_found(path, "#include <libpq-fe.h>", True)
        self.assert_found("actors/a.cpp", "#include <postgresql/libpq-fe.h>", True)
        self.assert_found("db/a.hpp", "#include <libpq-fe.h>", False)

    def test_libraries_in_installed_headers(self):
        self.assert_found("messages/a.hpp", "#include <nlohmann/json.hpp>", True)
        self.assert_found("config/a.hpp", "#include <boost/asio.hpp>", True)
        self.assert_found("messages/a.cpp", "#include <nlohmann/json.hpp>", False)

    def test_link_lines(self):
        self.plant("CMakeLists.txt", GOOD_CMAKE)
        self.assertEqual([], link_complaints(self.root))
        for before, after in [
            ("db ROOMS messages config", "db ROOMS messages config actors"),
            ("config ROOMS messages", "config"),
            ("cli ROOMS messages config db actors", "cli ROOMS messages config actors"),
            ("config ROOMS messages", "config ROOMS messages LIBRARIES CAF::core"),
            ("colloquy_room(config", "colloquy_room(configuration"),
            ("PRECOMPILE_CAF)", "PostgreSQL::PostgreSQL)"),
            ("\n# colloquy_room", "\ntarget_link_libraries(colloquy_db PUBLIC colloquy_actors)\n#"),
        ]:
            self.assertIn(before, GOOD_CMAKE)
            self.plant("CMakeLists.txt", GOOD_CMAKE.replace(before, after))
            self.assertNotEqual([], link_complaints(self.root), after)


if __name__ == "__main__":
    unittest.main(verbosity=2)
