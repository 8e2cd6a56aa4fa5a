"""Any bytes of others give a value or an expected error: one fuzzer for each parser.

``make test`` tries the same examples in about 20 s, ``make fuzz`` others for minutes.
Labels, messages of the dashboard, commands, configurations and seals have fuzzers of
their own: ``trainer/data/formats/test_hostile_labels.py``,
``dashboard/test_messages.py``, ``fault/test_commands.py``, ``fault/test_reload.py``,
``models/test_seal.py``. Edge cases stay here as explicit examples.
"""

import json
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dashboard.config import DashboardSettings
from edge.config.station import CollectorAck
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.send_queue import SendQueue
from edge.monitoring.metrics_server import _Handler
from models.config import load_config
from models.errors import ConfigError, GraftlineError, InstallError, PackageError
from models.golden import read_golden_set
from models.manifest import MANIFEST_NAME
from models.package import Package, open_package
from models.picture_header import read_header
from models.pictures import PictureError, decode_pixels
from models.slot_files import Health, ProofFile, SlotRecord, read_file
from models.strict_json import parse_json
from models.topics import parse_topic
from models.value_types import PIXELS_MAX
from tests.examples import example_count
from tests.simulators.alerts import TOPICS
from tests.simulators.packages import make_package
from tests.simulators.picture_files import jpeg, png_file, tiff_file, with_thumbnail
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import SimSite
from trainer.data.splitting.split_record import read_split_record
from trainer.run import open_run

GREY = np.arange(128, dtype=np.uint8).reshape(8, 16)


def quick(count: int) -> settings:
    """Return settings for a fuzzer that tries this many examples in ``make test``."""
    return settings(
        max_examples=example_count(count),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def changed(data: st.DataObject, content: bytes, pieces: list[bytes]) -> bytes:
    """Return a content with some bytes replaced, left out or put in."""
    result = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(result)))
        end = data.draw(st.integers(begin, min(len(result), begin + 8)))
        put = data.draw(st.binary(max_size=6) | st.sampled_from(pieces))
        result[begin:end] = put
    return bytes(result)


# --- pictures -------------------------------------------------------------------------


def encoded(suffix: str) -> bytes:
    picture = np.tile(GREY[..., None], (8, 4, 3))  # JPEG 2000 needs 32 px
    is_written, content = cv2.imencode(suffix, picture)
    assert is_written
    return content.tobytes()


