"""Two tenants: A has data, B wants it."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))

from support.client import Client, Reply  # noqa: E402, F401
from support.service import Service  # noqa: E402
from support.tenants import Operator  # noqa: E402

SECRET = "attack-secret-0123456789abcdef-0123456789abcdef"  # of the tests alone
COLLECTION = "/v1/collections/a-collection"
ISSUER, AUDIENCE = "https://issuer.example.org", "colloquy-tests"


def new_id():
    """An id that nothing has, of the form that ids have."""
    return str(uuid.UUID(int=(int(time.time() * 1000) << 80) | (7 << 76) | (2 << 62) |
                         int.from_bytes(os.urandom(8), "big") >> 2))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(tenant, **more):
    return {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, "tenant": tenant, "sub": "ada", **more}


def unsigned(header, body):
    return b64(json.dumps(header).encode()) + "." + b64(json.dumps(body).encode())


def hs256(body, secret=SECRET, header=None):
    text = unsigned(header or {"alg": "HS256", "typ": "JWT"}, body)
    key = secret if isinstance(secret, bytes) else secret.encode()
    return text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest())


class RsaKey:
    """Made by openssl, in a folder of the test's own."""

    def __init__(self, folder, name):
        self.private = Path(folder) / (name + ".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                        str(self.private)], check=True, capture_output=True)
        self.public_pem = subprocess.run(["openssl", "pkey", "-in", str(self.private), "-pubout"], check=True,
                                         capture_output=True).stdout
        text = subprocess.run(["openssl", "rsa", "-in", str(self.private), "-noout", "-modulus"], check=True,
                              capture_output=True, text=True).stdout
        self.modulus = bytes.fromhex(text.strip().split("=")[1])

    def jwk(self, kid):
        return {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(self.modulus), "e": "AQAB"}

    def token(self, body, header):
        text = unsigned(header, body)
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.private)], input=text.encode(),
                                check=True, capture_output=True).stdout
        return text + "." + b64(signed)


class AttackedService(Service):
    """With the secret of tokens in its environment, as one that is deployed has it."""

    def environment(self):
        return {**super().environment(), "JWT_SECRET": SECRET}


def start_service(**settings):
    service = AttackedService(settings={"access_log": "true", "log_level": "debug", "jwt_issuer": ISSUER,
                                        "jwt_audience": AUDIENCE, **settings})
    try:
        return service.start()
    except BaseException:
        service.close() # no test has it yet that could
        raise


class World:
    """A's data, made by A's key; B's keys."""

    def __init__(self, service):
        self.service = service
        self.operator = Operator(service)
        self.a = self.operator.new_tenant(name="tenant-a")
        self.b = self.operator.new_tenant(name="tenant-b")
        self.a_key, self.a_record = self.operator.new_key(self.a)
        self.b_key, self.b_record = self.operator.new_key(self.b)
        self.a_client = Client(service, self.a_key, checks=False)
        self.b_client = Client(service, self.b_key, checks=False)
        self.b_session = self.made(self.b_client, "bob", "b-external")["id"]
        self.session = self.made(self.a_client, "ada-of-a", "a-external")["id"]
        path = "/v1/sessions/" + self.session
        self.must(self.a_client.post(path + "/messages", {"messages": [
            {"role": "user", "content": f"secret of A number {n}"} for n in range(5)]}, query={"durability": "durable"},
            headers={"Idempotency-Key": "a-key-1"}))
        self.ended_turn = self.must(self.a_client.post(path + "/turns"))["turn"]["id"]
        self.must(self.a_client.post(f"{path}/turns/{self.ended_turn}/complete",
                                     {"usage": {"input_tokens": 1, "output_tokens": 2}}))
        self.turn = self.must(self.a_client.post(path + "/turns", {"lease_s": 3600}))["turn"]["id"]
        self.must(self.a_client.put(path + "/participants/eve", {"role": "reader"}))
        self.must(self.a_client.patch(path, {"labels": ["label-of-a"], "consumption_offsets": {"client-of-a": 3}}))
        self.must(self.a_client.delete(path + "/events/1"))
        self.fork = self.must(self.a_client.post(path + "/fork", {"at_offset": 2}))["id"]
        self.must(self.a_client.post(COLLECTION + "/documents", {"documents": [
            {"id": f"document-of-a-{n}", "version": "1", "creation_utc": "2026", "text": f"secret of A number {n}"}
            for n in range(5)]}, headers={"Idempotency-Key": "a-key-2"}))
        self.must(self.a_client.post("/v1/stores/a-store/open", {"version": "7", "allow_migration": True}))

    @staticmethod
    def must(reply):
        assert 200 <= reply.status < 300, reply
        return reply.json() if reply.body else None

    def made(self, client, user, external_id):
        return self.must(client.post("/v1/sessions", {"user_id": user, "external_id": external_id}))

    def export(self):
        """All of A, but for what changes by being looked at."""
        lines = []
        for user in ("ada-of-a", "eve"):
            text = self.a_client.get(f"/v1/users/{user}/export").text
            lines += [re.sub(r'"lease_expires_at":"[^"]*"', '"lease_expires_at":0', line) for line in text.splitlines()]
        lines.append(self.a_client.post(COLLECTION + "/query", {}).text)
        lines.append(self.a_client.get("/v1/collections").text)
        lines.append(self.a_client.post("/v1/stores/a-store/open", {"version": "7", "allow_migration": False}).text)
        return lines

    def marks(self):
        """What shows that something of A's was seen."""
        return [self.session, self.fork, self.turn, self.ended_turn, self.a_record["id"], self.a_record["prefix"],
                "secret of A", "document-of-a", "label-of-a", "client-of-a"]

    def secrets(self):
        return [self.a_key, self.b_key, SECRET, self.service.admin_key]


def operations(client):
    """(operationId, method, path, the operation) of all there are."""
    document = client.get("/openapi.json", checks=False).json()
    return [(call["operationId"], method.upper(), path, call) for path, calls in document["paths"].items()
            for method, call in calls.items()]


def example_body(call):
    """(bytes, content type) that the document gives; (None, None) if it takes none."""
    content = call.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return json.dumps(content["application/json"]["example"]).encode(), "application/json"
    if "application/x-ndjson" in content:
        return b'{"type":"end","sessions":0}\n', "application/x-ndjson"
    return None, None


def query_of(call):
    """What must be there."""
    return {each["name"]: each["example"] for each in call.get("parameters", [])
            if each["in"] == "query" and each["required"]}


def fill(path, **values):
    return re.sub(r"{(\w+)}", lambda name: values[name.group(1)], path)


def without_id(reply):
    """What may not differ: status, headers, body, but for the request's id and the time."""
    body = re.sub(rb'"request_id":"[^"]*"', b'"request_id":""', reply.body)
    headers = sorted((name.lower(), value) for name, value in reply.headers.items()
                     if name.lower() not in ("date", "x-request-id"))
    return reply.status, headers, body
