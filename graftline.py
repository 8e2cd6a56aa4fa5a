"""The one command: ``graftline VERB``, in the order of the work.

This file knows which room a verb lives in and nothing else. Each verb names a
module; the module offers ``add_<verb>_arguments(parser)`` and
``run_<verb>(args) -> int`` and is imported only when its verb is asked for, so
that ``graftline --help`` needs no library and answers at once.

Exit codes (see ``models/errors.py``): 0 done; 1 a bug of ours; 2 wrong usage;
3 to 9 an expected failure, by who must act; 130 Ctrl-C; 141 the reader of our
output went away. A verb whose extra is not installed ends with 3: the
installation is the operator's configuration.
"""

import argparse
import importlib
import logging
import os
import select
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from models.errors import ConfigError, ExitCode, GraftlineError

DEBUG_VARIABLE: Final = "GRAFTLINE_DEBUG"
EXIT_OUTPUT_CLOSED: Final = 141  # 128 + SIGPIPE, as shells report it
ROOMS: Final = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb and the room that it lives in.

    Args:
        name: What the user types.
        module: The module with ``add_<name>_arguments`` and ``run_<name>``.
        extras: What ``pip install "graftline[...]"`` must bring for it.
        summary: One line for ``graftline --help``.
        is_service: It runs until it is told to stop, and logs its state changes.
    """

    name: str
    module: str
    extras: str
    summary: str
    is_service: bool = False

    @property
    def function_name(self) -> str:
        """The verb as a part of a Python name."""
        return self.name.replace("-", "_")


VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "synth",
        "trainer.cli.synth",
        "trainer",
        "write labelled photos, good parts and a video of a line",
    ),
    Verb(
        "demo",
        "demo.cli",
        "trainer,edge,deploy,dashboard,demo",
        "the whole line on this machine, in front of your eyes",
    ),
    Verb("check", "trainer.cli.check", "trainer", "find what is wrong with a dataset"),
    Verb("train", "trainer.cli.train", "trainer", "fine-tune a pretrained detector"),
    Verb(
        "evaluate",
        "trainer.cli.evaluate",
        "trainer",
        "measure a run or a package on a dataset",
    ),
    Verb(
        "pack",
        "trainer.cli.pack",
        "trainer",
        "export, quantize and seal a model package",
    ),
    Verb("flash", "deploy.cli", "edge,deploy", "put a package on a line PC"),
    Verb("status", "deploy.cli", "edge,deploy", "show what a line PC runs"),
    Verb(
        "rollback",
        "deploy.cli",
        "edge,deploy",
        "put the previous package back in force",
    ),
    Verb(
        "broker-config",
        "deploy.cli_broker",
        "edge,deploy",
        "write the files of a mosquitto for a plant",
    ),
    Verb(
        "service",
        "deploy.cli_service",
        "edge,deploy",
        "write the systemd unit of the daemon",
    ),
    Verb(
        "doctor",
        "edge.cli",
        "edge,deploy",
        "is this line PC fit to inspect? camera, model, broker, disk, clock",
    ),
    Verb(
        "run",
        "edge.cli",
        "edge,deploy",
        "the daemon on the line PC: frames in, alerts out",
        is_service=True,
    ),
    Verb(
        "selftest",
        "deploy.cli",
        "edge,deploy",
        "run a package's golden frames on this machine",
    ),
    Verb(
        "dashboard",
        "dashboard.cli",
        "dashboard",
        "collect alerts and show them on a page",
        is_service=True,
    ),
)


def main(argv: Sequence[str] | None = None, verbs: Sequence[Verb] = VERBS) -> int:
    """Run one verb and return the exit code of the command.

    Args:
        argv: The words after ``graftline``; those of this process if None.
        verbs: What the command can do.

    Returns:
        0, or the exit code of the failure. Whatever went wrong is on stderr,
        and stdout holds only what the verb had printed before.

    Raises:
        SystemExit: ``--help``, ``--version`` or wrong usage (code 2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words, verbs)
        sys.stdout.flush()  # a reader that went away shows here, not at exit
    except GraftlineError as error:
        _print_failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("graftline: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError as error:
        if not _output_is_closed():
            return _report_bug(error)
        # Python flushes stdout once more at exit: let it write into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT_CLOSED
    # The top of the process: whatever reaches this line is a bug, and is
    # logged with its traceback in a file that the message names.
    except Exception as error:  # noqa: BLE001
        return _report_bug(error)
    return code


def _run(words: Sequence[str], verbs: Sequence[Verb]) -> int:
    """Parse the words, import the room of the verb, and run the verb."""
    verb = _find_verb(words, verbs)
    parser = _build_parser(verbs)
    if verb is None:  # --help, --version, nothing, or a word we do not know
        parser.parse_args(words)
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    try:
        module = importlib.import_module(verb.module)
        add_arguments = getattr(module, f"add_{verb.function_name}_arguments")
        run: Callable[[argparse.Namespace], int] = getattr(
            module, f"run_{verb.function_name}"
        )
        parser = _build_parser(verbs, verb, add_arguments)
        args = parser.parse_args(words)
        _configure_logging(verb, verbose=args.verbose)
        return run(args)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in ROOMS:
            raise  # a file of ours is missing: a bug, not an extra
        raise _missing_extra(verb, missing) from error


def _find_verb(words: Sequence[str], verbs: Sequence[Verb]) -> Verb | None:
    """Return the verb among the words: the first that is no option."""
    name = next((word for word in words if not word.startswith("-")), None)
    return next((verb for verb in verbs if verb.name == name), None)


class _Parser(argparse.ArgumentParser):
    """An argument parser that guesses which verb was meant.

    Attributes:
        verbs: The names to guess from; none for the parser of a verb.
    """

    verbs: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the usage, the message and a guess, and exit with 2."""
        if self.verbs and "invalid choice" in message:
            import difflib  # noqa: PLC0415 - only where the user mistyped

            typed = message.split("'")[1]
            guess = difflib.get_close_matches(typed, self.verbs, n=1)
            hint = f"did you mean {guess[0]!r}?" if guess else "see graftline --help"
            message = f"there is no verb {typed!r}; {hint}"
        super().error(message)


class _VersionAction(argparse.Action):
    """Print the installed version; looks it up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print ``graftline X.Y.Z`` and exit with 0."""
        import importlib.metadata  # noqa: PLC0415 - slow, and seldom wanted

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
        description="From labelled photos of your own defects to alerts on the floor.",
        epilog="graftline VERB --help tells more about a verb.",
    )
    parser.verbs = [each.name for each in verbs]
    parser.add_argument(
        "--version", action=_VersionAction, nargs=0, help="print the version"
    )
    _add_verbose(parser, default=False)
    choices = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB")
    for each in verbs:
        subparser = choices.add_parser(
            each.name,
            help=each.summary,
            description=f"{each.summary[0].upper()}{each.summary[1:]}.",
        )
        if each is verb and add_arguments is not None:
            add_arguments(subparser)
            _add_verbose(subparser, default=argparse.SUPPRESS)
    return parser


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
    """Log to stderr: our rooms at the verb's level, libraries from WARNING.

    A service logs for years: what it repeats is bounded.
    """
    level = logging.INFO if verb.is_service else logging.WARNING
    if verbose:
        level = logging.DEBUG if verb.is_service else logging.INFO
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if verb.is_service:
        from models.log_limit import LimitedHandler  # noqa: PLC0415 - --help needs none

        handler = LimitedHandler(sys.stderr)
    logging.basicConfig(format=LOG_FORMAT, handlers=[handler], level=logging.WARNING)
    for room in ROOMS:
        logging.getLogger(room).setLevel(level)


def _missing_extra(verb: Verb, library: str) -> ConfigError:
    """Return the error that says which installation brings the library."""
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
    """Indent every line but the first, for parts that list several findings."""
    first, newline, rest = text.partition("\n")
    return first + newline + textwrap.indent(rest, "    ")


def _report_bug(error: BaseException) -> int:
    """Tell the user that it is our fault; keep the traceback for us."""
    print(
        f"error: this is a bug in Graftline ({type(error).__name__}: {error}).",
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


def _output_is_closed() -> bool:
    """Return whether nobody reads our stdout any more (``graftline ... | head``).

    A broken pipe may also come from a socket of ours, and that one is a bug.
    """
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)  # errors are reported unasked
    except (OSError, ValueError):  # stdout is closed, or no file at all
        return True
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
