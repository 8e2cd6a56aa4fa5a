"""A disk that is full, read-only or rotten degrades the daemon; it inspects on."""

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.outbox.write_queue import BATCH_MAX_EVENTS
from tests.simulators.alerts import (
    ALERT_TOPIC,
    TOPICS,
    VERDICT_TOPIC,
    alert,
    jpeg,
    verdict,
)
from tests.simulators.broker import free_port
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import write_parts
from tests.waiting import until

STRACE = shutil.which("strace")
CAP_BYTES = 64 << 20
DISK_BYTES = 2 << 20
FLIPS = 200
START_LIMIT_S = 5.0
PARTS = 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Outbox]:
    outbox = Outbox(folder / "outbox.db", TOPICS, CAP_BYTES)
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.close()


@pytest.mark.fault(14)
def test_full_disk_evicts_by_kind_and_records_what_was_lost(small_disk: Path) -> None:
    with opened(small_disk) as outbox:
        done = []
        for number in range(1200):
            image = jpeg(number, 8000) if number % 4 == 0 else None
            content = alert(number, image)
            done.append(outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image))
            outbox.put(EventKind.VERDICT, VERDICT_TOPIC, verdict(number))
            if number % 50 == 0:
                done[-1].result(30)
        assert [future.result(60) for future in done][-1] >= 2400 - 1
        rows = outbox.read(0, 10_000, was_sent=False)
    assert rows is not None
    kept = [each for each in rows if each.event.kind is EventKind.ALERT]
    lost: dict[str, int] = {}
    for each in rows:
        if each.event.kind is EventKind.LOSS:
            data = json.loads(each.event.data)
            lost[data["kind"]] = lost.get(data["kind"], 0) + data["count"]
    assert lost["image"] > 0
    assert len(kept) + lost.get("alert", 0) == 1200, "no loss in silence"
    verdicts = sum(each.event.kind is EventKind.VERDICT for each in rows)
    assert verdicts + lost.get("verdict", 0) == 1200
    assert lost["verdict"] > lost["alert"], "alerts go last"
    assert json.loads(kept[-1].event.data)["frame_id"] == 1199


@pytest.mark.fault(14)
@pytest.mark.parametrize("picture_bytes", [8000, 40_000, 60_000])
def test_burst_larger_than_the_disk_is_written_in_parts(
    small_disk: Path, picture_bytes: int
) -> None:
    count = 4 * BATCH_MAX_EVENTS
    images = [jpeg(number, picture_bytes) for number in range(count)]
    burst = [alert(number, image) for number, image in enumerate(images)]
    with opened(small_disk) as outbox:
        done = [
            outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image)
            for content, image in zip(burst, images, strict=True)
        ]
        seqs = [future.result(60) for future in done]
        rows = outbox.read(0, 10_000, was_sent=False)
    assert seqs == sorted(set(seqs))
    assert rows is not None
    kept, lost = 0, {"image": 0, "alert": 0}
    for each in rows:
        if each.event.kind is EventKind.LOSS:
            data = json.loads(each.event.data)
            lost[data["kind"]] += data["count"]
        else:
            kept += 1
    assert kept + lost["alert"] == count, "no loss in silence"
    pictures = sum(each.event.image is not None for each in rows)
    assert pictures + lost["image"] >= count - lost["alert"]
    assert lost["image"] > 0


@pytest.mark.fault(14)
def test_disk_that_others_filled_is_waited_for_and_nothing_is_lost(
    small_disk: Path,
) -> None:
    with opened(small_disk) as outbox:
        outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(0)).result(30)
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        done = [
            outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(number))
            for number in range(1, 400)
        ]
        until(lambda: outbox.is_failing)
        filler.unlink()
        assert [future.result(30) for future in done] == list(range(2, 401))
        assert not outbox.is_failing


