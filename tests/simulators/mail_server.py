"""A mail server: SMTP with STARTTLS and a login, as far as a client needs them."""

import base64
import contextlib
import email
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from typing import Self, cast

POLL_S = 0.02


@dataclass(frozen=True)
class Mailed:
    """One message that was accepted."""

    sender: str
    recipients: tuple[str, ...]
    is_encrypted: bool
    login: tuple[str, str]
    message: EmailMessage


class MailServer:
    """Keeps what it accepts.

    Args:
        tls: For STARTTLS; None = it has none.

    Attributes:
        refuses: Recipients that it does not know.
        later: Recipients that it asks for another attempt.
        busy: It answers so many messages with a temporary failure.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls, self.mails = tls, list[Mailed]()
        self.refuses: set[str] = set()
        self.later: set[str] = set()
        self.busy = 0
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                conversation = Conversation(server, self.request)
                try:
                    conversation.run()
                except (OSError, ValueError):
                    return
                finally:
                    conversation.close()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class Conversation:
    """The commands of one connection."""

    def __init__(self, server: MailServer, connection: socket.socket) -> None:
        self._server, self._socket = server, connection
        self._lines = connection.makefile("rb")
        self._login = ("", "")
        self._sender, self._recipients = "", list[str]()
        self._is_encrypted = False

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._lines.close()
        self._socket.close()

    def run(self) -> None:  # noqa: C901 - one branch for each command
        """Answer until the client ends."""
        self._answer("220 mail.plant ESMTP")
        while line := self._lines.readline():
            command = line.decode().strip()
            verb = command.upper()
            if verb.startswith("EHLO"):
                offers = ["mail.plant", "AUTH PLAIN"]
                if self._server.tls is not None and not self._is_encrypted:
                    offers.append("STARTTLS")
                for offer in offers[:-1]:
                    self._answer(f"250-{offer}")
                self._answer(f"250 {offers[-1]}")
            elif verb == "STARTTLS":
                self._start_tls()
            elif verb.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(command[11:]).decode().split("\0")
                self._login = (user, password)
                self._answer("235 welcome" if password != "wrong" else "535 no")
            elif verb.startswith("MAIL FROM:"):
                self._sender = command[10:].split()[0].strip("<>")
                is_busy = self._server.busy > 0
                self._server.busy -= is_busy
                self._answer("451 try later" if is_busy else "250 ok")
            elif verb == "RSET":
                self._recipients.clear()
                self._answer("250 ok")
            elif verb.startswith("RCPT TO:"):
                self._add_recipient(command[8:].strip("<> "))
            elif verb == "DATA":
                self._take_message()
            else:
                self._answer("221 bye" if verb == "QUIT" else "250 ok")
                if verb == "QUIT":
                    return

    def _start_tls(self) -> None:
        self._answer("220 go ahead")
        assert self._server.tls is not None
        self._lines.close()
        self._socket = self._server.tls.wrap_socket(self._socket, server_side=True)
        self._lines = self._socket.makefile("rb")
        self._is_encrypted = True

    def _add_recipient(self, address: str) -> None:
        if address in self._server.refuses:
            self._answer("550 unknown")
            return
        if address in self._server.later:
            self._answer("450 later")
            return
        self._recipients.append(address)
        self._answer("250 ok")

    def _take_message(self) -> None:
        self._answer("354 go ahead")
        content = b""
        while (line := self._lines.readline()) not in {b".\r\n", b""}:
            content += line.removeprefix(b".") if line.startswith(b"..") else line
        message = cast(
            "EmailMessage", email.message_from_bytes(content, policy=default)
        )
        self._server.mails.append(
            Mailed(
                self._sender,
                tuple(self._recipients),
                self._is_encrypted,
                self._login,
                message,
            )
        )
        self._answer("250 queued")

    def _answer(self, line: str) -> None:
        self._socket.sendall(f"{line}\r\n".encode())
