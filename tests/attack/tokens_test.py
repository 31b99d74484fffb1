"""Tokens that are not what they seem. None of them is taken, and none brings a fault."""

import base64
import json
import tempfile
import time
import unittest

import world as worlds
from support.client import Client
from world import SECRET, RsaKey, World, b64, claims, hs256, start_service, unsigned

service = None
world = None
rsa = None
other_rsa = None


def setUpModule():
    global service, world, rsa, other_rsa
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    rsa, other_rsa = RsaKey(folder.name, "rsa"), RsaKey(folder.name, "other")
    keys = folder.name + "/jwks.json"
    with open(keys, "w", encoding="ascii") as out:
        json.dump({"keys": [rsa.jwk("key-1")]}, out)
    service = start_service(jwt_jwks_file=keys)
    unittest.addModuleCleanup(service.close)
    world = World(service)


def changed(token, **more):
    """Other claims under the old signature."""
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return ".".join((head, b64(json.dumps({**said, **more}).encode()), signature))


class TokensTest(unittest.TestCase):
    def setUp(self):
        self.client = Client(service, None, checks=False)
        self.addCleanup(self.client.close)

    def ask(self, token):
        return self.client.get("/v1/sessions/" + world.session, key=token)

    def assert_refused(self, **tokens):
        for name, token in tokens.items():
            with self.subTest(name):
                reply = self.ask(token)
                self.assertIn(reply.status, (400, 401), reply)
                self.assertNotIn(world.session.encode(), reply.body)
                self.assertNotIn(token.split(".")[-1].encode() or b"\0", reply.body)

    def test_right_ones_are_taken(self):
        """Else all below would prove nothing."""
        for token in (hs256(claims(world.a)), rsa.token(claims(world.a), {"alg": "RS256", "kid": "key-1"})):
            self.assertEqual(200, self.ask(token).status, token)
        self.assertEqual(404, self.ask(hs256(claims(world.b))).status)

    def test_none(self):
        said = claims(world.a)
        self.assert_refused(**{f"{alg!r} {end!r}": unsigned({"alg": alg, "typ": "JWT"}, said) + end
                               for alg in ("none", "None", "NONE", "nOnE", "", None, 0, ["none"]) for end in (".", ".x", "")})

    def test_another_algorithm(self):
        said = claims(world.a)
        self.assert_refused(
            public_key_as_secret=hs256(said, rsa.public_pem),
            public_key_without_line=hs256(said, rsa.public_pem.strip()),
            public_key_with_kid=hs256(said, rsa.public_pem, {"alg": "HS256", "kid": "key-1"}),
            modulus_as_secret=hs256(said, rsa.modulus, {"alg": "HS256", "kid": "key-1"}),
            secret_called_rs256=hs256(said, SECRET, {"alg": "RS256", "kid": "key-1"}),
            secret_called_hs512=hs256(said, SECRET, {"alg": "HS512"}),
            rsa_called_hs256=rsa.token(said, {"alg": "HS256", "kid": "key-1"}),
            rsa_called_ps256=rsa.token(said, {"alg": "PS256", "kid": "key-1"}))

    def test_other_keys(self):
        said = claims(world.a)
        self.assert_refused(
            empty_secret=hs256(said, ""), another_secret=hs256(said, "x" * 48), longer=hs256(said, SECRET + "x"),
            other_rsa=other_rsa.token(said, {"alg": "RS256", "kid": "key-1"}),
            own_jwk=other_rsa.token(said, {"alg": "RS256", "kid": "key-1", "jwk": other_rsa.jwk("key-1")}),
            own_url=other_rsa.token(said, {"alg": "RS256", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}),
            own_certificate=other_rsa.token(said, {"alg": "RS256", "x5c": [b64(b"x" * 99)]}))

    def test_kid(self):
        said = claims(world.a)
        kids = ["../../../../dev/null", "/dev/null", "key-1\0", "' OR 1=1 --", "", "x" * 4000, 7, None, ["key-1"], {"a": 1}]
        self.assert_refused(**{f"hs {kid!r:.30}": hs256(said, b"", {"alg": "HS256", "kid": kid}) for kid in kids})
        self.assert_refused(**{f"rs {kid!r:.30}": other_rsa.token(said, {"alg": "RS256", "kid": kid}) for kid in kids})

    def test_critical(self):
        self.assert_refused(crit=hs256(claims(world.a), SECRET, {"alg": "HS256", "crit": ["b64"], "b64": False}),
                            unencoded=hs256(claims(world.a), SECRET, {"alg": "HS256", "crit": ["x"], "x": 1}))

    def test_changed_claims(self):
        of_b, of_user = hs256(claims(world.b)), hs256(claims(world.a, sub="mallory", scope="user"))
        self.assert_refused(tenant=changed(of_b, tenant=world.a), sub=changed(of_user, sub="ada-of-a"),
                            scope=changed(of_user, scope="admin"), exp=changed(of_b, exp=int(time.time()) + 99999))

    def test_claims(self):
        now = int(time.time())
        for name, more in {
            "expired": {"exp": now - 3600}, "exp text": {"exp": "9999999999"}, "exp far": {"exp": 1e300},
            "exp below 0": {"exp": -1}, "nbf": {"nbf": now + 3600}, "iat": {"iat": now + 3600},
            "aud": {"aud": "another"}, "aud list": {"aud": ["another"]}, "aud none": {"aud": None},
            "iss": {"iss": "https://another.example.org"}, "iss list": {"iss": [worlds.ISSUER]},
            "tenant none": {"tenant": None}, "tenant list": {"tenant": [world.a]}, "tenant case": {"tenant": "Tenant-A"},
            "tenant never": {"tenant": "tenant-never"}, "tenant path": {"tenant": world.a + "/../" + world.b},
            "tenants of the setting": {"tenant": f"{world.b},{world.a}"}, "user without sub": {"scope": "user", "sub": ""},
            "user and admin": {"scope": "user admin"}, "sub number": {"scope": "user", "sub": 1},
            "sub nul": {"scope": "user", "sub": "a\0"}}.items():
            self.assert_refused(**{name: hs256({**claims(world.a), **more})})
        without = claims(world.a)
        del without["exp"]
        self.assert_refused(without_exp=hs256(without))

    def test_forms(self):
        good = hs256(claims(world.a))
        head, body, signature = good.split(".")
        self.assert_refused(
            huge=hs256(claims(world.a, more="x" * 20_000)), padded=good + "=", line=good + "%0a", four=good + ".x",
            two=head + "." + body, no_head="." + body + "." + signature, no_body=head + ".." + signature,
            no_signature=f"{head}.{body}.", cut=good[:-1], dots="." * 300, standard=good.replace("-", "+") + "+/.",
            deep=unsigned({"alg": "HS256"}, claims(world.a)) + "." + signature,
            bomb=b64(b"[" * 5000) + "." + body + "." + signature,
            twice=b64(b'{"alg":"HS256","alg":"none"}') + "." + body + "." + signature)
        reply = self.client.send("GET", "/v1/sessions", None, {"Authorization": "Bearer " + "a." * 100_000})
        self.assertIn(reply.status, (400, 401, 413), reply)

    def test_keys_as_they_should_not_be(self):
        key = world.a_key
        for wrong in (key[:-1], key + "0", key.lower(), key.replace("_", "-"), key[:16] + "0" * 43, " " + key[1:],
                      key.split("_")[1], "cqa_" + key, key + " " + key):
            with self.subTest(wrong[:8]):
                self.assertEqual(401, self.client.get("/v1/sessions", key=wrong).status)
        for scheme in ("Basic ", "Token ", "", "Bearer"):
            reply = self.client.send("GET", "/v1/sessions", None, {"Authorization": scheme + key})
            self.assertEqual(401, reply.status, scheme)

    def test_a_revoked_key_is_over_at_once(self):
        key, record = world.operator.new_key(world.b)
        self.assertEqual(200, self.client.get("/v1/sessions", key=key).status)
        self.assertEqual(204, world.b_client.delete(f"/v1/tenants/{world.b}/keys/{record['id']}").status)
        self.assertEqual(401, self.client.get("/v1/sessions", key=key).status)

    def test_the_admin_key_sees_no_tenants_data(self):
        for path in ("/v1/sessions", "/v1/sessions/" + world.session, "/v1/users/ada-of-a/export", "/v1/audit"):
            self.assertEqual(403, self.client.get(path, key=service.admin_key).status, path)


if __name__ == "__main__":
    unittest.main(verbosity=1)
