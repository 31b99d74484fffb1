"""Checks values against JSON Schema as OpenAPI 3.1 uses it, as far as /openapi.json does; what it does not know, it
refuses, so that nothing is passed over in silence."""

import re

DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INT64 = range(-2**63, 2**63)

SAYS_NOTHING = {"description", "example", "examples", "title", "deprecated"}
FORMATS = {
    "date-time": lambda value: bool(DATE_TIME.fullmatch(value)),
    "uuid": lambda value: bool(UUID.fullmatch(value)),
    "int64": lambda value: value in INT64,
}


def type_of(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


def same(a, b):
    return type_of(a) == type_of(b) and a == b


class Schemas:
    def __init__(self, document):
        self.document = document

    def resolve(self, reference):
        at = self.document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        return at

    def complaints(self, value, schema, at=""):
        """All that is wrong, as sentences; none: it is valid."""
        found = []
        for word, argument in schema.items():
            if word in SAYS_NOTHING or word in ("additionalProperties",):
                continue
            check = getattr(self, "check_" + word.replace("$", ""), None)
            if check is None:
                found.append(f"{at}: the schema has {word}, which this checker does not know")
            else:
                found += check(value, argument, schema, at)
        return found

    def check_ref(self, value, argument, _schema, at):
        return self.complaints(value, self.resolve(argument), at)

    def check_type(self, value, argument, _schema, at):
        allowed = argument if isinstance(argument, list) else [argument]
        kind = type_of(value)
        good = kind in allowed or (kind == "integer" and "number" in allowed)
        return [] if good else [f"{at}: {kind} {value!r:.80}, allowed: {allowed}"]

    def check_enum(self, value, argument, _schema, at):
        return [] if any(same(value, each) for each in argument) else [f"{at}: {value!r} is none of {argument}"]

    def check_const(self, value, argument, _schema, at):
        return [] if same(value, argument) else [f"{at}: {value!r} is not {argument!r}"]

    def check_oneOf(self, value, argument, _schema, at):
        each = [self.complaints(value, one, at) for one in argument]
        fits = sum(not one for one in each)
        return [] if fits == 1 else [f"{at}: fits {fits} of {len(argument)}: {each}"]

    def check_anyOf(self, value, argument, _schema, at):
        each = [self.complaints(value, one, at) for one in argument]
        return [] if any(not one for one in each) else [f"{at}: fits none: {each}"]

    def check_allOf(self, value, argument, _schema, at):
        return [one for schema in argument for one in self.complaints(value, schema, at)]

    def check_properties(self, value, argument, schema, at):
        if not isinstance(value, dict):
            return []
        found = []
        for name, member in value.items():
            if name in argument:
                found += self.complaints(member, argument[name], f"{at}/{name}")
            elif schema.get("additionalProperties", True) is False:
                found.append(f"{at}/{name}: not in the schema")
        return found

    def check_required(self, value, argument, _schema, at):
        if not isinstance(value, dict):
            return []
        return [f"{at}/{name}: missing" for name in argument if name not in value]

    def check_items(self, value, argument, _schema, at):
        if not isinstance(value, list):
            return []
        return [one for i, each in enumerate(value) for one in self.complaints(each, argument, f"{at}/{i}")]

    def check_uniqueItems(self, value, argument, _schema, at):
        twice = isinstance(value, list) and argument and any(
            same(value[i], value[j]) for i in range(len(value)) for j in range(i))
        return [f"{at}: has one twice"] if twice else []

    def check_format(self, value, argument, _schema, at):
        if argument not in FORMATS:
            return [f"{at}: the schema has format {argument}, which this checker does not know"]
        if value is None or (argument == "int64") != isinstance(value, int):
            return []
        return [] if FORMATS[argument](value) else [f"{at}: {value!r} is no {argument}"]

    def check_pattern(self, value, argument, _schema, at):
        good = not isinstance(value, str) or re.search(argument, value)
        return [] if good else [f"{at}: {value!r} does not match {argument}"]

    @staticmethod
    def _bound(at, size, argument, is_least):
        good = size is None or (size >= argument if is_least else size <= argument)
        return [] if good else [f"{at}: {size}, {'at least' if is_least else 'at most'} {argument}"]

    @staticmethod
    def _number(value):
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    @staticmethod
    def _length(value, kind):
        return len(value) if isinstance(value, kind) else None

    def check_minimum(self, value, argument, _schema, at):
        return self._bound(at, self._number(value), argument, True)

    def check_maximum(self, value, argument, _schema, at):
        return self._bound(at, self._number(value), argument, False)

    def check_minLength(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, str), argument, True)

    def check_maxLength(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, str), argument, False)

    def check_minItems(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, list), argument, True)

    def check_maxItems(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, list), argument, False)

    def check_minProperties(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, dict), argument, True)

    def check_maxProperties(self, value, argument, _schema, at):
        return self._bound(at, self._length(value, dict), argument, False)


class Operations:
    """/openapi.json by method and path, and what has been called of it."""

    def __init__(self, document):
        self.document = document
        self.schemas = Schemas(document)
        self.all = []
        for path, methods in document["paths"].items():
            pattern = re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part)
                                          for part in path.split("/")))
            parameters = path.count("{")
            for method, operation in methods.items():
                self.all.append((parameters, method.upper(), pattern, operation))
        self.all.sort(key=lambda each: each[0])  # a literal part wins over a parameter
        self.called = {}  # operationId: the statuses it has answered

    def find(self, method, path):
        for _, each_method, pattern, operation in self.all:
            if each_method == method and pattern.fullmatch(path):
                return operation
        return None

    def names(self):
        return {operation["operationId"] for _, _, _, operation in self.all}

    def complaints(self, method, path, reply):
        """Whether a reply is one that the document tells of. Notes the call."""
        operation = self.find("GET" if method == "HEAD" else method, path)
        if operation is None:
            return []
        self.called.setdefault(operation["operationId"], set()).add(reply.status)
        name = f"{operation['operationId']} {reply.status}"
        told = operation["responses"].get(str(reply.status))
        if told is None:
            return [f"{name}: not in the document: {reply.body[:200]!r}"]
        if method == "HEAD":
            return []
        content = told.get("content")
        if content is None:
            return [f"{name}: a body that the document does not tell of"] if reply.body else []
        kind = (reply.headers.get("Content-Type") or "").split(";")[0]
        if kind not in content:
            return [f"{name}: Content-Type {kind}, not in the document"]
        if kind not in ("application/json", "application/problem+json"):
            return []
        found = self.schemas.complaints(reply.json(), content[kind]["schema"])
        if kind == "application/problem+json" and f"`{reply.code}`" not in told["description"]:
            found.append(f"code {reply.code} is not in the document")
        return [f"{name}: {one}" for one in found]
