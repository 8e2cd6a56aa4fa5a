"""``graftline dashboard``: builds the parts, joins them, and runs them."""

import argparse
import asyncio
import json
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from dashboard.config import BrokerSettings, DashboardSettings, ServerSettings
from dashboard.history.queries import History
from dashboard.history.store import Store
from dashboard.ingest.mqtt import Collector
from dashboard.ingest.writer import HistoryWriter
from dashboard.status import CollectorStatus
from dashboard.web.api import create_app
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import Hub
from dashboard.web.server import open_socket, serve
from models.config import load_config
from models.errors import ExitCode


def add_dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline dashboard``.

    Args:
        parser: Of this verb.
    """
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the TOML file; none: defaults"
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print what is understood, and end"
    )


def run_dashboard(args: argparse.Namespace) -> int:
    """Collect and serve until SIGTERM or Ctrl-C.

    Args:
        args: As declared.

    Returns:
        The exit code.

    Raises:
        ConfigError: The file is wrong, the port is in use, or the history cannot be
            opened. A broker that is not there is no error: the page says so.
    """
    settings, folder = DashboardSettings(), Path.cwd()
    if args.config is not None:
        settings = load_config(args.config, DashboardSettings)
        folder = args.config.resolve().parent
    settings = settings.beside(folder)
    if args.print_config:
        print(json.dumps(settings.model_dump(mode="json"), indent=2))
        return ExitCode.OK
    return _run(settings)


def _run(settings: DashboardSettings) -> int:
    """Open what must be there, run, and close it again."""
    with open_socket(settings.server) as listener:
        store = Store(settings.history.path, settings.history.max_mb)
        try:
            received = _collect_and_serve(settings, store, listener)
        finally:
            store.close()
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.OK


def _collect_and_serve(
    settings: DashboardSettings, store: Store, listener: socket.socket
) -> signal.Signals | None:
    """Build the parts, join them, and run them until a signal comes."""
    history = History(settings.history.path)
    hub = Hub(settings.server.max_viewers)
    recorder = HistoryWriter(store, settings.history)
    client_id, is_first = session_of(settings.broker, store)
    collector = Collector(
        settings.broker, client_id, is_first=is_first, take=recorder.take
    )

    def vitals() -> CollectorStatus:
        return CollectorStatus(
            link=collector.link,
            failure=recorder.failure,
            recorder_age_s=time.monotonic() - recorder.heartbeat_s,
            duplicates=recorder.duplicates,
            dropped=recorder.dropped,
            rejected=dict(recorder.rejected),
            connections=collector.connections,
        )

    announcer = EventBroadcaster(history, hub, settings.page, vitals)
    app = create_app(history, hub, announcer, settings.server)
    recorder.start(on_done=collector.acknowledge, on_commit=announcer.announce)
    collector.start(on_change=announcer.note)
    try:
        return asyncio.run(
            serve(app, listener, hub, announcer, lambda: _greet(settings.server))
        )
    finally:
        recorder.stop()  # commits what has arrived ...
        collector.stop()  # ... which is then still acknowledged


def session_of(settings: BrokerSettings, store: Store) -> tuple[str, bool]:
    """Return our name at the broker, and whether this history never used it before.

    The name must be the same after a restart, and differ between two dashboards: two
    clients of one name throw each other out for ever.

    Args:
        settings: The broker.
        store: Remembers the name.
    """
    made_up = f"graftline-dashboard-{secrets.token_hex(4)}"
    client_id = settings.client_id or store.remember("client_id", made_up)
    session = f"session {client_id}@{settings.host}:{settings.port}"
    mark = secrets.token_hex(8)
    return client_id, store.remember(session, mark) == mark


def _greet(server: ServerSettings) -> None:
    """Say where the page is."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    print(f"dashboard: http://{host}:{server.port}/", flush=True)
    if server.served_names == ("*",):
        print(
            f"warning: everybody who reaches {host}:{server.port} may look; the page "
            "has no login. [server] host = 127.0.0.1 keeps it on this machine.",
            file=sys.stderr,
        )
