"""JSON Web Tokens (RFC 7515, 7519), made by hand: HS256 by hmac, RS256 and ES256 by the openssl program."""

import base64
import hashlib
import hmac
import json
import re
import time

from .certificates import openssl


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value):
    return base64url(json.dumps(value).encode())


def claims(tenant, **more):
    return {"tenant": tenant, "sub": "ada", "exp": int(time.time()) + 600, **more}


def assemble(header, body, sign):
    signed = encoded(header) + "." + encoded(body)
    return signed + "." + base64url(sign(signed.encode()))


def hs256(secret, body, **header):
    return assemble({"alg": "HS256", "typ": "JWT", **header}, body,
                    lambda data: hmac.new(secret.encode(), data, hashlib.sha256).digest())


class SigningKey:
    """A private key in a folder, and its public half as a JWK."""

    def __init__(self, folder, name, algorithm):
        self.file = str(folder / (name + ".pem"))
        self.name = name
        self.algorithm = algorithm
        if algorithm == "RS256":
            openssl("genrsa", "-out", self.file, "2048")
        else:
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.file)

    def jwk(self):
        common = {"kid": self.name, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().split("=")[1]
            return {"kty": "RSA", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB", **common}
        text = openssl("ec", "-in", self.file, "-noout", "-text").decode()
        point = bytes.fromhex(re.sub(r"[\s:]", "", re.search(r"pub:([\s0-9a-f:]+)", text).group(1)))
        return {"kty": "EC", "crv": "P-256", "x": base64url(point[1:33]), "y": base64url(point[33:65]), **common}

    def sign(self, data):
        signature = openssl("dgst", "-sha256", "-sign", self.file, data=data)
        if self.algorithm == "RS256":
            return signature
        # SEQUENCE { INTEGER r, INTEGER s } becomes r and s of 32 bytes each.
        at, numbers = 2, []
        for _ in range(2):
            size = signature[at + 1]
            numbers.append(int.from_bytes(signature[at + 2:at + 2 + size], "big").to_bytes(32, "big"))
            at += 2 + size
        return b"".join(numbers)

    def token(self, body, **header):
        return assemble({"alg": self.algorithm, "kid": self.name, **header}, body, self.sign)
