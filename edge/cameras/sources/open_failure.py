"""Why a source cannot be opened, or sends no frame: from what the libraries log. Pure.

Source:
    Messages of FFmpeg 8 (rtsp.c, http.c, network.c, tcp.c) and of OpenCV 5
    (cap_v4l.cpp); errno names of Linux; RFC 2326 for the status codes of RTSP.
"""

import re
from typing import NamedTuple

from edge.cameras.source import SourceKind


class Cause(NamedTuple):
    """Why, and what to do about it."""

    why: str
    fix: str


# `method DESCRIBE failed: 404 (Not Found)` of RTSP, `HTTP error 404 Not Found`.
STATUS = re.compile(r"(?:method \w+ failed:|HTTP error) (\d{3}) ?\(?([^\r\n\")]*)")
CONNECTED = re.compile(r"Successfully connected to|method \w+ |SDP:")
LOGIN = "Give user and password in `source`, scheme://user:password@host/…; write %40 "
LOGIN += "for @, %3A for :, %2F for /, %23 for #, %3F for ? and %25 for %."
STATUS_FIXES = {
    401: LOGIN,
    403: "Allow this user to read the stream, in the settings of the camera.",
    404: "Check the path of the URL: the manual of the camera names it.",
    453: "Close other viewers of the camera, or allow more of them in its settings.",
    454: "Restart the camera.",
    461: 'Set `rtsp_transport = "{other}"`: the camera does not send over {own}.',
    503: "Wait until the camera has started, or close other viewers of it.",
}
MESSAGES = (
    (
        "Connection refused",
        Cause(
            "It refused the connection: nothing listens on this port.",
            "Check the port of the URL, and that the camera's service is on.",
        ),
    ),
    (
        "Failed to resolve hostname",
        Cause(
            "No address is known for the name of its host.",
            f"Check the host of the URL, or give its IP address. {LOGIN}",
        ),
    ),
    (
        "Port missing in uri",
        Cause("User or password of the URL cannot be separated from its host.", LOGIN),
    ),
    (
        "No route to host",
        Cause("No device has this address.", "Check the address, cable and power."),
    ),
    (
        "Network is unreachable",
        Cause(
            "This machine has no network to this address.",
            "Check the network of this machine, and the address.",
        ),
    ),
    (
        "Connection reset by peer",
        Cause(
            "It closed the connection.",
            "Close other viewers of the camera, or restart it.",
        ),
    ),
    (
        "Invalid data found when processing input",
        Cause(
            "It answers, but not with a video.",
            "Give the URL of the video itself: the manual of the camera names it.",
        ),
    ),
)
ERRNO = re.compile(r"errno=(\d+)")
ERRNOS = {
    16: Cause(  # EBUSY
        "Another program uses it.",
        "Stop the other program: `fuser -v /dev/video*` lists them.",
    ),
    28: Cause(  # ENOSPC
        "Its USB bus has not enough bandwidth left.",
        "Connect it to a port of another USB controller (`lsusb -t` shows them), or "
        'set a smaller picture, fewer frames or `pixel_format = "MJPG"` in '
        "[camera.settings].",
    ),
    32: Cause(  # EPIPE
        "The USB connection failed.",
        "Check the cable and the port; a long cable needs an active one.",
    ),
    71: Cause(  # EPROTO
        "The USB connection failed.",
        "Check the cable and the port; a long cable needs an active one.",
    ),
}


def cause_of(log: str, kind: SourceKind, transport: str) -> Cause | None:
    """Return what a log states as the cause; None = it states none.

    Args:
        transport: ``tcp`` or ``udp``, of RTSP.

    >>> cause_of("method SETUP failed: 404 (Not Found)", SourceKind.STREAM, "tcp").why
    'The camera answered 404 Not Found.'
    """
    if kind is SourceKind.USB:
        found = [int(number) for number in ERRNO.findall(log)]
        return next((ERRNOS[number] for number in found if number in ERRNOS), None)
    if kind is not SourceKind.STREAM:
        return None
    if status := STATUS.search(log):
        return _cause_of_status(int(status[1]), status[2].strip(), transport)
    return next((cause for text, cause in MESSAGES if text in log), None)


def silence(log: str, limit_ms: int) -> Cause:
    """Return the cause where a network camera only did not answer in time."""
    if CONNECTED.search(log):
        return Cause(
            f"It accepted the connection, and no video came within {limit_ms} ms.",
            "Check the URL and the camera's settings of this stream; a slow one needs "
            "a longer `open_timeout_ms`.",
        )
    return Cause(
        f"Nothing answered within {limit_ms} ms.",
        "Check the URL, the network and the camera's power.",
    )


def _cause_of_status(code: int, phrase: str, transport: str) -> Cause:
    other = "udp" if transport == "tcp" else "tcp"
    fix = STATUS_FIXES.get(code, "Check the URL and the settings of the camera.")
    return Cause(
        f"The camera answered {code} {phrase}".rstrip() + ".",
        fix.format(own=transport.upper(), other=other),
    )
