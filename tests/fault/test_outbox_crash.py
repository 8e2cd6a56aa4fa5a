"""A process that dies or is cheated by its disk never reports what it did not keep."""

import os
import re
import shutil
from pathlib import Path

import pytest

from edge.delivery.outbox.outbox import EventKind, Outbox
from tests.simulators import outbox_process as driver
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert

STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="needs strace")
WRITES = "pwrite64,fdatasync,fsync,ftruncate,openat,unlink,write"
CALLS = "pwrite64", "fdatasync", "ftruncate", "unlink"
POINTS = 3  # of each call, for an old and for a new file; each costs a second
RESTARTS, PROCESSES = 46, 4
MEMORY = Path("/sys/fs/cgroup/memory")
MEMORY_LIMIT = 150 << 20
BALLAST_MB = 400


def strace(folder: Path, *options: str) -> list[str]:
    """Return the strace prefix that traces the calls on the outbox or fails them."""
    paths = [f"{folder}/{driver.FILE}{end}" for end in ("", "-wal")]
    watched = [option for path in paths for option in ("-P", path)]
    return [str(STRACE), "-f", "-qq", "-o", str(folder / "trace"), *watched, *options]


def calls_of_one_run(folder: Path, count: int) -> dict[str, int]:
    """Return how often the busiest thread makes each call on the outbox."""
    done = driver.run(driver.command(folder, 0, count), strace(folder))
    assert "closed" in done.stdout, done.stderr
    calls: dict[tuple[str, str], int] = {}
    for line in (folder / "trace").read_text().splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found:
            key = (found[2], found[1])
            calls[key] = calls.get(key, 0) + 1
    return {
        name: max((n for (call, _), n in calls.items() if call == name), default=0)
        for name in CALLS
    }


@pytest.mark.long
@needs_strace
@pytest.mark.fault(12)
@pytest.mark.parametrize("is_new", [True, False])
def test_kill_at_any_call_of_a_write_loses_nothing_that_was_accepted(
    tmp_path: Path, is_new: bool
) -> None:
    master = tmp_path / "master"
    master.mkdir()
    if not is_new:
        driver.run(driver.command(master, 0, 4))
    rehearsal = tmp_path / "rehearsal"
    shutil.copytree(master, rehearsal)
    kills = 0
    for call, times in calls_of_one_run(rehearsal, 24).items():
        points = {1, 2, times} if is_new else {1, max(1, times // 2), times}
        for when in sorted(point for point in points if 0 < point <= times)[:POINTS]:
            folder = tmp_path / f"{call}-{when}"
            shutil.copytree(master, folder)
            before = driver.stored(folder) if not is_new else {}
            inject = f"inject={call}:signal=KILL:when={when}"
            wrapper = strace(folder, "-e", f"trace={call}", "-e", inject)
            done = driver.run(driver.command(folder, 100, 24), wrapper)
            kills += "closed" not in done.stdout
            accepted, kept = driver.accepted(done.stdout), driver.stored(folder)
            assert {**before, **accepted}.items() <= kept.items(), (call, when)
            assert list(kept) == list(range(1, len(kept) + 1)), "no position is skipped"
            again = driver.run(driver.command(folder, 200, 1))
            assert driver.accepted(again.stdout) == {len(kept) + 1: 200}, again.stderr
            assert not list(folder.glob("*.damaged-*")), "a crash is no damage"
    assert kills >= POINTS, "the sweep must hit something"


@needs_strace
@pytest.mark.fault(13)
def test_log_is_synchronized_before_an_event_is_accepted(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    # LazyFS, which drops what was not synchronized, needs a kernel's FUSE and is not
    # on every machine; this test checks that the disk is written before the answer.
    calls = ("-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={WRITES}")
    done = driver.run(driver.command(tmp_path, 0, 40), [str(STRACE), *calls])
    assert len(driver.accepted(done.stdout)) == 40
    # The four events of a group may be committed in two transactions: the first ones
    # are reported while the next one is being written. So the first of a group needs a
    # synchronization since the group before, and the last one needs all.
    is_dirty, accepted, synchronized, in_group = False, 0, 0, 0
    for line in trace.read_text().splitlines():
        if f"{driver.FILE}-wal>" in line and "pwrite64(" in line:
            is_dirty = True
        elif re.search(r"-wal>\) += 0|f(data)?sync resumed>\) += 0", line):
            is_dirty = False  # only when the call has returned
            synchronized += 1
            in_group += 1
        elif "write(" in line and '"open ' in line:
            in_group = 0
        elif "write(" in line and '"accepted ' in line:
            accepted += 1
            assert in_group, line
            if accepted % driver.GROUP == 0:
                assert not is_dirty, line
                in_group = 0
    assert accepted == 40
    assert synchronized >= 10, "ten groups, ten synchronizations"


@needs_strace
@pytest.mark.fault(16)
@pytest.mark.parametrize("when", ["2", "3..4"])
def test_failed_synchronization_is_retried_and_doubles_no_event(
    tmp_path: Path, when: str
) -> None:
    driver.run(driver.command(tmp_path, 0, 4))
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}"
    wrapper = strace(tmp_path, "-e", "trace=fdatasync,fsync", "-e", inject)
    done = driver.run(driver.command(tmp_path, 100, 24), wrapper)
    assert "EIO" in (tmp_path / "trace").read_text(), "the fault must have happened"
    accepted, kept = driver.accepted(done.stdout), driver.stored(tmp_path)
    assert sorted(accepted.values()) == list(range(100, 124)), done.stderr
    assert accepted.items() <= kept.items()
    assert list(kept.values()) == [*range(4), *range(100, 124)], "each once, in order"


@pytest.mark.fault(59)
def test_fifty_restarts_go_on_in_one_stream(tmp_path: Path) -> None:
    streams, positions = set(), []
    for life in range(RESTARTS):
        outbox = Outbox(tmp_path / driver.FILE, TOPICS, driver.MAX_BYTES)
        outbox.start()
        streams.add(outbox.stream)
        put = outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(life))
        positions.append(put.result(10))
        outbox.acknowledge(outbox.stream, ((1, positions[-1]),))  # drained each time
        outbox.close()
    assert positions == list(range(1, RESTARTS + 1))
    output = "".join(
        driver.run(driver.command(tmp_path, 10 * life, 2)).stdout
        for life in range(PROCESSES)
    )
    opened = re.findall(r"open (\S+) (\d+)", output)
    assert {stream for stream, _ in opened} == streams
    assert len(streams) == 1
    last = [RESTARTS + 2 * life for life in range(PROCESSES)]
    assert [int(position) for _, position in opened] == last
    assert list(driver.accepted(output)) == [
        *range(RESTARTS + 1, RESTARTS + 2 * PROCESSES + 1)
    ]


@pytest.mark.fault(61)
def test_process_killed_for_its_memory_keeps_what_it_accepted(tmp_path: Path) -> None:
    group = MEMORY / f"graftline-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_LIMIT))
    except OSError:
        pytest.skip("needs root and a memory cgroup")
    try:
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        command = driver.command(tmp_path, 0, 40, BALLAST_MB)
        done = driver.run(command, ["sh", "-c", enter, "sh"])
    finally:
        group.rmdir()
    assert done.returncode == -9, "the kernel must have killed it"
    accepted = driver.accepted(done.stdout)
    assert len(accepted) == 40
    assert driver.stored(tmp_path) == accepted
    again = driver.run(driver.command(tmp_path, 40, 4))
    assert driver.accepted(again.stdout) == {seq: seq - 1 for seq in range(41, 45)}
