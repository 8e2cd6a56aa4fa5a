"""Which frames of a stream show what the camera saw: rules on the decoder's log. Pure.

A packet that is lost damages its frame and, in a codec that stores differences, every
frame after it until one that needs no other: a key frame. FFmpeg repairs such pictures
with pieces of earlier ones and returns them as whole. But it logs each gap in the
numbers of the packets and each fault of the decoder.

FFmpeg reads ahead: a message is about the frame that is returned, or about one that
is returned later. So a key frame ends the damage only if no message came with it, nor
with the frames before it that may have been read together with it.

Source:
    ADR 0022 with the measurements; the messages are those of FFmpeg 8 (rtpdec.c,
    h264_slice.c, h264_cavlc.c, error_resilience.c, hevc/refs.c, mjpegdec.c, demux.c)
    and of libjpeg-turbo 3 (jerror.h), which decodes the MJPEG of USB cameras.
"""

import re
from dataclasses import dataclass

# Beginnings of messages. Not those that sound streams cause too: extraneous bytes of a
# JPEG or its missing end, references announced wrongly, unknown kinds of data.
DAMAGE = (
    "RTP: missed",
    "RTP: dropping old packet received too late",
    "RTP: PT=%02x: bad cseq",
    "Missing packets; dropping frame",
    "Packet corrupt",
    "error while decoding MB",
    "corrupted macroblock",
    "left block unavailable",
    "top block unavailable",
    "Reference %d >= %d",
    "reference picture missing during reorder",
    "Missing reference picture",
    "Frame num gap",
    "no frame!",
    "decode_slice_header error",
    "Could not find ref with POC",
    "Error constructing the frame RPS",
    "Skipping invalid undecodable NALU",
    "The cu_qp_delta %d is outside the valid range",
    "CABAC_MAX_BIN",
    "Invalid NAL unit size",
    "Error splitting the input into NAL units",
    "overread %d",
    "error count: %d",
    "error y=%d x=%d",
    "bad vlc:",
    "error dc",
    "error ac",
    "mjpeg_decode_dc: bad",
    "Error at MB",
    "header damaged",
    "ac-tex damaged",
    "slice end not reached",
    "Premature end of JPEG file",
    "premature end of data segment",
    "bad Huffman code",
)
NEW_SIZE = re.compile(r"sof0: picture: (\d+)x(\d+)|chosen by get_format\(\)")
READ_AHEAD_FRAMES = 1  # FFmpeg returns a frame when it has read the start of the next
# A decoder that may have to change the order returns a frame after later ones were
# decoded. How many is measured at each key frame; until then this many are assumed.
REORDERED_FRAMES = 4
REORDERED_MAX = 16  # of H.264 and H.265
KEY_UNIT = re.compile(r"nal_unit_type: \d+\((?:IDR|CRA|BLA)")  # is being decoded
KEY_FRAME_LIMIT_S = 30.0  # without one, the stream is opened again: that sends one


def _pattern(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of messages that are given as printf(3) formats them."""
    number = "-?[0-9a-f]+"
    escaped = (re.escape(text) for text in texts)
    return re.compile("|".join(re.sub(r"%0?2?[dx]", number, text) for text in escaped))


DAMAGE_PATTERN = _pattern(DAMAGE)
# Levels of FFmpeg's fatal messages, errors and warnings; libjpeg's messages. Most
# frames have none of them, and need no search for each message.
DAMAGE_MARKS = (":08] ", ":16] ", ":24] ", "JPEG")


def has_damage(log: str) -> bool:
    """Return whether a log reports damage of a picture.

    >>> has_damage("[OPENCV:FFMPEG:24] RTP: missed 2 packets")
    True
    >>> has_damage("[OPENCV:FFMPEG:24] deprecated pixel format used")
    False
    """
    is_possible = any(mark in log for mark in DAMAGE_MARKS)
    return is_possible and DAMAGE_PATTERN.search(log) is not None


def new_sizes(log: str) -> list[tuple[int, int] | None]:
    """Return the sizes of pictures that a log names; None = one that it does not name.

    >>> new_sizes("[OPENCV:FFMPEG:48] sof0: picture: 640x480")
    [(640, 480)]
    """
    if "sof0" not in log and "get_format" not in log:  # as in most frames
        return []
    return [
        (int(width), int(height)) if width else None
        for width, height in NEW_SIZE.findall(log)
    ]


@dataclass(slots=True)
class DamageRules:
    """Decides frame by frame which are damaged.

    Attributes:
        is_damaged: Result for the last frame.
    """

    is_intra: bool  # no frame needs another one: MJPEG
    _key_frame_s: float  # monotonic clock; at first that of the opening
    is_damaged: bool = False
    _frames: int = 0
    _delay: int | None = None  # frames from decoding to return; None = not measured
    _since_key_unit: int | None = None  # frames; None = no key frame is being decoded
    _since_message: int = 0  # frames; negative = frames that were read before it

    def note_opening(self, log: str, frames: int) -> None:
        """Take the log of the opening into account.

        Args:
            frames: At most so many frames were read in it, and are returned later.
        """
        if has_damage(log):
            self.is_damaged, self._since_message = True, -frames

    def update(self, log: str, frame_type: str, now_s: float) -> bool:
        """Return whether a frame is damaged.

        Args:
            log: Printed since the frame before.
            frame_type: ``I``, ``P`` or ``B``; another one is not known, as in codecs
                in which no frame needs another one.
        """
        self._since_message += 1
        if has_damage(log):
            self.is_damaged, self._since_message = True, 0
        is_key = self.is_intra or frame_type not in {"P", "B", "S"}
        self._measure_delay(log, is_key=is_key)
        if is_key:
            self._key_frame_s = now_s
            if self._since_message > self._frames_ahead:
                self.is_damaged = False
        return self.is_damaged

    def note_undecoded(self, log: str) -> bool:
        """Take packets into account of which no frame came; return whether there are.

        H.265 returns no frame where another one that it needs is missing.
        """
        if not has_damage(log):
            return False
        self.is_damaged, self._since_message = True, 0
        return True

    def waits_too_long(self, now_s: float) -> bool:
        """Return whether no key frame came for so long that none may come at all."""
        return self.is_damaged and now_s - self._key_frame_s > KEY_FRAME_LIMIT_S

    def _measure_delay(self, log: str, *, is_key: bool) -> None:
        """Count the frames from the decoding of a key frame to its return."""
        self._frames += 1
        if self.is_damaged:
            self._since_key_unit = None
            return
        # Before the first frame is returned, several are decoded.
        if self._since_key_unit is None and self._frames > 1 and KEY_UNIT.search(log):
            self._since_key_unit = 0
        if self._since_key_unit is None:
            return
        if is_key:
            delay = min(self._since_key_unit, REORDERED_MAX)
            self._delay = max(delay, self._delay or 0)
            self._since_key_unit = None
        else:
            self._since_key_unit += 1

    @property
    def _frames_ahead(self) -> int:
        if self.is_intra:
            return 0
        delay = REORDERED_FRAMES if self._delay is None else self._delay
        return READ_AHEAD_FRAMES + delay
