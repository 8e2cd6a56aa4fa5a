"""A network camera that speaks RTSP, and can lose packets of its video.

It sends a clip in a loop, over UDP or inside the RTSP connection. A frame that a client
decodes without a fault is identical to the same frame of the clip, to the last bit.

Source:
    RFC 2326 (RTSP), RFC 3550 (RTP), RFC 6184 (H.264), RFC 7798 (H.265).
"""

import base64
import contextlib
import itertools
import random
import re
import socket
import socketserver
import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

CLIPS = Path(__file__).resolve().parents[1] / "data" / "clips"
CLOCK_HZ = 90_000
PAYLOAD_MAX_BYTES = 100  # small, so that a frame of a small clip has several packets
PAYLOAD_TYPE = 96
INTERLEAVED = b"$"
SSRC = 0x1234


class Unit(NamedTuple):
    """A NAL unit without its start code."""

    content: bytes
    kind: int
    starts_frame: bool


class Clip:
    """An elementary stream, split into frames.

    Args:
        name: File below ``tests/data/clips``; its suffix is the codec.
    """

    def __init__(self, name: str) -> None:
        self.path = CLIPS / name
        self.is_hevc = self.path.suffix == ".h265"
        self.frames: list[list[bytes]] = []
        self.parameter_sets: list[bytes] = []
        has_picture = True
        for unit in self._units():
            if unit.starts_frame and has_picture:
                self.frames.append([])
                has_picture = False
            self.frames[-1].append(unit.content)
            has_picture |= self._is_picture(unit.kind)
            if unit.kind in ({32, 33, 34} if self.is_hevc else {7, 8}):
                self.parameter_sets.append(unit.content)

    def payloads(self, number: int) -> list[bytes]:
        """Return the RTP payloads of a frame."""
        units = self.frames[number % len(self.frames)]
        return [payload for unit in units for payload in self._split(unit)]

    @property
    def description(self) -> str:
        """The session description: RFC 4566."""
        sets = [base64.b64encode(unit).decode() for unit in self.parameter_sets]
        if self.is_hevc:
            names = ("sprop-vps", "sprop-sps", "sprop-pps")
            fmtp = "; ".join(f"{n}={s}" for n, s in zip(names, sets, strict=False))
        else:
            fmtp = f"packetization-mode=1; sprop-parameter-sets={','.join(sets[:2])}"
        codec = "H265" if self.is_hevc else "H264"
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\n"
            f"a=rtpmap:{PAYLOAD_TYPE} {codec}/{CLOCK_HZ}\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} {fmtp}\r\na=control:track\r\n"
        )

    def _units(self) -> list[Unit]:
        pieces = re.split(rb"\x00{2,3}\x01", self.path.read_bytes())
        return [self._unit(piece) for piece in pieces if piece]

    def _unit(self, content: bytes) -> Unit:
        kind = self._kind(content)
        if self.is_hevc:
            is_first = kind < 32 and bool(content[2] & 0x80)
            return Unit(content, kind, is_first or kind in {32, 35})
        is_first = kind in {1, 5} and bool(content[1] & 0x80)  # first_mb_in_slice = 0
        return Unit(content, kind, is_first or kind in {7, 9})

    def _kind(self, content: bytes) -> int:
        return content[0] >> 1 & 0x3F if self.is_hevc else content[0] & 0x1F

    def _is_picture(self, kind: int) -> bool:
        return kind < 32 if self.is_hevc else kind in {1, 5}

    def _split(self, unit: bytes) -> list[bytes]:
        """Return a unit as it is, or as fragmentation units."""
        if len(unit) <= PAYLOAD_MAX_BYTES + 2:
            return [unit]
        if self.is_hevc:
            head = bytes([unit[0] & 0x81 | 49 << 1, unit[1]])
            body, kind = unit[2:], self._kind(unit)
        else:
            head = bytes([unit[0] & 0xE0 | 28])
            body, kind = unit[1:], self._kind(unit)
        pieces = [
            body[at : at + PAYLOAD_MAX_BYTES]
            for at in range(0, len(body), PAYLOAD_MAX_BYTES)
        ]
        flags = [0x80, *[0] * (len(pieces) - 2), 0x40]
        return [
            head + bytes([flag | kind]) + piece
            for flag, piece in zip(flags, pieces, strict=True)
        ]


