"""The verbs ``keys``, ``sign`` and ``enroll``."""

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.cli_shared import (
    add_json_argument,
    add_package_argument,
    open_with_notices,
    print_json,
    print_line,
    print_step,
)
from deploy.target import (
    FlashTarget,
    SshTarget,
    UsbTarget,
    not_a_line_pc,
    parse_target,
)
from deploy.transports.ssh import enroll_remote
from deploy.trust.enrolment import EnrollOutcome, EnrollReport, enroll_slot
from deploy.trust.key_changes import NewKeys, make_keys, revoke_keys, rotate_keys
from deploy.trust.key_folder import default_keys_folder, open_keys
from deploy.trust.key_report import KeysReport, describe_keys
from deploy.trust.key_repository import METADATA_MAX_BYTES, ROLES, KeyRepository
from deploy.trust.private_keys import SHOWN_ID, checked_passphrase
from deploy.trust.release import root_to_carry, write_release
from models.counted import counted
from models.errors import ConfigError, ExitCode, InstallError
from models.files import is_open_to_others, read_regular, write_atomically

KEYS_ACTIONS = {
    "init": "make the keys of a workshop",
    "rotate": "replace keys, and renew every expiry",
    "revoke": "replace lost or stolen keys; packages are signed again",
    "show": "show fingerprint, roles, expiry, packages",
}
PASSPHRASE_MAX_BYTES = 4096
ENROLLED = {
    EnrollOutcome.ENROLLED: "enrolled: {} trusts root {} {}",
    EnrollOutcome.ALREADY_ENROLLED: "nothing to do: {} trusts root {} {} already",
    EnrollOutcome.REPLACED: "enrolled again: {} trusts root {} {}",
}


def add_keys_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline keys``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {
        name: actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        for name, summary in KEYS_ACTIONS.items()
    }
    _add_init_arguments(parsers["init"])
    rotate, revoke, show = (parsers[name] for name in ("rotate", "revoke", "show"))
    for action in (rotate, revoke, show):
        add_keys_options(action)
    rotate.add_argument(
        "--role",
        choices=ROLES,
        action="append",
        default=[],
        help="only the keys of this role (default: all in the keys folder)",
    )
    revoke.add_argument(
        "key", metavar="KEY", nargs="+", help="start of a key's id, see `keys show`"
    )
    show.add_argument(
        "--root",
        metavar="FILE",
        type=Path,
        help="also write what `enroll --root FILE` needs; it holds no secret",
    )
    for action in parsers.values():
        add_json_argument(action)


def _add_init_arguments(init: argparse.ArgumentParser) -> None:
    init.add_argument(
        "--out", metavar="DIR", type=Path, help=_default("folder to make")
    )
    add_passphrase_option(init)
    init.add_argument(
        "--no-passphrase",
        action="store_true",
        help="write the keys as they are: who can read the folder can sign",
    )
    init.add_argument(
        "--offline-root",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="write the root keys there, for example on a stick; repeat it to give "
        "each stick one key",
    )
    init.add_argument(
        "--threshold",
        metavar="N",
        type=int,
        default=1,
        help="offline keys that must sign together (default 1)",
    )
    init.add_argument(
        "--offline-targets",
        action="store_true",
        help="the keys that sign packages go there too: each `sign` needs them",
    )


def run_keys(args: argparse.Namespace) -> int:
    """Make, replace, revoke or show keys."""
    actions: dict[str, Callable[[argparse.Namespace], KeyRepository]] = {
        "init": _init,
        "rotate": _rotate,
        "revoke": _revoke,
        "show": _show,
    }
    with _translated():
        report = describe_keys(actions[args.action](args))
    if args.json:
        return print_json(report)
    _print_keys(report)
    return ExitCode.OK


