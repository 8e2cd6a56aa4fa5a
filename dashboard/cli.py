"""``graftline dashboard``: builds the parts, connects them, and runs them."""

import argparse
import asyncio
import hashlib
import json
import secrets
import signal
import socket
import ssl
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from dashboard.access.logins import Logins, require_users
from dashboard.alarms.watch import AlarmWatch
from dashboard.config import (
    CollectorBrokerSettings,
    DashboardSettings,
    HistorySettings,
    ServerSettings,
)
from dashboard.history.database import Database, back_up
from dashboard.history.queries import History
from dashboard.history.settings import read_settings
from dashboard.history.store import Store
from dashboard.ingest.mqtt import MADE_UP_ID, Collector
from dashboard.ingest.operations import OperationsWriter
from dashboard.ingest.silent_senders import SilentSenders
from dashboard.ingest.writer import HistoryWriter
from dashboard.messages import Message, Record
from dashboard.notify.notifier import Notifier, send_tests
from dashboard.outgoing import Outgoing
from dashboard.plant_settings import PlantSettings
from dashboard.status import CollectorStatus
from dashboard.web.app import create_app
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import Hub
from dashboard.web.rendering import Renderer
from dashboard.web.server import make_server_tls, open_socket, serve
from dashboard.web.site import Site
from models.config import load_config
from models.errors import ConfigError, DeliveryError, ExitCode
from models.files import PRIVATE_FOLDER, held_lock, read_regular

MACHINE_ID = Path("/etc/machine-id")
MACHINE_ID_MAX_BYTES = 256


def add_dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline dashboard``."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the TOML file; none: defaults"
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print what is understood, and end"
    )
    parser.add_argument(
        "--backup",
        type=Path,
        metavar="FILE",
        help="copy the history into a new file, also while a dashboard runs, and end",
    )
    parser.add_argument(
        "--test-notify",
        nargs="*",
        metavar="NAME",
        help="send a test to these receivers of [[notify]], without a name to all, and "
        "end",
    )


def run_dashboard(args: argparse.Namespace) -> int:
    """Collect and serve until SIGTERM or Ctrl-C, and return the exit code.

    Raises:
        ConfigError: The file is wrong, the port is in use, or the history cannot be
            opened. An unreachable broker is no error: the page shows it.
        DeliveryError: A test notification was not accepted.
    """
    settings, folder = DashboardSettings(), Path.cwd()
    if args.config is not None:
        settings = load_config(args.config, DashboardSettings)
        folder = args.config.resolve().parent
    settings = settings.beside(folder)
    if args.print_config:
        print(json.dumps(settings.model_dump(mode="json"), indent=2))
        return ExitCode.OK
    if args.backup is not None:
        back_up(settings.history.location(), args.backup)
        return ExitCode.OK
    if args.test_notify is not None:
        return _test_notify(settings, args.test_notify)
    return _run(settings)


def _test_notify(settings: DashboardSettings, names: list[str]) -> int:
    known = [each.name for each in settings.notify]
    unknown = sorted(set(names) - set(known))
    if unknown or not known:
        raise ConfigError(
            f"[[notify]] has no receiver {', '.join(unknown)}".rstrip() + ".",
            why=f"Configured: {', '.join(known) or 'none'}.",
            fix="Give the name of a receiver, and the file with --config.",
        )
    errors = send_tests(settings, names)
    for name, error in errors.items():
        print(f"{name}: {f'NOT sent: {error}' if error else 'sent'}")
    failed = [name for name, error in errors.items() if error]
    if failed:
        raise DeliveryError(
            f"{len(failed)} of {len(errors)} receivers did not accept the test.",
            why="See the reasons above.",
            fix="Correct [[notify]], or what the receiver reports.",
        )
    return ExitCode.OK


def _run(settings: DashboardSettings) -> int:
    tls = make_server_tls(settings.server)
    with open_socket(settings.server) as listener, held_history(settings.history):
        location = settings.history.location()
        with Database(location, max_mb=settings.history.max_mb) as database:
            received = _collect_and_serve(settings, database, listener, tls)
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.OK


@contextmanager
def held_history(history: HistorySettings) -> Iterator[None]:
    """Keep other dashboards out of an SQLite history; several may share PostgreSQL.

    A newer version would bring it up to date while the older one writes.

    Raises:
        ConfigError: Another dashboard holds it.
    """
    path = history.path.resolve()
    busy = ConfigError(
        f"[history] path = {history.path}: another dashboard uses this history.",
        why="An SQLite history has one dashboard; several may share one in PostgreSQL.",
        fix="Stop the other one, or give this one another history.",
    )
    with ExitStack() as held:
        if not history.url:
            with suppress(OSError):  # opening the history names what is wrong there
                path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
                held.enter_context(held_lock(path.with_name(f"{path.name}.lock"), busy))
        yield


