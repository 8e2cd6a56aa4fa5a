from pathlib import Path

import pytest

from edge.cameras.source import Source, SourceKind, parse_source


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("folder:/parts", SourceKind.FOLDER, "/parts"),
        ("folder:parts of today", SourceKind.FOLDER, "parts of today"),
        ("file:line.mp4", SourceKind.VIDEO, "line.mp4"),
        ("file:///videos/line.raw", SourceKind.VIDEO, "/videos/line.raw"),
        ("rtsp://cam/1", SourceKind.STREAM, "rtsp://cam/1"),
        ("http://cam:8080/mjpg", SourceKind.STREAM, "http://cam:8080/mjpg"),
        ("v4l2:/dev/v4l/by-id/usb-1", SourceKind.USB, "/dev/v4l/by-id/usb-1"),
        ("/dev/video0", SourceKind.USB, "/dev/video0"),
        ("belt.MP4", SourceKind.VIDEO, "belt.MP4"),
        ("some/folder", SourceKind.FOLDER, "some/folder"),
        ("C:odd/but/a/path", SourceKind.FOLDER, "C:odd/but/a/path"),
    ],
)
def test_source_is_parsed_into_kind_and_address(
    text: str, kind: SourceKind, address: str
) -> None:
    assert parse_source(text) == Source(kind, address)


@pytest.mark.parametrize(
    "text", ["", "  ", "folder:", "file:", "rtsp://", "rtsp://cam:x/", "ftp://a/b"]
)
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_source(text)


@pytest.mark.fault(80)
@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("http://10.0.0.5:8080/a/b.cgi", "http://10.0.0.5:8080/a/b.cgi"),
        ("rtsp://user:secret@cam:554/1?x=2", "rtsp://cam:554/1"),
        ("rtsp://user:secret@[fe80::1]:554/1", "rtsp://[fe80::1]:554/1"),
        ("http://10.0.0.5/video.cgi?user=a&pwd=secret", "http://10.0.0.5/video.cgi"),
        ("http://10.0.0.5?dir=/secret", "http://10.0.0.5"),
        ("http://10.0.0.5#/secret", "http://10.0.0.5"),
        ("rtsp://admin:p@secret#word@host/", "rtsp://host/"),
        ("rtsp://admin:p@secret?word@host:554/1#x", "rtsp://host:554/1"),
        ("rtsp://admin:p@secret/word@host/1", "rtsp://***"),
        ("rtsp://admin:12?secret@host/1", "rtsp://***"),
        ("http://10.0.0.5?pwd=secret@x", "http://***"),
        ("rtsp://cam/user=admin_password=secret_channel=1", "rtsp://cam/***"),
        ("rtsp://cam/admin:secret/1", "rtsp://cam/***"),
        ("http://cam/video;secret", "http://cam/video"),
        ("folder:rtsp://admin:secret", "rtsp://***"),
        ("folder:rtsp://admin:secret@cam/1", "rtsp://***"),
        ("rtsp//admin:secret@cam/1", "rtsp//***"),
    ],
)
def test_address_for_messages_has_no_password(text: str, redacted: str) -> None:
    source = parse_source(text)
    assert source.redacted == redacted
    assert source.address == text.removeprefix("folder:")
    assert "secret" not in f"{source} {source!r} {[source]}"


def test_error_of_a_refused_address_has_no_password() -> None:
    with pytest.raises(ValueError, match="expected rtsp://") as caught:
        parse_source("rtsp://user:sec/ret@cam/1")
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("folder:parts", "folder:/etc/parts"),
        ("belt.mp4", "file:/etc/belt.mp4"),
        ("folder:/parts", "folder:/parts"),
        ("rtsp://cam/1", "rtsp://cam/1"),
    ],
)
def test_relative_path_is_resolved_against_the_configuration(
    text: str, resolved: str
) -> None:
    assert str(parse_source(text).resolved_from(Path("/etc"))) == resolved


def test_source_as_text_parses_to_the_same_source() -> None:
    for text in ("folder:a", "file:b", "rtsp://c/d", "v4l2:/dev/e"):
        assert parse_source(str(parse_source(text))) == parse_source(text)


def test_only_a_folder_is_triggered() -> None:
    assert [kind for kind in SourceKind if kind.is_triggered] == [SourceKind.FOLDER]


def test_address_of_a_gige_camera_is_a_name_and_no_path() -> None:
    source = parse_source("aravis:Basler-21343333")
    assert (source.kind, source.address) == (SourceKind.ARAVIS, "Basler-21343333")
    assert source.resolved_from(Path("/etc")) == source
    assert str(source) == "aravis:Basler-21343333"
    assert not source.kind.is_file


@pytest.mark.parametrize(
    "text",
    ["rtps://admin:S3cret@cam/1", "rtsp://admin:S3cret@cam:x/1", "rtsp://:S3cret@"],
)
def test_error_of_a_source_does_not_repeat_it(text: str) -> None:
    with pytest.raises(ValueError, match="it") as caught:
        parse_source(text)
    assert "S3cret" not in str(caught.value)