class RtspCamera:
    """Serves a clip in a loop to each client.

    Args:
        clip: Its video.
        fps: Frames per second.
        loss: Share of the packets that are lost.
        transports: Those that it accepts: ``UDP``, ``TCP``.

    Attributes:
        answer: Status of the answer to DESCRIBE; empty = 200.
        first: Number of the frame that a client gets first.
        sent: Number of the frame that was sent last.
        lost: Numbers of the frames of which a packet was lost.
        loses: Function of frame and packet number: whether this one is lost.
    """

    def __init__(
        self,
        clip: Clip,
        fps: float = 25,
        loss: float = 0,
        transports: tuple[str, ...] = ("UDP", "TCP"),
        seed: int = 1,
    ) -> None:
        self.clip, self.fps, self.loss, self.transports = clip, fps, loss, transports
        self.answer = ""
        self.lost: set[int] = set()
        self.sent = -1
        self.first = 0
        self.loses = lambda _frame, _packet: False
        self.dice = random.Random(seed)
        self.is_stopped = threading.Event()
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    Session(camera, self).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port = self._server.server_address[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/video"

    def is_lost(self, frame: int, packet: int) -> bool:
        """Return whether a packet is lost, and note it."""
        lost = self.loses(frame, packet) or self.dice.random() < self.loss
        if lost:
            self.lost.add(frame)
        return lost

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_stopped.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class Session:
    """One client of the camera."""

    def __init__(
        self, camera: RtspCamera, handler: socketserver.StreamRequestHandler
    ) -> None:
        self._camera, self._handler = camera, handler
        self._target: tuple[str, int] | None = None  # None = inside the connection
        self._lock = threading.Lock()
        self._sequence = itertools.count(100)

    def run(self) -> None:
        """Answer requests until the client disconnects."""
        while line := self._handler.rfile.readline():
            if line.startswith(INTERLEAVED):  # RTCP from the client
                self._skip_interleaved(line)
                continue
            method, _, _ = line.decode().partition(" ")
            headers = {}
            while (header := self._handler.rfile.readline()).strip():
                key, _, value = header.decode().partition(":")
                headers[key.strip().lower()] = value.strip()
            if method:
                self._answer(method, headers)

    def _skip_interleaved(self, line: bytes) -> None:
        while len(line) < 4:
            line += self._handler.rfile.read(1)
        size = int.from_bytes(line[2:4])
        self._handler.rfile.read(max(0, size - len(line) + 4))

    def _answer(self, method: str, headers: dict[str, str]) -> None:
        status, lines, body = "200 OK", [f"CSeq: {headers.get('cseq', 0)}"], ""
        camera = self._camera
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE" and camera.answer:
            status = camera.answer
            if status.startswith("401"):
                lines.append('WWW-Authenticate: Basic realm="camera"')
        elif method == "DESCRIBE":
            body = camera.clip.description
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            transport = headers.get("transport", "")
            name = "TCP" if "interleaved" in transport else "UDP"
            if name in camera.transports:
                lines += [f"Transport: {transport}", "Session: 1"]
                found = re.search(r"client_port=(\d+)", transport)
                if found:
                    lines[-2] += ";server_port=6970-6971"
                    self._target = ("127.0.0.1", int(found[1]))
            else:
                status = "461 Unsupported Transport"
        elif method == "PLAY":
            lines.append("Session: 1")
        text = "\r\n".join([f"RTSP/1.0 {status}", *lines, "", body])
        with self._lock:
            self._handler.wfile.write(text.encode())
        if method == "PLAY":
            threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        camera, clip = self._camera, self._camera.clip
        start_s = time.monotonic()
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as udp:
            for number in itertools.count(camera.first):
                due_s = start_s + (number - camera.first) / camera.fps
                if camera.is_stopped.wait(max(0, due_s - time.monotonic())):
                    return
                payloads = clip.payloads(number)
                for at, payload in enumerate(payloads):
                    head = struct.pack(
                        ">BBHII",
                        0x80,
                        PAYLOAD_TYPE | 0x80 * (at == len(payloads) - 1),
                        next(self._sequence) & 0xFFFF,
                        round(number * CLOCK_HZ / camera.fps) & 0xFFFFFFFF,
                        SSRC,
                    )
                    if not camera.is_lost(number, at):
                        self._send(udp, head + payload)
                camera.sent = number

    def _send(self, udp: socket.socket, packet: bytes) -> None:
        if self._target is not None:
            udp.sendto(packet, self._target)
            return
        with self._lock:
            self._handler.wfile.write(INTERLEAVED + struct.pack(">BH", 0, len(packet)))
            self._handler.wfile.write(packet)
