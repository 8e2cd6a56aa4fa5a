"""Bars of states over time, as SVG for a template: no script draws them.

Each state has its own height beside its colour, so that a bar can be read without
colours. The colours are in ``lines.css``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.history.state_log import SILENT
from dashboard.history.timeline import UNKNOWN, Segment, coarse
from models.messages import CameraState, DaemonState

WIDTH, HEIGHT = 960, 20
KINDS = {
    DaemonState.READY.value: "ok",
    CameraState.UP.value: "ok",
    DaemonState.DEGRADED.value: "degraded",
    DaemonState.LOST.value: "lost",
    DaemonState.DISCONNECTED.value: "stopped",
    DaemonState.INIT.value: "init",
    CameraState.ENDED.value: "ended",
    SILENT: "stale",
    UNKNOWN: "unknown",
}
# Top and height of each kind, of HEIGHT.
SHAPES = {
    "ok": (8, 12),
    "degraded": (4, 16),
    "lost": (0, 20),
    "stopped": (0, 20),
    "init": (12, 8),
    "ended": (16, 4),
    "stale": (9, 3),
    "unknown": (9, 1),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of a bar."""

    x: float
    width: float
    y: float
    height: float
    kind: str
    segment: Segment


def bar(found: Sequence[Segment]) -> list[Piece]:
    """Return the rectangles of a bar of ``WIDTH`` x ``HEIGHT``."""
    shown = coarse(found)
    if not shown:
        return []
    from_ms, to_ms = shown[0].from_ms, shown[-1].to_ms
    scale = WIDTH / max(1, to_ms - from_ms)
    pieces = []
    for each in shown:
        kind = KINDS.get(each.state, "unknown")
        y, height = SHAPES[kind]
        x = round((each.from_ms - from_ms) * scale, 2)
        width = max(1.0, round(each.length_ms * scale, 2))  # a short stop stays visible
        pieces.append(Piece(x, width, y, height, kind, each))
    return pieces
