"""Texts of others on a terminal, in a log or in a reply: no commands, no passwords.

Names of files, classes and cameras come from people and programs that this one does not
control. A terminal obeys the control characters in them, and a line break forges a line
of a log. An address of a camera or broker may hold a login, also one with a typing
error in its scheme.

Source:
    CWE-150 (control characters), CWE-117 (forged lines of a log), CWE-532 (passwords in
    a log).
"""

import re

HIDDEN = "***"
# ``scheme:``, ``scheme:/`` or ``scheme//`` before what is hidden: the typing error may
# be there. Not longer than a scheme: what is before the colon may be the user's name.
SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,11}(?::/{1,3}|/{2,3})")
SCHEME_ALONE = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,11}:(?!\s)")
# A part of a query, also behind a path: some cameras expect the login there.
LOGIN_KEY = re.compile(
    r"(?i)(pass|pwd|psw|passwd|password|secret|token|key|auth|user|usr|login|account)"
    r"[A-Za-z0-9_.-]{0,16}="
)
QUERY = re.compile(r"[?#;][^/]*=")
# ``user:password`` behind a scheme, also without the ``@`` or with another character in
# its place. A port after the host, and an IPv6 address in brackets, are no login.
USER_AND_PASSWORD = re.compile(r"(?!\[)[^/]*:(?!\d{1,5}(?:/|$)|(?:/|$))")


def printable(text: str) -> str:
    """Return a text that every output can encode.

    A file name that is not UTF-8 holds lone surrogates (PEP 383); they are escaped.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def on_one_line(text: str) -> str:
    r"""Return a text without line breaks and terminal commands; both are escaped.

    >>> print(on_one_line("a\nb"))
    a\nb
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in printable(text)
    )


def may_hold_login(text: str) -> bool:
    """Return whether a text may hold a login: as in an address, or a query.

    A path may have an ``@``; only with a colon before it, or two slashes, it is
    taken for an address.
    """
    before, at, _ = text.rpartition("@")
    is_address = bool(at) and (":" in before or "//" in before)
    return is_address or bool(
        LOGIN_KEY.search(text) or QUERY.search(text) or _has_user_and_password(text)
    )


def _has_user_and_password(text: str) -> bool:
    scheme = SCHEME.match(text) or SCHEME_ALONE.match(text)
    return bool(scheme and USER_AND_PASSWORD.match(text, scheme.end()))


def without_login(text: str) -> str:
    """Return a text for messages; what may be a login is hidden with all after it.

    For a text whose grammar is not known. ``edge.cameras.source.Source.redacted``
    shows more of a valid address.

    >>> without_login("rtps://admin:secret@camera/1")
    'rtps://***'
    >>> without_login("/data/@photos")
    '/data/@photos'
    """
    if not may_hold_login(text):
        return text
    scheme = SCHEME.match(text)
    return f"{scheme[0] if scheme else ''}{HIDDEN}"
