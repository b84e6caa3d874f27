"""RULES of verifying Ed25519 signatures (RFC 8032). No I/O.

It needs the standard library alone, so that a transcript can be verified on any machine with Python, and so that only
the service that signs needs the package `cryptography`. A verification has no secret: its time may depend on its input.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)  # a square root of -1
_Point = tuple[int, int, int, int]  # extended coordinates: x = X/Z, y = Y/Z, x*y = T/Z


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether this is the signature of the message by the key of 32 bytes (RFC 8032, section 5.1.7)."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = _decoded(public_key), _decoded(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or number >= _Q:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _Q
    return _equal(_times(number, _BASE), _sum(commitment, _times(challenge, key)))


def public_key_of(private_key: bytes) -> bytes:
    """Return the public key of a private key of 32 bytes (RFC 8032, section 5.1.5).

    Its time depends on the private key: it is for tools of the operator, not for a service that others ask.
    """
    number = int.from_bytes(hashlib.sha512(private_key).digest()[:32], "little")
    x, y, z, _ = _times(number & ((1 << 254) - 8) | 1 << 254, _BASE)
    inverse = pow(z, _P - 2, _P)
    return ((y * inverse % _P) | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _decoded(encoded: bytes) -> _Point | None:
    """Return the point (RFC 8032, section 5.1.3); None for bytes that are no point."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _sum(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        number >>= 1
    return result


def _equal(p: _Point, q: _Point) -> bool:
    return not ((p[0] * q[2] - q[0] * p[2]) % _P or (p[1] * q[2] - q[1] * p[2]) % _P)


def _base() -> _Point:
    point = _decoded((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _base()
