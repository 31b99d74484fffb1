"""The cases of cases/*.json: read, filled in, and what they expect held against what came.

A file has `documents`, which each of its cases begins with unless it has its own, and `cases`. A case has steps, or, in
short, `where` with what it finds. Strings that begin with @ stand for what would be long: see expand().
"""

import decimal
import json
import re
import sys
from pathlib import Path

sys.setrecursionlimit(20_000)  # some cases are about what is nested deeply

FOLDER = Path(__file__).resolve().parent
COLLECTION = "c"  # of a case that names none

REPEATED = re.compile(r"@(pad|smile|deep|nest|list|tests):(\d+)")


def parse(text):
    """Numbers as they are, whatever their size."""
    return json.loads(text, parse_float=decimal.Decimal)


def dump(value):
    """As json.dumps, with numbers as they were."""
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(key) + ":" + dump(each) for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def repeated(kind, count):
    if kind == "pad":
        return "x" * count
    if kind == "smile":
        return "\U0001f600" * count
    if kind == "list":
        return list(range(count))
    if kind == "tests":
        return {f"f{i}": {"$eq": 0} for i in range(count)}
    value = {} if kind == "nest" else 1
    for _ in range(count):
        value = {"$and": [value]} if kind == "nest" else [value]
    return value


def expand(value):
    """@pad:N is N times x, @smile:N a character of four bytes, @deep:N as many arrays around 1, @nest:N as many $and
    around {}, @list:N the numbers below N, @tests:N an object of as many tests."""
    if isinstance(value, dict):
        return {expand(key): expand(each) for key, each in value.items()}
    if isinstance(value, list):
        return [expand(each) for each in value]
    found = REPEATED.fullmatch(value) if isinstance(value, str) else None
    return repeated(found.group(1), int(found.group(2))) if found else value


def filled(documents):
    """With a version and a time each, in their order, where they have none of their own."""
    return [{"version": "1", "creation_utc": f"2026-01-01T00:00:{number:02}Z", **each}
            for number, each in enumerate(documents)]


def numbered(value, number):
    if isinstance(value, str):
        return value.replace("{n}", f"{number:05}")
    if isinstance(value, dict):
        return {key: numbered(each, number) for key, each in value.items()}
    return value


def body_of(step):
    """The text that is sent."""
    if "text" in step:
        return step["text"]
    if "make" in step:
        like = expand(step["make"]["like"])
        return dump({"documents": [numbered(like, number) for number in range(step["make"]["count"])]})
    return dump(expand(step.get("body", {})))


class Case:
    def __init__(self, file, group, case):
        self.file = file
        self.name = case["name"]
        self.says = case["says"]
        self.only = case.get("only")
        self.collection = expand(case.get("collection", COLLECTION))
        self.texts = [] if "documents" in case else group.get("texts", [])
        self.documents = filled(expand(case.get("documents", group.get("documents", []))))
        self.is_short = "steps" not in case
        self.steps = case.get("steps") or [self.short_step(case)]

    @staticmethod
    def short_step(case):
        expected = {name: case[name] for name in ("ids", "error", "tells") if name in case}
        return {"do": "query", "body": {"where": case["where"], "limit": 1000}, **expected}

    def setup(self):
        """The bodies that its documents are inserted by."""
        texts = [dump(each) for each in self.documents] + self.texts
        return ['{"documents":[' + ",".join(texts) + "]}"] if texts else []

    def __repr__(self):
        return f"{self.file}: {self.name}"


def load():
    all_cases = []
    for file in sorted((FOLDER / "cases").glob("*.json")):
        group = json.loads(file.read_text(), parse_float=decimal.Decimal)
        all_cases += [Case(file.name, group, case) for case in group["cases"]]
    return all_cases


def same(a, b):
    """As JSON: true is not 1, 1.0 is 1."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and isinstance(a, str) == isinstance(b, str)


def short(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "..."


def complaints(step, reply, text):
    """What is not as the step expects it, as sentences. `reply` is that of a call that succeeded."""
    found = []

    def expect(name, got, wanted):
        if not same(got, wanted):
            found.append(f"{name}: {short(got)}, expected {short(wanted)}")

    items = reply.get("items")
    document = reply.get("document")
    ids = reply.get("ids") if items is None else [each.get("id", each.get("name")) for each in items]
    if step["do"] == "failed-migrations":
        items = [each["document"] for each in items]
    for name in ("matched", "modified", "deleted", "version", "previous_version", "migrated", "failed"):
        if name in step:
            expect(name, reply[name], step[name])
    if "ids" in step:
        any_order = sorted if step.get("any_order") else list
        expect("ids", any_order(ids), any_order(expand(step["ids"])))
    if "names" in step:
        expect("names", ids, expand(step["names"]))
    if "count" in step:
        expect("count", len(ids if items is None else items), step["count"])
    for name, at in (("first", 0), ("last", -1)):
        if name in step:
            expect(name, ids[at], step[name])
    if step["do"] == "query":
        expect("total_count", reply["total_count"], step.get("total", len(items)))
    if items is not None and "next_cursor" in reply:
        expect("a next page", reply["next_cursor"] is not None, step.get("more", False))
    if "documents" in step:
        expect("documents", items, expand(step["documents"]))
    if "document" in step:
        expect("document", document, expand(step["document"]))
    if "document_id" in step:
        expect("document's id", document and document["id"], expand(step["document_id"]))
    for name, value in expand(step.get("document_has", {})).items():
        expect("document's " + name, document.get(name), value)
    for name in step.get("lacks", []):
        expect(f"whether {name} is there", name in document, False)
    for reason, item in zip(step.get("reasons", []), reply.get("items", [])):
        if reason not in item["reason"]:
            found.append(f"reason: {item['reason']}, expected {reason} in it")
    if "raw" in step and step["raw"] not in text:
        found.append(f"{step['raw']} is not in {short(text)}")
    return found
