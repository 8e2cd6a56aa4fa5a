"""The names of hosts in an inventory: ``pc1``, ``pc[01:20]``, ``pc1:2222``. Pure.

Source:
    Ansible, "How to build your inventory", adding ranges of hosts.
"""

import re
from collections.abc import Iterator

HOSTS_MAX = 10_000  # of one pattern; a typing error would fill the memory
PATTERN = re.compile(
    r"(?P<before>[^][]*)\[(?P<first>\d+):(?P<last>\d+)(?::(?P<step>\d+))?\](?P<after>.*)"
)
PORT = re.compile(r"(?P<host>[^:]*):(?P<port>\d{1,5})")
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
NAME_RULE = "expected letters, digits, '.', '-' and '_'"


def expand_hosts(pattern: str) -> tuple[tuple[str, ...], int | None]:
    """Return the hosts that a key of ``hosts`` names, and the port of all of them.

    >>> expand_hosts("pc[08:10]:2222")
    (('pc08', 'pc09', 'pc10'), 2222)

    Raises:
        ValueError: It is no name of a host; the message has the reason.
    """
    port = None
    if with_port := PORT.fullmatch(re.sub(r"\[[\d:]*\]", "", pattern)):
        port = int(with_port["port"])
        pattern = pattern[: pattern.rindex(":")]
        if not 0 < port < 1 << 16:
            msg = f"port {port} is not between 1 and 65535"
            raise ValueError(msg)
    hosts = tuple(_expand(pattern))
    for host in hosts:
        if not HOST_NAME.fullmatch(host):
            msg = (
                f"{host!r} is no name of a PC: {NAME_RULE}; an IPv6 address is written "
                "into ansible_host"
            )
            raise ValueError(msg)
    return hosts, port


def _expand(pattern: str) -> Iterator[str]:
    parts = PATTERN.fullmatch(pattern)
    if parts is None:
        yield pattern
        return
    first, last = int(parts["first"]), int(parts["last"])
    step = int(parts["step"] or 1)
    if last < first or step < 1:
        msg = "the range counts up from the first to the last number, as in [01:20]"
        raise ValueError(msg)
    if (last - first) // step >= HOSTS_MAX:
        msg = f"the range has more than {HOSTS_MAX} hosts"
        raise ValueError(msg)
    digits = len(parts["first"]) if parts["first"].startswith("0") else 0
    for number in range(first, last + 1, step):
        yield from _expand(f"{parts['before']}{number:0{digits}d}{parts['after']}")
