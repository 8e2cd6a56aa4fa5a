"""Random secrets of sessions and tokens, and the digests that are kept of them.

A secret has 256 random bits: a fast digest is enough, because none can be guessed. For
passwords see ``dashboard.access.passwords``.
"""

import hashlib
import hmac
import secrets
from typing import Final

SECRET_BYTES: Final = 32
SECRET_MAX_CHARS: Final = 128  # of one that somebody sends
PREFIX: Final = "graftline_"  # of tokens: programs that look for leaked ones see it


def new_secret(prefix: str = "") -> str:
    """Return a secret that fits into cookies, headers and URLs."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret, SHA-256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def csrf_token(cookie: str) -> str:
    """Return what a page sends back with each change: it shows that it was read.

    A page of another site makes the browser send the cookie, but cannot read it nor
    what is made from it.
    """
    key = cookie.encode("utf-8", "surrogateescape")
    return hmac.new(key, b"csrf", hashlib.sha256).hexdigest()
