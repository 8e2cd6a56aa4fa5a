"""``graftline dashboard``: builds the parts, connects them, and runs them."""

import argparse
import asyncio
import json
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from dashboard.config import CollectorBrokerSettings, DashboardSettings, ServerSettings
from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.history.store import Store
from dashboard.ingest.mqtt import Collector
from dashboard.ingest.operations import OperationsWriter
from dashboard.ingest.writer import HistoryWriter
from dashboard.outgoing import Outgoing
from dashboard.status import CollectorStatus
from dashboard.web.app import create_app
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import Hub
from dashboard.web.rendering import Renderer
from dashboard.web.server import open_socket, serve
from dashboard.web.site import Site
from models.config import load_config
from models.errors import ExitCode


def add_dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline dashboard``."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the TOML file; none: defaults"
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print what is understood, and end"
    )


def run_dashboard(args: argparse.Namespace) -> int:
    """Collect and serve until SIGTERM or Ctrl-C, and return the exit code.

    Raises:
        ConfigError: The file is wrong, the port is in use, or the history cannot be
            opened. An unreachable broker is no error: the page shows it.
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
    history = History(settings.history.path)
    hub = Hub(settings.server.max_viewers)
    writer = HistoryWriter(store, settings.history)
    client_id, is_first = session_of(settings.broker, store)
    outgoing = Outgoing()
    collector = Collector(
        settings.broker,
        client_id,
        is_first=is_first,
        enqueue=writer.enqueue,
        outgoing=outgoing,
    )

    def status() -> CollectorStatus:
        return CollectorStatus(
            broker=collector.status,
            failure=writer.failure,
            writer_age_s=time.monotonic() - writer.heartbeat_s,
            duplicates=writer.duplicates,
            dropped=writer.dropped,
            rejected=dict(writer.rejected),
            connections=collector.connections,
            alarm=writer.alarm,
        )

    broadcaster = EventBroadcaster(history, hub, settings.page, status)
    database = Database(settings.history.path)
    renderer = Renderer(settings.page.title)
    site = Site(settings, history, database, hub, broadcaster, renderer, outgoing)
    app = create_app(site)
    writer.start(
        on_done=collector.acknowledge,
        on_commit=broadcaster.broadcast,
        on_batch=OperationsWriter(database).note,
    )
    collector.start(on_change=broadcaster.note_change)
    try:
        return asyncio.run(
            serve(
                app, listener, hub, broadcaster, lambda: _print_address(settings.server)
            )
        )
    finally:
        writer.stop()  # commits what has arrived ...
        collector.stop()  # ... which is then still acknowledged
        database.close()


def session_of(settings: CollectorBrokerSettings, store: Store) -> tuple[str, bool]:
    """Return the client id, and whether this history has never used it before.

    The id must be the same after a restart, and differ between two dashboards: two
    clients of one id disconnect each other without end.

    Args:
        settings: ``[broker]``; an empty id is made up.
    """
    made_up = f"graftline-dashboard-{secrets.token_hex(4)}"
    client_id = settings.client_id or store.remember("client_id", made_up)
    session = f"session {client_id}@{settings.host}:{settings.port}"
    mark = secrets.token_hex(8)
    return client_id, store.remember(session, mark) == mark


def _print_address(server: ServerSettings) -> None:
    host = f"[{server.host}]" if ":" in server.host else server.host
    print(f"dashboard: http://{host}:{server.port}/", flush=True)
    if not server.is_loopback:
        print(
            "warning: the page has no login: everybody who reaches "
            f"{host}:{server.port} can read it. [server] host = 127.0.0.1 keeps it on "
            "this machine.",
            file=sys.stderr,
        )