def add_sign_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline sign``."""
    add_package_argument(parser)
    parser.add_argument(
        "--out",
        metavar="RELEASE",
        type=Path,
        required=True,
        help="release folder, for a stick or a web server; packages in it stay",
    )
    add_keys_options(parser)
    add_json_argument(parser)


def run_sign(args: argparse.Namespace) -> int:
    """Sign a package into a release folder."""
    package = open_with_notices(args.package)
    with _translated():
        report = write_release(package, keys_from(args), args.out)
    if args.json:
        return print_json(report)
    print_line(
        f"signed: {report.name} build {report.build} ({report.package_sha256[:12]}) "
        f"in {report.release}, {counted(report.files_added, 'file')} added"
    )
    print_line(f"can be installed until {report.expires:%Y-%m-%d}")
    return ExitCode.OK


def add_enroll_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline enroll``."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="the line PC: ssh://[user@]host[:port][/slot], or local:DIR, a slot of "
        "this machine",
    )
    add_keys_options(parser)
    parser.add_argument(
        "--root",
        metavar="FILE",
        type=Path,
        help="what `keys show --root FILE` wrote, in the place of the keys",
    )
    parser.add_argument(
        "--fingerprint",
        metavar="HEX",
        default="",
        help="refuse a root whose SHA-256 does not start so",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="trust these keys in the place of those that are trusted now",
    )
    add_json_argument(parser)


def run_enroll(args: argparse.Namespace) -> int:
    """Make a line PC trust a workshop's keys, and no others."""
    target = parse_target(args.target)
    roots = root_file_from(args)
    match target:
        case SshTarget():
            options = ["--replace"] if args.replace else []
            if args.fingerprint:
                options += ["--fingerprint", args.fingerprint]
            report = enroll_remote(target, roots, options)
            return print_enrolment(report, as_json=args.json)
        case UsbTarget():
            raise not_a_line_pc(target)
        case FlashTarget():
            return print_enrolment(_enroll_here(target, roots, args), as_json=args.json)


def _enroll_here(
    target: FlashTarget, roots: bytes, args: argparse.Namespace
) -> EnrollReport:
    try:
        return enroll_slot(
            target.slot,
            roots,
            target_name=target.name,
            replace=args.replace,
            fingerprint=args.fingerprint,
        )
    except OSError as exc:
        raise InstallError(
            f"{target.name}: the slot cannot be written.",
            why=str(exc),
            fix="Check disk, free space and permissions, and try again.",
        ) from exc


def root_file_from(args: argparse.Namespace) -> bytes:
    """Return what a line PC is enrolled with, of ``--root`` or ``--keys``.

    Raises:
        ConfigError: Neither can be read.
    """
    with _translated():
        if args.root is not None:
            return read_regular(args.root, METADATA_MAX_BYTES)
        return root_to_carry(keys_from(args))


def print_enrolment(report: EnrollReport, *, as_json: bool) -> int:
    """Print the result of ``enroll``."""
    if as_json:
        return print_json(report)
    line = ENROLLED[report.outcome].format(
        report.target, report.root_version, report.fingerprint
    )
    print_line(line)
    if report.before:
        print_line(f"no longer trusted: {report.before}")
    return ExitCode.OK


def add_keys_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of verbs that sign: ``--keys``, ``--offline``, passphrase."""
    parser.add_argument(
        "--keys", metavar="DIR", type=Path, help=_default("keys folder")
    )
    parser.add_argument(
        "--offline",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="folder or stick with offline keys; may be repeated",
    )
    add_passphrase_option(parser)


def add_passphrase_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--passphrase-file``."""
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=Path,
        help="first line = passphrase of the keys (default: asked on the terminal)",
    )


def keys_from(args: argparse.Namespace) -> KeyRepository:
    """Return the keys that the options of ``add_keys_options`` name.

    Raises:
        ConfigError: There are none.
    """
    return open_keys(args.keys, passphrase_from(args), tuple(args.offline))


def passphrase_from(args: argparse.Namespace) -> Callable[[], bytes]:
    """Return what gives the passphrase when a key is read: the file, or a person."""
    file: Path | None = args.passphrase_file
    if file is not None:
        return lambda: _passphrase_in(file)
    return lambda: _ask("Passphrase of the keys: ")


