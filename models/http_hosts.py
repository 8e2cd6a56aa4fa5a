"""Which ``Host`` of an HTTP request is answered: the defence against DNS rebinding.

A web page of another site may let its own host name lead to this machine, and would
then be allowed to read the answers (DNS rebinding). Its requests carry that name. So
only names that belong to this machine are answered: addresses, which no site can
redefine, ``localhost``, this machine's host name, and the names in the configuration.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable

ANY_NAME = "*"
PORT = re.compile(r":\d{1,5}$")


def is_served(host: str, allowed: Iterable[str] = ()) -> bool:
    """Return whether requests to a host are answered.

    Args:
        host: The header, with or without a port.
        allowed: Further names; ``*.example.com`` stands for all names below it, ``*``
            for every name.

    >>> is_served("192.0.2.7:9100"), is_served("[::1]"), is_served("LocalHost:80")
    (True, True, True)
    >>> is_served("evil.example"), is_served("")
    (False, False)
    >>> is_served("line-1.plant.example", ["*.plant.example"])
    True
    """
    name = PORT.sub("", host.strip()).lower().removesuffix(".")
    own = socket.gethostname().lower()
    if name in {"localhost", own, own.partition(".")[0]} or _is_address(name):
        return bool(name)
    return any(_fits(name, pattern.lower()) for pattern in allowed)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in {ANY_NAME, name}