@contextlib.contextmanager
def disk_fails_with(error: str, pid: int, file: Path) -> Iterator[None]:
    """Have every write of a process to a file fail with an error."""
    paths = [
        option for end in ("", "-wal", "-shm") for option in ("-P", f"{file}{end}")
    ]
    calls = "pwrite64,ftruncate,fdatasync,openat"
    tracer = subprocess.Popen(
        [
            *(str(STRACE), "-f", "-qq", "-o", "/dev/null", *paths),
            *("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"),
            *("-p", str(pid)),
        ]
    )
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)


@pytest.mark.skipif(STRACE is None, reason="needs strace")
@pytest.mark.fault(14, 15)
@pytest.mark.parametrize("error", ["EROFS", "ENOSPC", "EIO"])
def test_daemon_continues_to_inspect_while_its_disk_refuses_writes(
    tmp_path: Path, error: str
) -> None:
    pc = DaemonPc(tmp_path, free_port())
    write_parts(pc.folder / "parts", good=0, defective=PARTS)
    with pc.running(camera_table("top", "folder:parts", fps=15.0)) as process:
        until(lambda: bool(pc.health and pc.health.state == "ready"))
        pc.wait_until_inspecting(5)
        with disk_fails_with(error, process.pid, pc.folder / "outbox.sqlite"):
            until(lambda: bool(pc.health and pc.health.state == "degraded"))
            seen = pc.health.frames_inspected if pc.health else 0
            pc.wait_until_inspecting(seen + 15)
        until(lambda: bool(pc.health and pc.health.state == "ready"))
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert pc.stderr.count("outbox_failing") == 1, "logged once, not at each attempt"
    assert "reason='outbox not writable'" in pc.stderr
    assert_every_part_once(pc, figures["cameras"]["top"]["frames_inspected"])


def assert_every_part_once(pc: DaemonPc, parts: int) -> None:
    """Check that each part has one alert and one verdict, in the order of the parts."""
    connection = sqlite3.connect(pc.folder / "outbox.sqlite")
    rows = connection.execute("SELECT kind, data FROM event ORDER BY seq").fetchall()
    connection.close()
    for kind in ("alert", "verdict"):
        frames = [json.loads(data)["frame_id"] for each, data in rows if each == kind]
        assert frames == list(range(parts)), kind


@pytest.mark.fault(17)
@pytest.mark.parametrize("place", ["anywhere", "header", "middle", "log"])
def test_damage_anywhere_is_put_aside_and_the_start_is_quick(
    tmp_path: Path, place: str
) -> None:
    master = tmp_path / "master"
    with opened(master) as outbox:
        for number in range(40):
            image = jpeg(number, 2000)
            put = outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(number, image), image)
        put.result(30)
        stream, live = outbox.stream, tmp_path / "live"
        shutil.copytree(master, live)  # as after kill -9: the log is not folded in
    chance = random.Random(place)
    for attempt in range(FLIPS // 4):
        folder = tmp_path / f"{place}-{attempt}"
        shutil.copytree(live if place == "log" else master, folder)
        spoil(folder / "outbox.db", place, chance)
        began_s = time.monotonic()
        with opened(folder) as outbox:
            assert time.monotonic() - began_s < START_LIMIT_S
            put = outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(999))
            assert put.result(30) >= 1
            if list(folder.glob("*.damaged-*Z")):
                assert outbox.stream != stream, "a lost number is never used again"
        shutil.rmtree(folder)


def spoil(file: Path, place: str, chance: random.Random) -> None:
    """Damage a file at some place."""
    if place == "log":
        log = file.with_name(f"{file.name}-wal")
        with log.open("r+b") as opened_log:
            opened_log.truncate(chance.randrange(log.stat().st_size))
        return
    content = bytearray(file.read_bytes())
    places = {
        "anywhere": (0, len(content), 1),
        "header": (0, 100, 3),
        "middle": (len(content) // 3, 2 * len(content) // 3, 200),
    }
    first, last, count = places[place]
    for _ in range(count):
        content[chance.randrange(first, last)] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
