"""The library as a host meets it: installed into a folder, and used from outside this tree.

Run by ctest, after everything is built; COLLOQUY_BUILD_DIR names the build. What is made is in package-test there.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[2])
BUILD = Path(os.environ.get("COLLOQUY_BUILD_DIR") or SOURCE / "build/release")
CXX = os.environ.get("CXX", "c++")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize=null"] if os.environ.get("COLLOQUY_SANITIZE") == "1" else []
WORK = BUILD / "package-test"
PREFIX = WORK / "prefix"
COMPILERS = 2

# What the library is made with, and those who use it need not know.
HIDDEN = re.compile(r"/(libpq|nlohmann|boost|openssl|sqlite3|spdlog|fmt|jwt|simdjson|postgresql)[/.\-_]")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]


def run(*command, **more):
    more.setdefault("timeout", 600)
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, **more)


def said(process):
    return f"{process.args}\n{process.stdout[-4000:]}\n{process.stderr[-4000:]}"


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    installed = run("cmake", "--install", BUILD, "--prefix", PREFIX)
    if installed.returncode != 0:
        raise RuntimeError(said(installed))


class PackageTest(unittest.TestCase):
    def assert_ok(self, process):
        self.assertEqual(0, process.returncode, said(process))
        return process

    def folder(self):
        """One that has nothing to do with the source tree."""
        made = tempfile.TemporaryDirectory(prefix="colloquy-package-")
        self.addCleanup(made.cleanup)
        return Path(made.name)


class Installed(PackageTest):
    def test_what_is_installed(self):
        for path in ("bin/colloquy", "lib/libcolloquy.a", "lib/pkgconfig/colloquy.pc",
                     "lib/cmake/colloquy/colloquy-config.cmake", "lib/cmake/colloquy/colloquy-config-version.cmake",
                     "include/colloquy/colloquy.hpp", "share/doc/colloquy/colloquy.example.conf"):
            self.assertTrue((PREFIX / path).is_file(), path)
        shown = self.assert_ok(run(PREFIX / "bin/colloquy", "--version")).stdout
        alias = self.assert_ok(run(PREFIX / "bin/mcp-server-postgres", "--help")).stdout
        self.assertIn("--connection-string", alias)
        config = run("pkg-config", "--modversion", "colloquy", env=with_pkg_config()).stdout
        self.assertEqual(shown, "colloquy " + config)

    def test_nothing_installed_names_where_it_was_built(self):
        for folder in ("lib/cmake", "lib/pkgconfig", "include"):
            for file in sorted((PREFIX / folder).rglob("*")):
                if file.is_file():
                    text = file.read_text(encoding="utf-8")
                    for home in (str(SOURCE), str(BUILD), str(PREFIX)):
                        self.assertNotIn(home, text, file)

    def test_every_header_compiles_alone_and_shows_no_library_but_caf(self):
        headers = sorted((PREFIX / "include").rglob("*.hpp"))
        self.assertGreater(len(headers), 40)
        folder = self.folder()

        def compile_alone(header):
            name = header.relative_to(PREFIX / "include")
            file = folder / (str(name).replace("/", "_") + ".cpp")
            file.write_text(f"#include <{name}>\n#include <{name}>\n")
            return name, run(CXX, "-std=c++20", "-fsyntax-only", "-H", *WARNINGS, f"-I{PREFIX}/include", file)

        with concurrent.futures.ThreadPoolExecutor(COMPILERS) as pool:
            for name, process in pool.map(compile_alone, headers):
                self.assertEqual(0, process.returncode, said(process))
                included = re.findall(r"^\.+ (.*)$", process.stderr, re.MULTILINE)
                self.assertTrue(any(str(name) in each for each in included), name)
                self.assertEqual([], [each for each in included if HIDDEN.search(each)], name)
                self.assertEqual([], [each for each in included if each.startswith(str(SOURCE / ""))
                                      and not each.startswith(str(PREFIX))], name)

    def test_only_the_version_that_fits_is_found(self):
        folder = self.folder()
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(user LANGUAGES CXX)\n"
            "find_package(colloquy ${WANTED} REQUIRED)\nmessage(STATUS \"found ${colloquy_VERSION}\")\n")
        version = run(PREFIX / "bin/colloquy", "--version").stdout.split()[1]
        for wanted, is_found in ((version, True), (version.rsplit(".", 1)[0], True), ("99.0.0", False)):
            process = run("cmake", "-S", folder, "-B", folder / wanted, f"-DCMAKE_PREFIX_PATH={PREFIX}",
                          f"-DWANTED={wanted}")
            self.assertEqual(is_found, process.returncode == 0, said(process))
            if is_found:
                self.assertIn("found " + version, process.stdout)


def with_pkg_config():
    return {**os.environ, "PKG_CONFIG_PATH": str(PREFIX / "lib/pkgconfig")}


class PkgConfig(PackageTest):
    def test_a_program_is_built_by_pkg_config_alone(self):
        folder = self.folder()
        (folder / "main.cpp").write_text(
            "#include <colloquy/colloquy.hpp>\n#include <iostream>\n"
            "int main() {\n"
            "  auto message = colloquy::parse_message(R\"({\"role\":\"user\",\"content\":\"hello\"})\");\n"
            "  std::cout << colloquy::version << ' ' << message.has_value() << '\\n';\n"
            "  return message ? 0 : 1;\n}\n")
        words = self.assert_ok(run("pkg-config", "--cflags", "--libs", "colloquy", env=with_pkg_config())).stdout.split()
        self.assert_ok(run(CXX, "-std=c++20", *SANITIZE, folder / "main.cpp", "-o", folder / "main", *words))
        shown = self.assert_ok(run(folder / "main")).stdout.split()
        self.assertEqual("1", shown[1])


class Examples(PackageTest):
    """Programs outside the tree, each configured, built and run against what is installed."""

    def built(self, folder):
        self.assert_ok(run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={PREFIX}",
                           f"-DCMAKE_CXX_FLAGS={' '.join(SANITIZE)}"))
        cache = (folder / "build/CMakeCache.txt").read_text()
        self.assertNotIn(str(SOURCE) + "/CMakeLists", cache)
        self.assert_ok(run("cmake", "--build", folder / "build", "--parallel", COMPILERS))
        return folder / "build"

    def example(self, name):
        folder = self.folder() / name
        shutil.copytree(SOURCE / "examples" / name, folder)
        return self.built(folder)

    def start(self, program, *arguments, **more):
        """With nothing of the environment that could name another database."""
        keep = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
        return self.assert_ok(run(program, *arguments, env=keep, timeout=120, **more))

    def test_agents_that_echo_and_call_a_tool_run_turns(self):
        build = self.example("agents")
        shown = self.start(build / "agents", "--data-dir", self.folder() / "data").stdout
        for line in ("echo: turn 1 completed", "  user: hello", "  assistant: You said: hello",
                     "sum: turn 1 completed", "  assistant: calls call_1", "  tool: 42", "  assistant: That makes 42."):
            self.assertIn(line + "\n", shown)

    def test_a_chat_in_a_terminal_goes_on_where_it_was(self):
        build = self.example("chat")
        data = self.folder() / "data"
        shown = self.start(build / "chat", "--data-dir", data, input="one two three\n\n").stdout
        self.assertIn("> three two one\n", shown)
        shown = self.start(build / "chat", "--data-dir", data, input="\"quoted\" words\n").stdout
        self.assertEqual("> one two three\nthree two one\n> words \"quoted\"\n> \n", shown)

    def test_the_sample_in_the_readme_is_a_program(self):
        readme = (SOURCE / "README.md").read_text(encoding="utf-8").splitlines()
        start = readme.index("    #include <colloquy/colloquy.hpp>")
        end = next(at for at in range(start, len(readme)) if readme[at] and not readme[at].startswith("    "))
        folder = self.folder()
        (folder / "main.cpp").write_text("\n".join(line[4:] for line in readme[start:end]) + "\n", encoding="utf-8")
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(sample LANGUAGES CXX)\nfind_package(colloquy REQUIRED)\n"
            "add_executable(sample main.cpp)\ntarget_link_libraries(sample PRIVATE colloquy::colloquy)\n")
        shown = self.start(self.built(folder) / "sample", self.folder() / "data").stdout
        self.assertIn("completed: hello\n", shown)


@unittest.skipUnless(shutil.which("doxygen"), "needs doxygen")
class Docs(PackageTest):
    def docs(self, change=lambda text: text):
        headers = self.folder() / "include"
        shutil.copytree(PREFIX / "include", headers)
        header = headers / "colloquy/messages/content.hpp"
        header.write_text(change(header.read_text(encoding="utf-8")), encoding="utf-8")
        output = self.folder() / "docs"
        return output, run("python3", SOURCE / "library/make_docs.py", headers, output)

    def test_the_interface_is_documented_without_a_warning(self):
        output, process = self.docs()
        self.assert_ok(process)
        self.assertEqual("", process.stderr)
        self.assertIn("session_handle", (output / "html/annotated.html").read_text(encoding="utf-8"))

    def test_a_comment_that_is_wrong_fails(self):
        _, process = self.docs(lambda text: text.replace("result<void> check_json", "/// @param nobody is not there\nresult<void> check_json"))
        self.assertNotEqual(0, process.returncode)
        self.assertIn("nobody", process.stderr)


class Packages(PackageTest):
    """The .deb files, looked into; nothing is installed."""

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps") and shutil.which("cpack"), "needs dpkg-dev and cpack")
    def test_one_package_for_program_library_and_headers_each(self):
        folder = WORK / "packages"
        self.assert_ok(run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", folder))
        packages = {file.name.split("_")[0]: file for file in folder.glob("*.deb")}
        self.assertEqual({"colloquy", "libcolloquy-dev", "libcolloquy-headers"}, set(packages))
        listed = {name: self.assert_ok(run("dpkg-deb", "--contents", file)).stdout for name, file in packages.items()}
        field = lambda name, wanted: run("dpkg-deb", "--field", packages[name], wanted).stdout
        self.assertIn("./usr/bin/colloquy\n", listed["colloquy"])
        self.assertNotIn("/include/", listed["colloquy"] + listed["libcolloquy-dev"])
        self.assertRegex(listed["libcolloquy-dev"], r"\./usr/lib/.*libcolloquy\.a\n")
        self.assertIn("colloquy-config.cmake\n", listed["libcolloquy-dev"])
        self.assertIn("./usr/include/colloquy/colloquy.hpp\n", listed["libcolloquy-headers"])
        self.assertRegex(field("colloquy", "Depends"), r"libpq5\b.*libssl|libssl.*libpq5\b")
        self.assertIn("libcolloquy-headers (= ", field("libcolloquy-dev", "Depends"))
        self.assertIn("libcaf-dev", field("libcolloquy-headers", "Depends"))
        self.assertEqual("all\n", field("libcolloquy-headers", "Architecture"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