def _collect_and_serve(
    settings: DashboardSettings,
    database: Database,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
) -> signal.Signals | None:
    store, history = Store(database), History(database)
    hub = Hub(settings.server.max_viewers)
    writer = HistoryWriter(store, settings.history)
    process = name_of_process(settings.server)
    client_id, is_first = session_of(settings.broker, store, process)
    outgoing = Outgoing()
    collector = Collector(
        settings.broker,
        client_id,
        is_first=is_first,
        enqueue=writer.enqueue,
        outgoing=outgoing,
    )

    require_users(database, settings.server)
    logins = Logins(database, settings.server)
    broadcaster = EventBroadcaster(
        history,
        hub,
        settings.page,
        lambda: _status_of(collector, writer, notifier, alarms),
        database,
    )
    alarms = AlarmWatch(database, on_change=broadcaster.note_change)
    notifier = Notifier(database, settings, on_change=broadcaster.note_change)
    renderer = Renderer(settings.page.title, lambda: _settings(database))
    site = Site(
        settings, history, database, logins, hub, broadcaster, renderer, outgoing
    )
    app = create_app(site)
    notifier.start()
    operations = OperationsWriter(database)
    silent = SilentSenders(database, outgoing, settings.lines)

    def note_batch(messages: Sequence[Message], records: Sequence[Record]) -> None:
        operations.note(messages, records)
        silent.check()

    writer.start(
        on_done=collector.acknowledge,
        on_commit=broadcaster.broadcast,
        on_batch=note_batch,
    )
    collector.start(on_change=broadcaster.note_change)
    alarms.start()
    try:
        show = partial(_print_address, settings.server, logins)
        return asyncio.run(serve(app, listener, hub, broadcaster, show, tls))
    finally:
        notifier.stop()
        alarms.stop()
        writer.stop()  # commits what has arrived ...
        collector.stop()  # ... which is then still acknowledged


def _status_of(
    collector: Collector,
    writer: HistoryWriter,
    notifier: Notifier,
    alarms: AlarmWatch,
) -> CollectorStatus:
    return CollectorStatus(
        broker=collector.status,
        failure=writer.failure or writer.batch_failure,
        writer_age_s=time.monotonic() - writer.heartbeat_s,
        duplicates=writer.duplicates,
        dropped=writer.dropped,
        rejected=dict(writer.rejected),
        refused=writer.refused,
        connections=collector.connections,
        alarm=writer.alarm,
        notify=notifier.status(),
        queued=writer.queued,
        unjudged=alarms.failure,
    )


def session_of(
    settings: CollectorBrokerSettings, store: Store, process: str
) -> tuple[str, bool]:
    """Return the client id, and whether its session may be that of another history.

    The id must be the same after a restart, and differ between two dashboards: two
    clients of one id disconnect each other without end. A history that was copied to
    another machine, and one that several collectors share, has an id for each.

    Args:
        settings: ``[broker]``; an empty id is made up.
        process: From ``name_of_process``.
    """
    if not settings.client_id:
        made_up = f"{MADE_UP_ID}-{secrets.token_hex(4)}"
        # No other history has used it, on whichever node of a cluster.
        return store.remember(f"client_id of {process}", made_up), False
    session = f"session {settings.client_id}@{settings.host}:{settings.port}"
    mark = secrets.token_hex(8)
    return settings.client_id, store.remember(session, mark) == mark


def name_of_process(server: ServerSettings) -> str:
    """Return what is different for each dashboard, and the same after a restart.

    A port of a machine has one program only.
    """
    try:
        machine = read_regular(MACHINE_ID, MACHINE_ID_MAX_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = f"{uuid.getnode():012x}"
    parts = (machine, socket.gethostname(), str(server.port))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _settings(database: Database) -> PlantSettings:
    with database.read() as connection:
        return read_settings(connection)


def _print_address(server: ServerSettings, logins: Logins) -> None:
    host = f"[{server.host}]" if ":" in server.host else server.host
    scheme = "https" if server.tls_certificate else "http"
    # Who can read this may open the page: the terminal, or the log of the service.
    query = f"?token={logins.first_run_token}" if logins.is_first_run() else ""
    # One write: lines of the log may go to the same file at the same time.
    sys.stdout.write(f"dashboard: {scheme}://{host}:{server.port}/{query}\n")
    sys.stdout.flush()
    if not server.is_loopback and not server.tls_certificate:
        print(
            "warning: passwords and pictures cross the network as they are. Give "
            "[server] tls_certificate and tls_key, or put a proxy with TLS before the "
            "page.",
            file=sys.stderr,
        )
