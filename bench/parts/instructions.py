"""How many instructions the parts of the hot path take, counted by callgrind: the same on a busy machine and on an idle one.

    instructions.py check --program P    fails if a part takes more than 5 % above what is written down in instructions.json
    instructions.py accept --program P   writes down what it takes now

Exits with 77, which means skipped, where there is no valgrind, where nothing is written down, or where another compiler than
the one that is written down has made the program: the figures are one compiler's.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).resolve().parent / "instructions.json"
SKIPPED = 77
RISE_MAX = 0.05
# Part and how often: twice, so that what happens once in a run falls out of the difference.
TIMES = {"message": (200, 1200), "page": (20, 220), "filter": (50, 550), "batch": (3, 23), "lookup": (300, 1300),
         "append": (300, 1300)}


def count(program, part, times):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=colloquy::bench::counted*",
             f"--callgrind-out-file={folder}/out", str(program), part, "--times", str(times)],
            capture_output=True, text=True, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or found.group(1) == "0":
        raise SystemExit(f"instructions.py: callgrind of {part}: {done.stderr[-2000:]}")
    return int(found.group(1))


def measure(program, part):
    few, many = TIMES[part]
    return (count(program, part, many) - count(program, part, few)) / (many - few)


def compiler_of(program):
    """As it is named in the program itself."""
    read = subprocess.run(["readelf", "-p", ".comment", str(program)], capture_output=True, text=True)
    names = re.findall(r"\]\s+(.*)", read.stdout)
    return names[0].strip() if names else "unknown"


def check(found, written):
    """Complaints, one a part."""
    out = []
    for part, figure in found.items():
        wanted = written["instructions"].get(part)
        if wanted is None:
            out.append(f"{part} takes {figure} instructions and is not written down")
        elif figure > wanted * (1 + RISE_MAX):
            out.append(f"{part} takes {figure} instructions, {figure / wanted - 1:+.1%} against the {wanted} written down; "
                       f"{RISE_MAX:.0%} are allowed")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["check", "accept", "show"])
    parser.add_argument("--program", type=Path, required=True)
    options = parser.parse_args()
    try:
        subprocess.run(["valgrind", "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        print("skipped: there is no valgrind here; ./dev bench instructions installs it")
        return SKIPPED
    compiler = compiler_of(options.program)
    if options.what == "check" and not FILE.is_file():
        print("skipped: nothing is written down yet; ./dev bench accept-instructions does it")
        return SKIPPED
    written = json.loads(FILE.read_text()) if FILE.is_file() else {"compiler": compiler, "instructions": {}}
    if options.what == "check" and written["compiler"] != compiler:
        print(f"skipped: made by {compiler}, and the figures are of {written['compiler']}")
        return SKIPPED
    found = {part: round(measure(options.program, part)) for part in TIMES}
    for part, figure in found.items():
        wanted = written["instructions"].get(part)
        print(f"{part:8} {figure:10}" + (f"  {figure / wanted - 1:+7.2%}" if wanted else ""), flush=True)
    if options.what == "accept":
        FILE.write_text(json.dumps({"compiler": compiler, "instructions": found}, indent=2) + "\n")
        print(f"written to {FILE.name}")
    elif options.what == "check":
        complaints = check(found, written)
        for each in complaints:
            print(each)
        if complaints:
            print("if that is meant: ./dev bench accept-instructions, and say in the commit what it buys")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
