"""Writes the library's interface as web pages, from the headers as they are installed: make_docs.py HEADERS OUTPUT.

A comment that Doxygen cannot make sense of fails it: a name that is not there, a parameter that does not exist. What
has no comment is no mistake: names that say all need none.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def file_comment(text):
    """A header's opening comment, which is plain text, as Doxygen takes it: of the file, before anything else."""
    lines = text.split("\n")
    count = next((at for at, line in enumerate(lines) if not line.startswith("//")), len(lines))
    if count == 0:
        return text
    said = [line[2:].removeprefix(" ") for line in lines[:count]]
    return "\n".join(["/** @file", "@verbatim", *said, "@endverbatim", "*/", *lines[count:]])


def for_doxygen(text):
    """What Doxygen takes for something else: an address for a command of its own, a name in std for one of ours."""
    text = re.sub(r"(?<=\w)@(?=\w)", r"\\@", file_comment(text))
    return re.sub(r"(template <[^\n]*>\nstruct std::hash<.*?\n};\n)", r"/// @cond\n\1/// @endcond\n", text, flags=re.DOTALL)


def main():
    headers, output = map(pathlib.Path, sys.argv[1:3])
    version = re.search(r'version = "([0-9.]+)"', (headers / "colloquy/messages/version.hpp").read_text()).group(1)
    copied = output / "headers"
    for header in sorted(headers.rglob("*.hpp")):
        place = copied / header.relative_to(headers)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(for_doxygen(header.read_text(encoding="utf-8")), encoding="utf-8")
    settings = (HERE / "Doxyfile").read_text()
    settings += f'\nPROJECT_NUMBER = {version}\nINPUT = "{copied}" "{HERE / "mainpage.md"}"\n'
    settings += f'OUTPUT_DIRECTORY = "{output}"\nSTRIP_FROM_PATH = "{copied}"\nUSE_MDFILE_AS_MAINPAGE = "{HERE / "mainpage.md"}"\n'
    sys.exit(subprocess.run(["doxygen", "-"], input=settings, text=True).returncode)


main()
