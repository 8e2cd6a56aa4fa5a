"""The verbs ``dashboard-user`` and ``verify-audit``."""

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dashboard.access import users
from dashboard.access.audit_check import (
    AuditHead,
    check_trail,
    describe_head,
    read_heads,
)
from dashboard.access.passwords import Passwords, check_new_password
from dashboard.access.roles import Role
from dashboard.config import DashboardSettings, HistorySettings
from dashboard.history.database import Database
from models.config import load_config
from models.counted import counted
from models.errors import AuditError, ConfigError, ExitCode
from models.files import is_open_to_others
from models.password_file import read_password_file
from models.shown_text import on_one_line

USER_ACTIONS = {
    "add": "add a user, and ask for the password",
    "list": "show all users",
    "remove": "remove a user, and end all sessions",
    "password": "set a password, and end the sessions of the old one",
}
BY = "command line"  # no user's name has a space


def add_dashboard_user_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline dashboard-user``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in USER_ACTIONS.items():
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name != "list":
            action.add_argument("name", metavar="NAME", help=users.NAME_RULE)
        if name == "add":
            action.add_argument(
                "--role",
                choices=[users.str_of(role) for role in Role],
                required=True,
                help="what the user may do; each role may do all that those before "
                "it may",
            )
        if name in {"add", "password"}:
            action.add_argument(
                "--password-file",
                metavar="FILE",
                type=Path,
                help="file whose first line is the password (default: ask for it)",
            )
        _add_config(action)


def run_dashboard_user(args: argparse.Namespace) -> int:
    """Add, list or remove users, or set a password.

    Raises:
        ConfigError: The configuration, the name or the password is not accepted.
    """
    actions: dict[str, Callable[[argparse.Namespace, Database], None]] = {
        "add": _add,
        "list": _list,
        "remove": _remove,
        "password": _set_password,
    }
    with _history(args.config, must_exist=args.action != "add") as database:
        actions[args.action](args, database)
    return ExitCode.OK


def add_verify_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline verify-audit``."""
    _add_config(parser)
    parser.add_argument(
        "--head",
        metavar="FILE",
        type=Path,
        help="file, on another machine or a stick, with the ends of the trail at "
        "earlier runs: each must be in it still; today's is added",
    )


def run_verify_audit(args: argparse.Namespace) -> int:
    """Check the audit trail, and return the exit code.

    Raises:
        ConfigError: The configuration or the file of heads is wrong.
        AuditError: An entry was changed, or is missing.
    """
    heads = read_heads(args.head) if args.head else []
    with _history(args.config, must_exist=True) as database, database.read() as each:
        found = check_trail(each, heads)
    if found.fault:
        raise AuditError(
            f"The audit trail is broken at entry {found.fault.n}.",
            why=found.fault.reason,
            fix="Compare with a backup of the history; entries before it are intact.",
        )
    print(f"audit trail: {counted(found.count, 'entry', 'entries')}, unbroken")
    if found.head:
        print(f"head: {describe_head(found.head)}")
        if args.head:
            _keep_head(args.head, found.head)
    return ExitCode.OK


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the TOML file of the dashboard; none: defaults",
    )


@contextmanager
def _history(config: Path | None, *, must_exist: bool) -> Iterator[Database]:
    settings, folder = DashboardSettings(), Path.cwd()
    if config is not None:
        settings = load_config(config, DashboardSettings)
        folder = config.resolve().parent
    history = settings.beside(folder).history
    if must_exist:
        _require_history(history)
    database = Database(history.location(), may_migrate=False)
    try:
        yield database
    finally:
        database.close()


def _require_history(history: HistorySettings) -> None:
    if not history.url and not history.path.is_file():
        raise ConfigError(
            f"[history] path = {history.path}: there is no history.",
            why="The dashboard makes it at its first start.",
            fix="Give the configuration of the dashboard: --config FILE",
        )


def _add(args: argparse.Namespace, database: Database) -> None:
    name = users.plain_user_name(args.name)
    hashed = _hashed_password(args, name)
    role = users.role_of(args.role)
    with database.write() as connection:
        users.add_user(connection, BY, name, role, hashed)
    print(f"added: {name}, {args.role}")


def _list(_args: argparse.Namespace, database: Database) -> None:
    with database.read() as connection:
        accounts = users.list_users(connection)
    if not accounts:
        print("no users: the page opens with the token that the dashboard prints")
    for each in accounts:
        since = datetime.fromtimestamp(each.password_ms / 1000, UTC)
        print(
            f"{each.name:<33}{users.str_of(each.role):<10}password of {since:%Y-%m-%d}"
        )


def _remove(args: argparse.Namespace, database: Database) -> None:
    with database.write() as connection:
        users.remove_user(connection, BY, args.name)
    print(f"removed: {on_one_line(args.name)}")


def _set_password(args: argparse.Namespace, database: Database) -> None:
    name = users.plain_user_name(args.name)
    with database.read() as connection:
        users.require_user(connection, name)  # before a person types it twice
    hashed = _hashed_password(args, name)
    with database.write() as connection:
        users.set_password(connection, BY, name, hashed)
    print(f"password set: {name}; who was logged in with the old one is logged out")


def _hashed_password(args: argparse.Namespace, name: str) -> str:
    file: Path | None = args.password_file
    if file is None:
        password = _ask_twice(name)
    else:
        password = read_password_file("--password-file", file)
        if is_open_to_others(file):
            print(
                f"warning: {file}: other users may read this password. "
                f"Fix: chmod 600 {file}",
                file=sys.stderr,
            )
    check_new_password(name, password)
    return Passwords().hash(password)


def _ask_twice(name: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{name}: no password was given.",
            why="There is no terminal to ask for it.",
            fix="Give a file with it: --password-file FILE",
        )
    password = getpass.getpass(f"New password of {name}: ")
    if getpass.getpass("Once more: ") != password:
        raise ConfigError("The two passwords differ.", fix="Start again.")
    return password


def _keep_head(file: Path, head: AuditHead) -> None:
    line = describe_head(head)
    try:
        with file.open("a", encoding="utf-8") as heads:
            heads.write(f"{line}\n")
    except OSError as exc:
        raise ConfigError(
            f"--head {file}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Give a file that this user may write.",
        ) from exc
