"""The one command, ``graftline VERB``.

This file only lists the verbs. Each verb names a module; the module offers
``add_<verb>_arguments(parser)`` and ``run_<verb>(args) -> int`` and is imported only
when its verb is given, so that ``graftline --help`` imports no library.

Exit codes (see ``models/errors.py``): 0 done; 1 a bug in Graftline; 2 wrong usage;
3 to 10 an expected failure, one code for each class; 130 Ctrl-C; 141 the reader of
stdout has closed it. A verb whose extra is not installed ends with 3: the installation
is the operator's configuration.
"""

import argparse
import importlib
import logging
import os
import select
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from models.errors import ConfigError, ExitCode, GraftlineError
from models.shown_text import on_one_line

DEBUG_VARIABLE: Final = "GRAFTLINE_DEBUG"
EXIT_OUTPUT_CLOSED: Final = 141  # 128 + SIGPIPE, as shells report it
PACKAGES: Final = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class VerbGroup(StrEnum):
    """Who uses a verb, and where: the headings of ``graftline --help``."""

    TRY_IT = "try it, on one machine"
    WORKSTATION = "on the workstation, from photos to a model package"
    LINE_PC = "on the line PC, from a package to alerts"
    FLOOR = "on the shop floor, for all lines"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb and the package that implements it.

    Args:
        group: Where ``graftline --help`` lists it.
        name: What the user types.
        module: The module with ``add_<name>_arguments`` and ``run_<name>``.
        extras: What ``pip install "graftline[...]"`` must include for it.
        summary: One line for ``graftline --help``.
        is_service: It runs until it is stopped, and logs its state changes.
        actions: What it does, where that is its first argument.
    """

    group: VerbGroup
    name: str
    module: str
    extras: str
    summary: str
    is_service: bool = False
    actions: tuple[str, ...] = ()

    @property
    def function_name(self) -> str:
        """The verb as a part of a Python name."""
        return self.name.replace("-", "_")


VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        VerbGroup.TRY_IT,
        "demo",
        "demo.cli",
        "trainer,edge,deploy,dashboard,demo",
        "run everything below once, on synthetic pictures",
    ),
    Verb(
        VerbGroup.TRY_IT,
        "synth",
        "trainer.cli.synth",
        "trainer",
        "write labelled photos, good parts and a video of a line",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "check",
        "trainer.cli.check",
        "trainer",
        "find what is wrong with a dataset",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "merge",
        "trainer.cli.merge",
        "trainer",
        "add an export of the dashboard to a dataset",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "train",
        "trainer.cli.train",
        "trainer",
        "fine-tune a pretrained detector",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "evaluate",
        "trainer.cli.evaluate",
        "trainer",
        "measure a run or a package on a dataset",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "pack",
        "trainer.cli.pack",
        "trainer",
        "export, quantize and write a model package",
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "keys",
        "deploy.cli_trust",
        "edge,deploy",
        "make, show, rotate or revoke the keys that sign packages",
        actions=("init", "rotate", "revoke", "show"),
    ),
    Verb(
        VerbGroup.WORKSTATION,
        "sign",
        "deploy.cli_trust",
        "edge,deploy",
        "sign a package into a folder for a stick or a web server",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "enroll",
        "deploy.cli_trust",
        "edge,deploy",
        "make a line PC trust your keys, and no others",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "flash",
        "deploy.cli",
        "edge,deploy",
        "put a package on a line PC",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "status",
        "deploy.cli",
        "edge,deploy",
        "show what a line PC runs",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "rollback",
        "deploy.cli",
        "edge,deploy",
        "switch back to the previous package",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "agent",
        "deploy.cli_agent",
        "edge,deploy",
        "install what ssh, a stick or the broker brings",
        is_service=True,
    ),
    Verb(
        VerbGroup.LINE_PC,
        "selftest",
        "deploy.cli_selftest",
        "edge,deploy",
        "run a package's golden frames on this machine",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "capture",
        "edge.cli_capture",
        "edge,deploy",
        "save photos of a camera, to train on",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "doctor",
        "edge.cli",
        "edge,deploy",
        "check camera, rules, model, broker, disk, clock of this PC",
    ),
    Verb(
        VerbGroup.LINE_PC,
        "run",
        "edge.cli",
        "edge,deploy",
        "run the daemon: frames in, alerts out",
        is_service=True,
    ),
    Verb(
        VerbGroup.LINE_PC,
        "service",
        "deploy.cli_service",
        "edge,deploy",
        "write the systemd units of daemon and agent",
    ),
    Verb(
        VerbGroup.FLOOR,
        "wheelhouse",
        "deploy.cli_provision",
        "edge,deploy",
        "pack all that a line PC without Internet needs",
    ),
    Verb(
        VerbGroup.FLOOR,
        "provision",
        "deploy.cli_provision",
        "edge,deploy",
        "set up a line PC from a wheelhouse, or update it",
    ),
    Verb(
        VerbGroup.FLOOR,
        "fleet",
        "deploy.cli_fleet",
        "edge,deploy",
        "flash all line PCs in waves, and show their states",
        actions=("enroll", "flash", "status"),
    ),
    Verb(
        VerbGroup.FLOOR,
        "broker-config",
        "deploy.cli_broker",
        "edge,deploy",
        "write the files of a mosquitto for a plant",
    ),
    Verb(
        VerbGroup.FLOOR,
        "dashboard",
        "dashboard.cli",
        "dashboard",
        "collect alerts and show them on a page",
        is_service=True,
    ),
    Verb(
        VerbGroup.FLOOR,
        "dashboard-user",
        "dashboard.cli_access",
        "dashboard",
        "add, list or remove who may log in to that page",
        actions=("add", "list", "remove", "password"),
    ),
    Verb(
        VerbGroup.FLOOR,
        "verify-audit",
        "dashboard.cli_access",
        "dashboard",
        "check that its audit trail was not changed",
    ),
)


def main(argv: Sequence[str] | None = None, verbs: Sequence[Verb] = VERBS) -> int:
    """Run one verb and return the exit code of the command.

    Args:
        argv: The arguments after ``graftline``; None = those of this process.
        verbs: All verbs of the command.

    Returns:
        0, or the exit code of the failure. The failure is on stderr; stdout holds
        only what the verb had printed before.

    Raises:
        SystemExit: ``--help``, ``--version`` or wrong usage (code 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        # The processes of cameras import nothing from the working folder (CWE-427),
        # which may hold photos and files of a stranger.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        # A thread of torch that waits for the others sleeps. By default it keeps its
        # core busy, and a training beside other programs slows down to a sixth.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = _run(arguments, verbs)
        sys.stdout.flush()  # a reader that closed the pipe is noticed here, not at exit
    except GraftlineError as error:
        _print_failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("graftline: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError as error:
        if not _output_is_closed():
            return _report_bug(error)
        # Python flushes stdout once more at exit: into /dev/null, without an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT_CLOSED
    # The top of the process: an exception that reaches this line is a bug, and is
    # logged with its traceback in a file that the message names.
    except Exception as error:  # noqa: BLE001
        code = _report_bug(error)
        if argv is None and threading.active_count() > 1:
            _leave(code)
    return code


def _run(arguments: Sequence[str], verbs: Sequence[Verb]) -> int:
    """Parse the arguments, import the module of the verb, and run the verb."""
    verb = _find_verb(arguments, verbs)
    parser = _build_parser(verbs)
    if verb is None:  # --help, --version, nothing, or an unknown verb
        parser.parse_args(arguments)
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    try:
        module = importlib.import_module(verb.module)
        add_arguments = getattr(module, f"add_{verb.function_name}_arguments")
        run: Callable[[argparse.Namespace], int] = getattr(
            module, f"run_{verb.function_name}"
        )
        parser = _build_parser(verbs, verb, add_arguments)
        args = parser.parse_args(arguments)
        _configure_logging(verb, verbose=args.verbose)
        return run(args)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in PACKAGES:
            raise  # a module of Graftline is missing: a bug, not an extra
        raise _missing_extra(verb, missing) from error


def _find_verb(arguments: Sequence[str], verbs: Sequence[Verb]) -> Verb | None:
    """Return the verb: the first argument that is not an option."""
    name = next((each for each in arguments if not each.startswith("-")), None)
    return next((verb for verb in verbs if verb.name == name), None)


class _Parser(argparse.ArgumentParser):
    """An argument parser that guesses which verb was meant.

    Attributes:
        verbs: The names to guess from; empty for the parser of a verb.
    """

    verbs: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the usage, the message and a guess, and exit with 2."""
        if self.verbs and "invalid choice" in message:
            import difflib  # noqa: PLC0415 - only after a typing error

            typed = message.split("'")[1]
            guess = difflib.get_close_matches(typed, self.verbs, n=1)
            hint = f"did you mean {guess[0]!r}?" if guess else "see graftline --help"
            message = f"there is no verb {typed!r}; {hint}"
        # argparse repeats an argument as it is; a shell may have it from a folder.
        super().error(on_one_line(message))


class _VersionAction(argparse.Action):
    """Print the installed version, which is read only for this option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print ``graftline X.Y.Z`` and exit with 0."""
        import importlib.metadata  # noqa: PLC0415 - slow, and rarely used

        try:
            version = importlib.metadata.version("graftline")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed, run from a source folder)"
        print(f"graftline {version}")
        parser.exit(ExitCode.OK)


def _build_parser(
    verbs: Sequence[Verb],
    verb: Verb | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.ArgumentParser:
    """Return the parser of all verbs; only the given one has its arguments."""
    parser = _Parser(
        prog="graftline",
        usage="graftline [-h] [--version] [-v] VERB ...",
        description="From labelled photos of your own defects to alerts on the line.",
        epilog="graftline VERB --help describes the options of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.verbs = [each.name for each in verbs]
    parser.add_argument(
        "--version", action=_VersionAction, nargs=0, help="print the version"
    )
    _add_verbose(parser, default=False)
    # argparse cannot group subparsers: they are not listed, and each group is a text.
    choices = parser.add_subparsers(
        dest="verb", prog=parser.prog, help=argparse.SUPPRESS
    )
    for group in VerbGroup:
        if lines := [_help_line(each) for each in verbs if each.group is group]:
            parser.add_argument_group(group.value, "\n".join(lines))
    for each in verbs:
        subparser = choices.add_parser(
            each.name, description=f"{each.summary[0].upper()}{each.summary[1:]}."
        )
        if each is verb and add_arguments is not None:
            add_arguments(subparser)
            _add_verbose(subparser, default=argparse.SUPPRESS)
    return parser


def _help_line(verb: Verb) -> str:
    return f"  {verb.name:<15}{verb.summary}"


def _add_verbose(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Add ``--verbose``, which is accepted before and after the verb."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default,
        help="log more, on stderr",
    )


def _configure_logging(verb: Verb, *, verbose: bool) -> None:
    """Log to stderr: Graftline at the verb's level, libraries from WARNING.

    A service logs for years: repeated lines are limited.
    """
    level = logging.INFO if verb.is_service else logging.WARNING
    if verbose:
        level = logging.DEBUG if verb.is_service else logging.INFO
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if verb.is_service:
        from models.log_limit import LimitedHandler  # noqa: PLC0415 - --help needs none

        handler = LimitedHandler(sys.stderr)
    handler.setFormatter(_PlainFormatter(LOG_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)


class _PlainFormatter(logging.Formatter):
    """A formatter whose lines a terminal does not obey, and no value can forge."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's)
        """Return the line of a record."""
        return on_one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 (logging's)
        """Return the lines of a traceback."""
        return "\n".join(map(on_one_line, super().formatException(ei).split("\n")))


def _missing_extra(verb: Verb, library: str) -> ConfigError:
    """Return the error that names the extra with the missing library."""
    return ConfigError(
        f"graftline {verb.name}: the Python library {library!r} is not installed.",
        why=f"This verb needs the extra [{verb.extras}] of graftline.",
        fix=f'pip install "graftline[{verb.extras}]"',
    )


def _print_failure(error: GraftlineError) -> None:
    """Print what, why and fix on stderr, one below the other."""
    lines = [f"error: {_indent(error.what)}"]
    if error.why:
        lines.append(f"  {_indent(error.why)}")
    if error.fix:
        lines.append(f"  Fix: {_indent(error.fix)}")
    print("\n".join(lines), file=sys.stderr)


def _indent(text: str) -> str:
    """Indent every line but the first, for parts that list several findings.

    Names of files and classes are in the text: a terminal must not obey them. A line
    break in a name is indented, so that it cannot pass for a message of its own.
    """
    first, newline, rest = text.partition("\n")
    lines = [on_one_line(line) for line in rest.split("\n")]
    return on_one_line(first) + newline + textwrap.indent("\n".join(lines), "    ")


def _report_bug(error: BaseException) -> int:
    """Print that this is a bug, and keep the traceback in a file."""
    print(
        f"error: this is a bug in Graftline ({type(error).__name__}: "
        f"{on_one_line(str(error))}).",
        file=sys.stderr,
    )
    details = "".join(traceback.format_exception(error))
    if os.environ.get(DEBUG_VARIABLE) == "1":
        print(details, file=sys.stderr)
        return ExitCode.BUG
    with tempfile.NamedTemporaryFile(
        "w", prefix="graftline-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write(f"{sys.argv}\n{details}")
    print(
        f"  The details are in {log.name}.\n"
        f"  Fix: send us that file, or run again with {DEBUG_VARIABLE}=1.",
        file=sys.stderr,
    )
    return ExitCode.BUG


def _leave(code: int) -> NoReturn:
    """End the process at once, with its child processes.

    Where a bug has left threads and native libraries at work, the orderly end of the
    interpreter may end in SIGABRT, or wait for them.
    """
    processes = importlib.import_module("multiprocessing")
    for child in processes.active_children():
        child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _output_is_closed() -> bool:
    """Return whether stdout has no reader any more (``graftline ... | head``).

    A broken pipe may also come from one of Graftline's sockets, and that is a bug.
    """
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)  # POLLERR is always reported
    except (OSError, ValueError):  # stdout is closed, or not a file
        return True
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
