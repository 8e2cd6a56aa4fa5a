import pytest

from models.shown_text import on_one_line, without_login


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtps://admin:S3cret@cam/1", "rtps://***"),
        ("rtsp:/admin:S3cret@cam/1", "rtsp:/***"),
        ("rtsp//admin:S3cret@cam/1", "rtsp//***"),
        ("rtsp:admin:S3cret@cam/1", "***"),
        ("rtsp://admin/S3cret@cam/1", "rtsp://***"),
        ("admin:S3cret@cam", "***"),
        ("S3cret:@cam", "***"),
        ("ftp://cam/video?pw=S3cret", "ftp://***"),
        ("cam/user=admin_password=S3cret", "***"),
        ("mqtt://user:S3cret@broker:1883", "mqtt://***"),
        ("rtsp://admin:S3cret", "rtsp://***"),
        ("rtps://admin:S3cret/cam", "rtps://***"),
        ("rtsp://admin:S3cret%40cam/1", "rtsp://***"),
        ("rtsp://admin:12345#cam/1", "rtsp://***"),
        ("rtsp:/admin:S3cret/cam", "rtsp:/***"),
        ("rtsp//admin:S3cret/cam", "rtsp//***"),
        ("rtsp:admin:S3cret", "***"),
        ("rtps://cam:554/1", "rtps://cam:554/1"),
        ("rtps://[fe80::1]:554/1", "rtps://[fe80::1]:554/1"),
        ("SSL: no certificate: expired", "SSL: no certificate: expired"),
        ("/data/10:30", "/data/10:30"),
        ("/data/@photos/1", "/data/@photos/1"),
        ("usb-046d_HD_Pro_Webcam_C920-video-index0",) * 2,
        ("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0",) * 2,
    ],
)
def test_login_in_any_text_is_hidden_and_a_path_is_shown(text: str, shown: str) -> None:
    assert without_login(text) == shown


def test_line_breaks_and_terminal_commands_are_escaped() -> None:
    assert on_one_line("a\n0 errors\x1b[2J") == "a\\n0 errors\\x1b[2J"
