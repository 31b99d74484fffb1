"""Makes a copy of a source file with one fault in it: plant_fault.py SOURCE COPY TEXT INSTEAD

The text must be there exactly once, blanks and line breaks counting as one blank, so that a fault cannot get lost
unnoticed when the source changes.
"""

import re
import sys
from pathlib import Path


def planted(source, text, instead):
    pattern = r"\s+".join(re.escape(word) for word in text.split())
    found = re.findall(pattern, source)
    if len(found) != 1:
        raise SystemExit(f"plant_fault.py: the text is there {len(found)} times, not once: {text}")
    return re.sub(pattern, lambda match: instead, source)


def main():
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    source, copy, text, instead = sys.argv[1:]
    Path(copy).write_text(planted(Path(source).read_text(encoding="utf-8"), text, instead), encoding="utf-8")


if __name__ == "__main__":
    main()
