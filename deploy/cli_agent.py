"""The verb ``agent``: takes packages from the inbox of a slot."""

import argparse
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ValidationError

from deploy.agent.agent import Agent, slot_not_writable
from deploy.agent.config import AgentSettings, load_agent_settings
from deploy.agent.following import follow_entry
from deploy.agent.installation import Installation
from deploy.agent.lock import agent_lock, prepare_inbox
from deploy.agent.model_pull import ModelPull, PullPlan
from deploy.agent.service import serve, stopped_by_sigterm
from deploy.agent.step_log import AnyLine
from deploy.agent.sticks import leave_result, queue_stick
from deploy.cli_shared import print_line, print_step
from deploy.cli_trial import add_trial_arguments, trial_settings
from deploy.transports.ssh_errors import error_of_code
from deploy.transports.stored_files import find_missing
from deploy.trust.enrolment import require_enrolment
from models.broker import make_tls_context, read_password
from models.errors import ConfigError, ExitCode, InstallError
from models.inbox_files import ResultLine, WantedFiles
from models.slot_files import SlotFolder
from models.strict_json import parse_json

STDIN_MAX_BYTES = 4 << 20
ALIVE = '{"kind":"alive"}'


def add_agent_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline agent``."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--slot", metavar="DIR", type=Path, help="slot of this line PC")
    place.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="agent.toml: slot, watched folders, and the broker for desired models",
    )
    verbs = parser.add_mutually_exclusive_group()
    verbs.add_argument(
        "--once", action="store_true", help="install what waits in the inbox, then end"
    )
    verbs.add_argument(
        "--from",
        dest="stick",
        metavar="DIR",
        type=Path,
        help="install from a stick or share that `flash PACKAGE usb:DIR` wrote, then "
        "end",
    )
    verbs.add_argument(
        "--follow",
        metavar="ID",
        help="print the steps of an entry of the inbox, as JSON lines, until its "
        "result; installs it where no agent runs",
    )
    verbs.add_argument(
        "--missing",
        action="store_true",
        help="read the files of a package on stdin, print those that this PC lacks "
        "(JSON)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --missing: change nothing"
    )
    parser.add_argument(
        "--watch",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="also take sticks that are mounted at or below this folder",
    )
    add_trial_arguments(parser)


def run_agent(args: argparse.Namespace) -> int:
    """Run the agent of a slot, or one of its single tasks."""
    settings = _settings(args)
    slot = SlotFolder(settings.slot)
    agent = Agent(Installation(slot, trial=trial_settings(args)))
    try:
        if args.missing:
            return _print_missing(agent, is_dry_run=args.dry_run)
        if args.follow is not None:
            return _follow(agent, args.follow)
        if args.stick is not None:
            return _take_stick(agent, args.stick)
        if args.once:
            return _take_once(agent)
    except OSError as exc:
        if isinstance(exc, BrokenPipeError):
            raise
        raise slot_not_writable(agent.slot, exc) from exc
    pull = _pull(settings)
    with stopped_by_sigterm():
        if pull is not None:
            pull.start()
        serve(agent, settings.watch, pull)
    if pull is not None:
        pull.stop()
    return ExitCode.OK


def _settings(args: argparse.Namespace) -> AgentSettings:
    if args.config is not None:
        settings = load_agent_settings(args.config)
        watch = (*settings.watch, *args.watch)
        return settings.model_copy(update={"watch": watch})
    return AgentSettings(slot=args.slot.expanduser().absolute(), watch=args.watch)


def _pull(settings: AgentSettings) -> ModelPull | None:
    if not (settings.station and settings.broker and settings.pull):
        return None
    # A fault in them stops the start; later ones are logged.
    read_password(settings.broker)
    make_tls_context(settings.broker)
    plan = PullPlan(settings.station, settings.broker, settings.pull)
    return ModelPull(plan, SlotFolder(settings.slot))


def _print_missing(agent: Agent, *, is_dry_run: bool) -> int:
    try:
        document = parse_json(sys.stdin.buffer.read(STDIN_MAX_BYTES))
        wanted = WantedFiles.model_validate(document)
    except (ValueError, ValidationError) as exc:
        raise ConfigError(
            "stdin: not a list of files.",
            why=str(exc).partition("\n")[0],
            fix="This option is for `graftline flash`, on the workstation.",
        ) from exc
    require_enrolment(agent.slot, f"local:{agent.slot.root}")
    if not is_dry_run:
        prepare_inbox(agent.slot)
    _print(find_missing(agent.slot, wanted.files, is_dry_run=is_dry_run))
    return ExitCode.OK


def _follow(agent: Agent, entry_id: str) -> int:
    reader = _Reader()
    result = follow_entry(
        agent,
        entry_id,
        lambda line: reader.print(line.model_dump_json()),
        lambda: reader.print(ALIVE),
    )
    return result.exit_code


class _Reader:
    """Prints to a workstation whose connection may be cut.

    The installation goes on without it; its result is in the log.
    """

    def __init__(self) -> None:
        self._is_gone = False

    def print(self, line: str) -> None:
        """Print a line, if there still is a reader."""
        if self._is_gone:
            return
        try:
            print(line, flush=True)
        except BrokenPipeError:
            self._is_gone = True
            # What is flushed at the end of the process goes there too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _take_stick(agent: Agent, stick: Path) -> int:
    require_enrolment(agent.slot, f"local:{agent.slot.root}")
    request = queue_stick(agent, stick)
    result = follow_entry(agent, request.id, _print_result)
    leave_result(request, result)
    return _end(result)


def _take_once(agent: Agent) -> int:
    with agent_lock(agent.slot) as is_held:
        if not is_held:
            raise InstallError(
                f"{agent.slot.root}: busy.",
                why="An agent of this slot runs; it takes what waits.",
                fix="Wait, or stop it first: systemctl stop graftline-agent",
            )
        agent.inbox.clean()
        results = agent.take_waiting()
    for result in results:
        _print_result(result)
    return max((result.exit_code for result in results), default=ExitCode.OK)


def _end(result: ResultLine) -> int:
    if result.exit_code:
        raise error_of_code(result.exit_code)(
            result.message, why=result.why, fix=result.fix
        )
    print_line(result.message)
    return ExitCode.OK


def _print(line: BaseModel) -> None:
    print(line.model_dump_json(), flush=True)


def _print_result(line: AnyLine) -> None:
    text = line.message if isinstance(line, ResultLine) else line.text
    print_step(text)
