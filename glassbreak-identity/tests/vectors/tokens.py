#!/usr/bin/env python3
"""Makes tokens.json: tokens that must be taken, one for each algorithm, with the key sets to check them by.

Written from RFC 7515, 7517 and 7518 alone, without a line of the library. Needs Python's `cryptography`; keys are new each
time:  python3 tokens.py > tokens.json
"""

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLAIMS = {"iss": "https://sso.example.com", "aud": "approvals", "sub": "alice", "iat": 1800000000, "exp": 1800000600}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def rsa_case(alg, size, pss):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_numbers()
    digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[size]
    pad = padding.PSS(padding.MGF1(digest), digest.digest_size) if pss else padding.PKCS1v15()
    return {"kty": "RSA", "n": number(public.n), "e": number(public.e)}, lambda data: key.sign(data, pad, digest)


def ec_case(alg, curve, name, size, digest):
    key = ec.generate_private_key(curve)
    public = key.public_key().public_numbers()

    def sign(data):
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return {"kty": "EC", "crv": name, "x": number(public.x, size), "y": number(public.y, size)}, sign


def ed_case():
    key = ed25519.Ed25519PrivateKey.generate()
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw())}, key.sign


CASES = {f"RS{n}": rsa_case(f"RS{n}", n, False) for n in (256, 384, 512)}
CASES |= {f"PS{n}": rsa_case(f"PS{n}", n, True) for n in (256, 384, 512)}
CASES |= {
    "ES256": ec_case("ES256", ec.SECP256R1(), "P-256", 32, hashes.SHA256()),
    "ES384": ec_case("ES384", ec.SECP384R1(), "P-384", 48, hashes.SHA384()),
    "EdDSA": ed_case(),
}

if __name__ == "__main__":
    vectors = []
    for alg, (jwk, sign) in CASES.items():
        header = {"alg": alg, "typ": "JWT", "kid": f"key-{alg}"}
        signed = ".".join(b64(json.dumps(part).encode()) for part in (header, CLAIMS))
        token = signed + "." + b64(sign(signed.encode()))
        vectors.append({"alg": alg, "jwk": {**jwk, "kid": f"key-{alg}"}, "token": token})
    print(json.dumps(vectors, indent=1))
