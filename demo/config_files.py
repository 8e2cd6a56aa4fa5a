"""Writes the configurations of the daemon and the dashboard of the demo."""

from pathlib import Path

from demo.settings import DemoSettings

CAMERA = "line"
# At the border a cell sees half of what is around it: most false alarms were there.
MIDDLE = """
[[camera.region]]
name = "middle"                 # every part passes it; the border is not inspected
polygon = [[0.12, 0.1], [0.88, 0.1], [0.88, 0.9], [0.12, 0.9]]
"""
EDGE_NAME = "edge.toml"
DASHBOARD_NAME = "dashboard.toml"


def write_edge_config(settings: DemoSettings, broker_port: int) -> Path:
    """Write the daemon's configuration and return its path."""
    text = f"""\
# The daemon of the demo: graftline run --config {EDGE_NAME}
# Paths start at the folder of this file.

[station]                       # names the MQTT topics
site = "demo"
line = "line-1"
station = "station-1"

[model]
slot = "line-pc"                # where `graftline flash` puts the model

[broker]
port = {broker_port}
collector_ack = "required"      # an alert is kept until the dashboard has it

[outbox]
path = "station/outbox.sqlite3"

[evidence]
folder = "station/evidence"

[[camera]]
name = "{CAMERA}"
source = "file:data/line.mp4"   # a real line: rtsp://..., v4l2:/dev/video0
k = {settings.k}                           # an alert when a defect is in k ...
n = {settings.n}                           # ... of the last n frames
"""
    if settings.is_day_one:
        text += MIDDLE
    return _write(settings.out / EDGE_NAME, text)


def write_dashboard_config(
    settings: DemoSettings, broker_port: int, page_port: int
) -> Path:
    """Write the dashboard's configuration and return its path."""
    text = f"""\
# The dashboard of the demo: graftline dashboard --config {DASHBOARD_NAME}

[broker]
port = {broker_port}

[server]                        # this machine only
port = {page_port}

[history]
path = "history.sqlite3"

[page]
title = "Graftline demo"
"""
    return _write(settings.out / DASHBOARD_NAME, text)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path
