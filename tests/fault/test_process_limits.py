"""Too few descriptors or a wrong clock: both are reported and lose no alert."""

import json
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.broker import free_port
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import write_parts
from tests.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("cc")
HOUR_S, YEAR_S = 3600, 365 * 86400
AGE_LIMIT_MS = 60_000.0


def events(pc: DaemonPc, kind: str) -> list[dict[str, Any]]:
    """Return what the outbox holds of a kind, by position."""
    connection = sqlite3.connect(pc.folder / "outbox.sqlite")
    rows = connection.execute(
        "SELECT data FROM event WHERE kind = ? ORDER BY seq", (kind,)
    ).fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


@pytest.mark.fault(62)
def test_daemon_without_descriptors_reports_it_and_recovers(tmp_path: Path) -> None:
    pc = DaemonPc(tmp_path, free_port())
    write_parts(pc.folder / "parts", good=0, defective=600)
    with pc.running(camera_table("top", "folder:parts", fps=15.0)) as process:
        pc.wait_until_inspecting(5)
        _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (4, most))
        until(lambda: "to=degraded" in pc.stderr)
        degraded_at = pc.stderr.index("to=degraded")
        assert "Too many open files" in pc.stderr
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
        until(lambda: "to=ready" in pc.stderr[degraded_at:])
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    parts = figures["cameras"]["top"]["frames_inspected"]
    for kind in ("alert", "verdict"):
        assert [each["frame_id"] for each in events(pc, kind)] == list(range(parts))
    alerts = events(pc, "alert")
    assert any(each["evidence"] is None for each in alerts), "the fault was real"
    assert alerts[-1]["evidence"] is not None


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.fault(57)
@pytest.mark.parametrize(
    "offsets_s",
    [(30 - int(time.time()),), (10 * YEAR_S,), (0, HOUR_S, -HOUR_S, -30 * YEAR_S, 0)],
    ids=["1970", "ten years ahead", "jumps and backwards"],
)
def test_order_and_ages_do_not_depend_on_the_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offsets_s: tuple[int, ...]
) -> None:
    pc, clock = DaemonPc(tmp_path, free_port()), tmp_path / "clock"
    write_parts(pc.folder / "parts", good=0, defective=600)
    library = tmp_path / "wall_clock.so"
    source = REPOSITORY / "tests" / "simulators" / "wall_clock.c"
    compiled = [str(COMPILER), "-shared", "-fPIC", "-o", library, source]
    subprocess.run(compiled, check=True, timeout=60)
    clock.write_text(str(offsets_s[0]))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("WALL_CLOCK_OFFSET_FILE", str(clock))
    with pc.running(camera_table("top", "folder:parts", fps=15.0)) as process:
        monkeypatch.undo()
        for number, offset_s in enumerate(offsets_s):
            fresh = clock.with_suffix(".new")
            fresh.write_text(str(offset_s))
            fresh.replace(clock)
            pc.wait_until_inspecting(8 * (number + 1))
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    alerts = events(pc, "alert")
    assert [each["frame_id"] for each in alerts] == list(range(len(alerts)))
    assert len(alerts) == figures["cameras"]["top"]["alerts"]
    assert all(0 <= each["frame_age_ms"] < AGE_LIMIT_MS for each in alerts)
    assert all(a["captured_ns"] < b["captured_ns"] for a, b in pairwise(alerts))
    walls = [datetime.fromisoformat(each["captured_at"]) for each in alerts]
    now = datetime.now(walls[0].tzinfo)
    assert any(abs((now - wall).total_seconds()) > 3000 for wall in walls)
    far = [
        each["clock_synchronized"]
        for each, wall in zip(alerts, walls, strict=True)
        if wall.year < now.year - 1
    ]
    assert not any(far), "a clock before this program was made is not to be trusted"