PICTURES = {
    "JPEG": with_thumbnail(jpeg(16), 6),
    "PNG": png_file(GREY, 8, 0),
    "TIFF": tiff_file(GREY.tobytes(), (16, 8), {258: [8]}),
    "BMP": encoded(".bmp"),
    "WebP": encoded(".webp"),
    "GIF": encoded(".gif"),
    "JPEG 2000": encoded(".jp2"),
    "AVIF": encoded(".avif"),
}
SIDES = [
    struct.pack(order, side)
    for order in ("<I", ">I", "<H", ">H")
    for side in (0, 1, 9999)
]
SIDES += [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xd0", b"\xff\xc0", b"IHDR"]


@pytest.mark.parametrize("name", PICTURES)
@quick(150)
@given(data=st.data())
def test_picture_that_was_changed_is_decoded_as_stated_or_refused(
    name: str, data: st.DataObject
) -> None:
    decodes_as_stated(changed(data, PICTURES[name], SIDES))


@quick(200)
@given(
    start=st.sampled_from([content[:12] for content in PICTURES.values()])
    | st.just(b""),
    rest=st.binary(max_size=300),
)
@example(b"BM", bytes(10))
@example(b"GIF89a", b"\0" * 5)
@example(b"II+\0\x08\0\0\0\x08\0\0\0\0\0\0\0", b"\xff" * 64)
@example(b"RIFF\0\0\0\0WEBPVP8X", bytes(3))
@example(b"\xff\x4f\xff\x51", b"\0" * 9)
@example(b"\0\0\0\x18ftypavif", b"ispe")
@example(b"\xff\xd8\xff\xe5", b"\0\0" + b"\xff\xc0\0\x02")
def test_any_bytes_are_decoded_as_stated_or_refused(start: bytes, rest: bytes) -> None:
    decodes_as_stated(start + rest)


def decodes_as_stated(content: bytes) -> None:
    header = read_header(content)
    with suppress(PictureError):
        height, width = decode_pixels(content).shape[:2]
        # What is decoded is never more than what was checked before.
        assert header.size_px is not None
        assert width * height <= header.size_px[0] * header.size_px[1] <= PIXELS_MAX


# --- packages, runs and slots ---------------------------------------------------------

JSON_PIECES = [b"1e999", b"NaN", b"[" * 2000, b"9" * 5000, b"\0", b'"\\ud800"', b"-1"]
JSON_PIECES += [b"null", b"{}", b'"../x"', b"1" + b"0" * 400, b'{"a":1,"a":2}']


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_package(tmp_path_factory.mktemp("foreign") / "package")


@pytest.mark.parametrize("is_sealed", [True, False])
@quick(150)
@given(data=st.data())
def test_changed_manifest_is_a_manifest_or_a_package_error(
    is_sealed: bool, data: st.DataObject, package: Package, tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    if not folder.exists():
        shutil.copytree(package.folder, folder)
    document = json.loads((package.folder / MANIFEST_NAME).read_bytes())
    if not is_sealed:  # so that the parser is reached
        document |= {"sealed": False}
        (folder / "manifest.sha256").unlink(missing_ok=True)
    content = changed(data, json.dumps(document).encode(), JSON_PIECES)
    (folder / MANIFEST_NAME).write_bytes(content)
    raises_only(PackageError, lambda: open_package(folder))


@quick(150)
@given(data=st.data())
def test_changed_golden_set_is_a_golden_set_or_a_package_error(
    data: st.DataObject, package: Package, tmp_path: Path
) -> None:
    path = package.folder / package.manifest.golden
    target = tmp_path / package.manifest.golden
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(changed(data, path.read_bytes(), JSON_PIECES))
    copy = Package(tmp_path, package.manifest, package.sha256)
    raises_only(PackageError, lambda: read_golden_set(copy))


SLOT_FILES = {
    "state": (SlotRecord, b'{"schema_version":1,"active":"%s"}' % (b"0" * 64)),
    "proof": (ProofFile, b'{"schema_version":1,"proofs":{}}'),
    "health": (Health, b'{"schema_version":1,"state":"ready","frames":1}'),
}


@pytest.mark.parametrize("name", SLOT_FILES)
@quick(150)
@given(data=st.data())
def test_changed_file_of_a_slot_is_one_or_an_install_error(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    layout, content = SLOT_FILES[name]
    path = tmp_path / f"{name}.json"
    path.write_bytes(changed(data, content, JSON_PIECES))
    raises_only(InstallError, lambda: read_file(path, layout))


@quick(150)
@given(content=st.binary(max_size=80), piece=st.sampled_from(JSON_PIECES))
def test_any_record_of_a_run_is_one_or_an_expected_error(
    content: bytes, piece: bytes, tmp_path: Path
) -> None:
    for name in ("run.json", "split.json"):
        (tmp_path / name).write_bytes(b'{"schema_version":' + piece + content + b"}")
    raises_only(GraftlineError, lambda: open_run(tmp_path))
    raises_only(GraftlineError, lambda: read_split_record(tmp_path))


@quick(200)
@given(
    content=st.binary(max_size=60) | st.text(max_size=60),
    piece=st.sampled_from(JSON_PIECES),
)
@example(content='{"a":1,"a":1}', piece=b"")
def test_any_json_is_a_value_or_a_value_error(
    content: bytes | str, piece: bytes
) -> None:
    text = content if isinstance(content, str) else content + piece
    raises_only(ValueError, lambda: parse_json(text))


def raises_only(expected: type[Exception], read: Callable[[], object]) -> None:
    """Call; an expected error must be shown as text, any other one is a fault."""
    errors: list[Exception] = []
    try:
        read()
    except expected as exc:
        errors.append(exc)
    assert all(str(exc).encode("utf-8", "backslashreplace") for exc in errors)


# --- MQTT, HTTP and configurations ----------------------------------------------------

LEVELS = st.sampled_from(["graftline", "camera", "alert", "", "+", "#", "a", "x" * 99])


@quick(300)
@given(levels=st.lists(LEVELS | st.text(max_size=6), max_size=9))
@example(levels=["graftline", "a", "b", "c", "camera"])
@example(levels=["graftline", "a", "b", "c", "camera", "\0", "alert"])
def test_any_topic_has_names_of_a_station_or_is_none(levels: list[str]) -> None:
    topic = "/".join(levels)
    parsed = parse_topic(topic)
    if parsed is not None:
        names = [parsed.camera] if parsed.camera else []
        names += [parsed.topics.site, parsed.topics.line, parsed.topics.station]
        assert all(name.isprintable() and "/" not in name for name in names)
        assert not {"+", "#"} & set("".join(names))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SendQueue]:
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, 64 << 20)
    outbox.start()
    yield SendQueue(outbox, CollectorAck.REQUIRED, DeliveryFaults(), 60, lambda: 0.5)
    outbox.close()


ACKNOWLEDGEMENT = b'{"schema_version":1,"stream":"%s","high_water":0,"ranges":[[1,2]]}'


@quick(150)
@given(data=st.data())
def test_any_acknowledgement_is_taken_or_refused(
    data: st.DataObject, queue: SendQueue
) -> None:
    content = changed(data, ACKNOWLEDGEMENT % (b"0" * 32), JSON_PIECES)
    queue.acknowledged(content, 0)
    queue.acknowledged(data.draw(st.binary(max_size=40)), 0)


class SimMetrics:
    """Metrics that are always the same."""

    status = SimpleNamespace(faults=())

    def render(self) -> bytes:
        return b"edge_state 1\n"

    def state(self) -> str:
        return "ready"

    def stuck(self) -> tuple[str, ...]:
        return ()


REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
HTTP_PIECES = [b"\r\n", b"\0", b"HTTP/9.9", b"GET ", b" ", b":", b"Host: x\r\n", b"%00"]
HTTP_PIECES += [b"Content-Length: -1\r\n", b"/../", b"\xff" * 4, b"x" * 3000]


@quick(100)
@given(data=st.data())
def test_any_request_to_the_metrics_port_is_answered_or_closed(
    data: st.DataObject,
) -> None:
    content = changed(data, REQUEST, HTTP_PIECES)
    values = {"metrics": SimMetrics(), "allowed_hosts": ()}
    handler: Any = type("Handler", (_Handler,), values)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(content)
        ours.shutdown(socket.SHUT_WR)
        handler(theirs, ("127.0.0.1", 1), None)
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(5)
        answer = b"".join(iter(lambda: ours.recv(4096), b""))
    assert not answer or b"Traceback" not in answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimSite]:
    file = HistoryFile(tmp_path_factory.mktemp("history"))
    yield SimSite(file)
    file.close()