def _passphrase_in(file: Path) -> bytes:
    try:
        content = read_regular(file, PASSPHRASE_MAX_BYTES)
    except OSError as exc:
        raise ConfigError(
            f"--passphrase-file {file}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give a file whose first line is the passphrase.",
        ) from exc
    if is_open_to_others(file):
        print_step(
            f"warning: {file}: other users may read this passphrase. "
            f"Fix: chmod 600 {file}"
        )
    return content.partition(b"\n")[0].rstrip(b"\r")


def _ask(question: str) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigError(
            "the keys have a passphrase.",
            why="There is no terminal to ask for it.",
            fix="Give a file with it: --passphrase-file FILE",
        )
    return getpass.getpass(question).encode()


def _init(args: argparse.Namespace) -> KeyRepository:
    new = NewKeys(
        folder=args.out or default_keys_folder(),
        secret=_new_passphrase(args),
        offline=tuple(args.offline_root),
        threshold=args.threshold,
        offline_targets=args.offline_targets,
    )
    keys = make_keys(new)
    print_step(f"keys: made in {', '.join(map(str, keys.keys.folders))}")
    if new.offline:
        print_step("keep each offline folder on a stick of its own, locked away")
    print_step("keep a copy of the keys folder: see docs/how-to/lost-keys.md")
    return keys


def _new_passphrase(args: argparse.Namespace) -> bytes:
    if args.no_passphrase:
        if args.passphrase_file is not None:
            raise ConfigError(
                "--no-passphrase and --passphrase-file exclude each other.",
                fix="Give one of them.",
            )
        return b""
    if args.passphrase_file is not None:
        return checked_passphrase(_passphrase_in(args.passphrase_file))
    secret = checked_passphrase(_ask("New passphrase: "))
    if _ask("The same again: ") != secret:
        raise ConfigError(
            "the two passphrases differ.", why="Nothing was made.", fix="Try again."
        )
    return secret


def _rotate(args: argparse.Namespace) -> KeyRepository:
    keys = keys_from(args)
    with keys.locked():
        rotate_keys(keys, args.role or keys.roles_in_folder())
    print_step("line PCs trust the new keys from their next release on")
    return keys


def _revoke(args: argparse.Namespace) -> KeyRepository:
    keys = keys_from(args)
    with keys.locked():
        revoke_keys(keys, keys.key_ids(args.key))
    print_step(
        "sign and flash again: a line PC refuses the revoked keys once it has seen a "
        "new release"
    )
    return keys


def _show(args: argparse.Namespace) -> KeyRepository:
    keys = keys_from(args)
    if args.root is not None:
        write_atomically(args.root, root_to_carry(keys))
    return keys


@contextmanager
def _translated() -> Iterator[None]:
    """Translate an error of the disk into a ``ConfigError``."""
    try:
        yield
    except OSError as exc:
        raise ConfigError(
            f"{exc.filename or 'the folder'}: {exc.strerror or exc}.",
            why="Keys and releases are written by the user who runs this.",
            fix="Check path, disk, free space and permissions, and try again.",
        ) from exc


def _default(what: str) -> str:
    return f"{what} (default $GRAFTLINE_KEYS, else ~/.config/graftline/keys)"


def _print_keys(report: KeysReport) -> None:
    print_line(f"keys in {report.folder}")
    print_line(f"fingerprint: {report.fingerprint} (root {report.root_version})")
    for name, role in report.roles.items():
        until = f", valid until {role.expires:%Y-%m-%d}" if role.expires else ""
        needed = f" {role.threshold} of {len(role.keys)} keys" if role.keys[1:] else ""
        print_line(f"  {name}:{needed}{until}")
        for key in role.keys:
            kind = {True: "passphrase", False: "no passphrase", None: "not here"}
            where = f"{key.file} " if key.file else ""
            print_line(f"    {key.id[:SHOWN_ID]}  {where}({kind[key.encrypted]})")
    for package in report.packages:
        print_line(
            f"  signed {package.signed_at:%Y-%m-%d %H:%M} UTC: {package.name} build "
            f"{package.build} ({package.sha256[:12]})"
        )
