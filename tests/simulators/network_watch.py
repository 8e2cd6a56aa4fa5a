"""Runs a command in a network namespace and reports every address that it contacts.

The namespace has the loopback interface only. All addresses are routed to it, so that
a connection is attempted and seen, not refused for want of a route. A packet socket on
the interface sees what libraries written in C send as well.

Run as root of a new namespace::

    unshare --map-root-user --net --mount python network_watch.py REPORT COMMAND...
"""

import ipaddress
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

ETH_P_ALL = 3
HEADER_BYTES = 14  # Ethernet; loopback has it too
DNS_PORT = 53
TCP, UDP = 6, 17
SYN = 0x02  # without ACK, 0x10: the first packet of a connection
NAME_SERVER = "203.0.113.53"  # TEST-NET-3 (RFC 5737): answers nothing
HIDDEN_SOCKETS = ("/run/systemd/resolve", "/run/nscd", "/var/run/nscd")


def isolate(folder: Path) -> None:
    """Route all addresses to the loopback interface and all look-ups to one server."""
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
    ):
        subprocess.run(command.split(), check=command.startswith("ip link"))
    settings = Path("/etc/resolv.conf")
    own = folder / "resolv.conf"
    own.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", own, settings.resolve()], check=True)
    for hidden in HIDDEN_SOCKETS:  # sockets through which a name service is asked
        if Path(hidden).is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "none", hidden], check=True)


class Watcher:
    """Collects name look-ups and destinations outside loopback."""

    def __init__(self) -> None:
        self.contacts: set[str] = set()
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="network-watch")
        self._thread.start()

    def stop(self) -> list[str]:
        """Return what was contacted."""
        self._ends.set()
        self._thread.join(10)
        return sorted(self.contacts)

    def _run(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65535)
            except TimeoutError:
                if self._ends.is_set():
                    return
                continue
            if contact := contact_of(packet[HEADER_BYTES:]):
                self.contacts.add(contact)


def contact_of(packet: bytes) -> str:
    """Return the look-up or the destination of a packet; empty for loopback."""
    version = packet[0] >> 4
    if version == 4:
        protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
        target = packet[16:20]
    elif version == 6:
        protocol, rest = packet[6], packet[40:]
        target = packet[24:40]
    else:
        return ""
    if protocol not in {TCP, UDP} or (protocol == TCP and rest[13] & 0x12 != SYN):
        return ""  # an answer, or not the start of a connection
    port = struct.unpack(">H", rest[2:4])[0]
    if protocol == UDP and port == DNS_PORT:
        return f"look-up of {_dns_name(rest[8:])}"
    address = ipaddress.ip_address(target)
    if address.is_loopback:
        return ""
    return f"{address} port {port}"


def _dns_name(message: bytes) -> str:
    labels, place = [], 12
    while place < len(message) and message[place]:
        labels.append(message[place + 1 : place + 1 + message[place]].decode("latin-1"))
        place += 1 + message[place]
    return re.sub("[^!-~]", "?", ".".join(labels))


def main(report: Path, command: list[str]) -> int:
    """Run the command; write its exit code and the contacts as JSON."""
    isolate(report.parent)
    watcher = Watcher()
    try:
        code = subprocess.run(command, check=False).returncode
    finally:
        contacts = watcher.stop()
    report.write_text(json.dumps({"code": code, "contacts": contacts}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