PATHS = [
    "api/events",
    "api/events/",
    "api/summary",
    "api/cameras",
    "healthz",
    "static/",
]
PATHS += ["", "api/pictures/", "..", "%2e%2e/", "static/../../etc/passwd"]
QUERIES = [
    "after=",
    "limit=",
    "station=",
    "camera=",
    "label=",
    "since=",
    "before=",
    "&",
]


@quick(150)
@given(
    path=st.lists(st.sampled_from(PATHS) | st.text(max_size=6), max_size=3),
    query=st.lists(st.sampled_from([*QUERIES, "9" * 5000, "-1", "%00"]), max_size=4),
    host=st.sampled_from(["localhost:8765", "evil.example", "", "[::1", "\x7f"]),
)
@example(path=["api/events"], query=["after=", "9" * 5000], host="localhost:8765")
def test_any_request_to_the_dashboard_is_answered_without_an_error_of_ours(
    path: list[str], query: list[str], host: str, site: SimSite
) -> None:
    url = "/" + "/".join(path).replace("?", "")
    text = url.encode("utf-8", "replace").decode()
    target = f"{text}?{''.join(query)}"
    # Of an endless answer, its head.
    answer = get(site.app, target, headers={"host": host}, enough=lambda _: True)
    assert answer.status < 500


@quick(150)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(content=b"[broker]\nhost = '\\u0000'\n")
@example(content=b"a=" + b"[" * 5000)
@example(content=b"[server]\nport = " + b"9" * 5000)
def test_any_file_is_settings_of_the_dashboard_or_a_config_error(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "dashboard.toml"
    path.write_bytes(content)
    raises_only(ConfigError, lambda: load_config(path, DashboardSettings))
