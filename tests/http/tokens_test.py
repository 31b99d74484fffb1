"""JSON Web Tokens instead of keys: HS256, RS256 and ES256, their claims, and what is no token."""

import json
import signal
import tempfile
import time
import unittest
from pathlib import Path

from support.cases import HttpTest, start_module_service, user
from support.client import RawConnection, raw_request
from support.service import eventually
from support.tenants import Operator
from support.tokens import SigningKey, base64url, claims, encoded, hs256

SECRET = "a secret of more than thirty-two characters"
folder, rsa, curve = None, None, None


def write_keys(*keys):
    (folder / "keys.json").write_text(json.dumps({"keys": [each.jwk() for each in keys]}))


def setUpModule():
    global folder, rsa, curve
    holder = tempfile.TemporaryDirectory(prefix="colloquy-keys-", dir="/tmp")
    unittest.addModuleCleanup(holder.cleanup)
    folder = Path(holder.name)
    rsa, curve = SigningKey(folder, "r1", "RS256"), SigningKey(folder, "e1", "ES256")
    write_keys(rsa, curve)
    HttpTest.service = start_module_service(settings={
        "jwt_secret": SECRET, "jwt_jwks_file": folder / "keys.json", "jwt_issuer": "https://issuer.example.org",
        "jwt_audience": "colloquy"})
    Operator(HttpTest.service).new_tenant(name="acme")


def good(**more):
    return {**claims("acme"), "iss": "https://issuer.example.org", "aud": "colloquy", **more}


def without(name):
    return {key: value for key, value in good().items() if key != name}


class TokenTest(HttpTest):
    def status(self, token, method="GET", path="/v1/sessions", body=None):
        return self.client.call(method, path, body, key=token).status


class Taken(TokenTest):
    def test_each_algorithm(self):
        for token in (hs256(SECRET, good()), rsa.token(good()), curve.token(good()), rsa.token(good(), kid="r1"),
                      hs256(SECRET, good(aud=["other", "colloquy"])), hs256(SECRET, good(nbf=int(time.time())))):
            self.assertEqual(200, self.status(token), token)
            self.assertEqual(201, self.status(token, "POST", "/v1/sessions", {"user_id": "ada"}))

    def test_nobody_is_let_in_without(self):
        self.assert_problem(self.client.get("/v1/sessions"), 401, "unauthenticated")
        self.assert_status(200, self.client.get("/healthz"))

    def test_scopes(self):
        for scope, read, write, admin in (("read", 200, 403, 403), ("write", 403, 201, 403), ("read write", 200, 201, 403),
                                          (["read", "admin"], 200, 403, 200), ("profile", 200, 201, 403),
                                          ("user", 200, 201, 403), ("user read", 200, 403, 403)):
            token = hs256(SECRET, good(scope=scope))
            found = (self.status(token), self.status(token, "POST", "/v1/sessions", {"user_id": "ada"}),
                     self.status(token, "GET", "/v1/audit"))
            self.assertEqual((read, write, admin), found, scope)

    def test_a_user_sees_their_own_alone(self):
        ada, bob = (self.new_client(hs256(SECRET, good(scope="user", sub=name))) for name in ("ada2", "bob2"))
        mine = "/v1/sessions/" + self.new_session(ada, user_id="ada2")["id"]
        self.append(mine, user(), client=ada)
        self.assert_problem(bob.get(mine), 404, "not_found")
        self.assert_problem(bob.get(mine + "/messages"), 404, "not_found")
        self.assert_problem(bob.delete(mine), 404, "not_found")
        self.assert_problem(bob.post("/v1/sessions", {"user_id": "ada2"}), 403, "forbidden")
        self.assertEqual([], bob.get("/v1/sessions").json()["items"])
        self.assertEqual([], bob.get("/v1/sessions", query={"user_id": "ada2"}).json()["items"])
        self.assertEqual("ada2", ada.get(mine + "/messages").json()["items"][0]["author"])
        self.assert_problem(ada.delete("/v1/users/ada2"), 403, "forbidden")


