"""Certificates, by the openssl program: an authority, and what it signs."""

import subprocess


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False, timeout=30)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


def make_authority(folder):
    """Its certificate; the key is beside it."""
    key, certificate = folder / "ca.key", folder / "ca.crt"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
            "-out", str(certificate), "-days", "2", "-subj", "/CN=Colloquy test authority")
    return certificate


def make_certificate(folder, common_name, to):
    """For localhost and 127.0.0.1, signed by the folder's authority, written to `to`.crt and `to`.key."""
    request, extensions = folder / "request.csr", folder / "extensions.cnf"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            str(folder / f"{to}.key"), "-out", str(request), "-subj", f"/CN={common_name}")
    openssl("x509", "-req", "-in", str(request), "-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"),
            "-CAcreateserial", "-days", "2", "-out", str(folder / f"{to}.crt"), "-extfile", str(extensions))