class DatabaseSessions(TokenTest):
    """To whom they belong, and what tokens of the same one may do."""

    def open(self, client, **fields):
        return "/v1/database-sessions/" + self.assert_status(201, client.post("/v1/database-sessions", fields)).json()["id"]

    def execute(self, client, path, sql):
        return client.post(path + "/execute", {"sql": sql})

    def test_a_token_without_the_scope_write_does_not_write_by_another_ones_session(self):
        writer, reader = (self.new_client(hs256(SECRET, good(sub="both", scope=scope))) for scope in ("read write", "read"))
        writing, reading = self.open(writer, access="read_write"), self.open(writer)
        self.assert_status(200, self.execute(writer, writing, "CREATE TABLE held (n int)"))
        for sql in ("INSERT INTO held VALUES (1)", "SELECT 1"):
            problem = self.assert_problem(self.execute(reader, writing, sql), 403, "forbidden")
            self.assertIn("scope write", problem["detail"])
        self.assertEqual([[0]], self.execute(reader, reading, "SELECT count(*) FROM held").json()["rows"])
        self.assert_status(200, self.execute(writer, writing, "INSERT INTO held VALUES (1)"))

    def test_tokens_without_a_subject_are_not_the_same_caller(self):
        one, two = (self.new_client(hs256(SECRET, {**without("sub"), "jti": name})) for name in ("one", "two"))
        path = self.open(one)
        self.assert_problem(self.execute(two, path, "SELECT 1"), 404, "not_found")
        self.assert_problem(two.delete(path), 404, "not_found")
        self.assert_status(200, self.execute(one, path, "SELECT 1"))


class Refused(TokenTest):
    def assert_refused(self, token):
        reply = self.client.get("/v1/sessions", key=token)
        self.assertEqual((401, "unauthenticated"), (reply.status, reply.code), token)

    def test_claims(self):
        now = int(time.time())
        for body in (without("tenant"), without("exp"), without("iss"), without("aud"), good(exp=now - 600),
                     good(exp="tomorrow"), good(nbf=now + 600), good(iat=now + 600), good(iss="https://other.example"),
                     good(aud="other"), good(aud=["other"]), {**good(), "tenant": 5}, {**good(), "tenant": "ACME"},
                     {**good(), "tenant": "nobody"}, good(sub=""), good(sub="s" * 256), good(scope=5),
                     good(scope="user", sub=""), good(scope="user admin")):
            self.assert_refused(hs256(SECRET, body))

    def test_signatures(self):
        other = SigningKey(folder, "r1-other", "RS256")
        other.name = "r1"
        self.assert_refused(hs256(SECRET + "x", good()))
        self.assert_refused(other.token(good()))
        self.assert_refused(rsa.token(good(), kid="e1"))
        self.assert_refused(rsa.token(good(), kid="unknown"))
        for token in (hs256(SECRET, good()), rsa.token(good()), curve.token(good())):
            head, body, signature = token.split(".")
            self.assert_refused(head + "." + encoded(good(sub="eve", tenant2="x")) + "." + signature)
            self.assert_refused(head + "." + body + ".")
            self.assert_refused(head + "." + body)
            self.assert_refused(token + ".x")
            self.assert_refused(head + "." + body + "." + signature[:-4] + "AAAA")
            self.assert_refused(token + "=")

    def test_algorithms(self):
        for name in ("none", "None", "HS512", "RS512", "PS256", "", "hs256", 5, None):
            self.assert_refused(hs256(SECRET, good(), alg=name))
            self.assert_refused(encoded({"alg": name}) + "." + encoded(good()) + ".")
        # A public key used as if it were the secret.
        public = json.dumps(rsa.jwk())
        self.assert_refused(hs256(public, good(), kid="r1"))
        self.assert_refused(rsa.token(good(), alg="ES256"))
        for name in ("jwk", "jku", "x5u", "x5c", "crit"):
            self.assert_refused(hs256(SECRET, good(), **{name: "x"}))

    def test_what_is_no_token(self):
        signature = hs256(SECRET, good()).split(".")[2]
        for token in ("..", "a.b.c", ".".join(["x" * 50_00] * 3), encoded([]) + "." + encoded(good()) + "." + signature,
                      base64url(b"\xff") + "." + encoded(good()) + "." + signature):
            with RawConnection(self.service) as raw:
                raw.send(raw_request("GET", "/v1/sessions", [("Authorization", "Bearer " + token)]))
                self.assertIn(raw.reply().status, (401, 413), token[:50])


class Keys(TokenTest):
    def test_new_ones_on_sighup(self):
        later = SigningKey(folder, "e2", "ES256")
        token = later.token(good())
        self.assertEqual(401, self.status(token))
        try:
            write_keys(rsa, later)
            self.service.signal(signal.SIGHUP)
            eventually(lambda: self.status(token) == 200, 10, "the new key")
            self.assertEqual((200, 401), (self.status(rsa.token(good())), self.status(curve.token(good()))))
            (folder / "keys.json").write_text("{")
            self.service.signal(signal.SIGHUP)
            self.service.wait_for_log("not reloaded: .*jwt_jwks_file")
            self.assertEqual(200, self.status(token))
        finally:
            write_keys(rsa, curve)
            self.service.signal(signal.SIGHUP)
            eventually(lambda: self.status(curve.token(good())) == 200, 10, "the old keys")


if __name__ == "__main__":
    unittest.main(verbosity=2)
