"""Four lines, an MQTT cluster, two collectors and one database, under kill -9.

Real processes: three nats-servers that keep each message three times, PostgreSQL as
Debian sets it up, two ``graftline dashboard`` on its database, and four lines with the
daemon's outbox and publisher (``line_process``). One of them at a time is killed in a
moment that a seed chooses, and started again. A line or a collector that starts again
connects to any node, not to the one from before.

What counts as raised is taken from two places that do not depend on the history: the
counter of positions in each outbox's file, which only grows with a commit, and the
parts that each line has written down when their alert was committed.
"""

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from sqlalchemy.exc import SQLAlchemyError

from dashboard.history.database import Database
from dashboard.history.tables.received import alerts, conflicts, losses
from tests.simulators.cluster.brokers import NODES, NatsCluster, NatsNode
from tests.simulators.cluster.lines import SimLine
from tests.simulators.cluster.report import ClusterReport, compare, count, delays_ms
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.postgresql import PASSWORD, PostgresqlServer

LINES, COLLECTORS = 4, 2
KINDS = ("broker", "collector", "line", "database")
ROUND_S, DOWN_S = (0.5, 3.0), (0.1, 3.0)


@dataclass(frozen=True, slots=True)
class Victim:
    """What may be killed.

    Attributes:
        kill: Kills it with SIGKILL.
        restart: Starts it again, and waits until it serves.
    """

    name: str
    kill: Callable[[], None]
    restart: Callable[[], None]


class ClusterChaos:
    """One run.

    Args:
        folder: For everything; must be empty.
        seed: Of victims and moments.
        say: Called with each line about the progress.
    """

    def __init__(
        self, folder: Path, seed: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.report = ClusterReport()
        self._folder, self._say = folder, say
        self._chance = random.Random(seed)
        self._brokers = NatsCluster(folder / "brokers")
        self._server = PostgresqlServer(is_durable=True)
        self._lines = [SimLine(folder / f"line-{n}") for n in range(1, LINES + 1)]
        self._collectors: list[DashboardProcess] = []
        self._began_s = 0.0

    def run(self, seconds: float) -> ClusterReport:
        """Kill for some time, let everything be delivered, and compare.

        Args:
            seconds: How long to kill; each kind is killed at least once.
        """
        with ExitStack() as clean_up:
            self._start(clean_up)
            self._kill_for(seconds)
            self._say("no further parts; waiting until everything is delivered")
            for line in self._lines:
                line.finish()
            for line in self._lines:
                line.wait()
            for collector in self._collectors:
                collector.end()
            self._compare()
        return self.report

    def _start(self, clean_up: ExitStack) -> None:
        self._say(f"starting {NODES} brokers, PostgreSQL and {COLLECTORS} collectors")
        clean_up.callback(self._server.remove)
        self._server.start()
        login = self._server.with_password(self._server.new_database())
        (self._folder / "password").write_text(PASSWORD, encoding="utf-8")
        clean_up.enter_context(self._brokers)
        history = f'url = "{login.url}"\npassword_file = "../password"'
        for number in range(1, COLLECTORS + 1):
            folder = self._folder / f"collector-{number}"
            folder.mkdir()
            collector = DashboardProcess(folder, self._port(), history=history)
            self._collectors.append(clean_up.enter_context(collector))
        for collector in self._collectors:
            collector.wait_connected()
        self._database = clean_up.enter_context(Database(login, may_migrate=False))
        self._say(f"starting {LINES} lines")
        for line in self._lines:
            clean_up.callback(line.kill)
            line.start(self._port())

    def _port(self) -> int:
        """Return the port of any node."""
        return self._chance.choice(self._brokers.nodes).port

    # --- kill ------------------------------------------------------------------------

    def _kill_for(self, seconds: float) -> None:
        victims = {
            "broker": [self._broker(each) for each in self._brokers.nodes],
            "collector": [self._collector(each) for each in self._collectors],
            "line": [self._line(each) for each in self._lines],
            "database": [
                Victim("postgresql", self._server.kill, self._server.start),
            ],
        }
        back_s: defaultdict[str, list[float]] = defaultdict(list)
        self._began_s = time.monotonic()
        for kind in self._kinds():
            if self._passed_s >= seconds and len(back_s) == len(KINDS):
                break
            time.sleep(self._chance.uniform(*ROUND_S))
            back_s[kind].append(self._strike(self._chance.choice(victims[kind])))
        self.report.seconds = round(self._passed_s, 1)
        for kind, found in back_s.items():
            self.report.kills[kind] = len(found)
            ends = statistics.median(found), max(found)
            self.report.back_s[kind] = (round(ends[0], 2), round(ends[1], 2))

    def _kinds(self) -> Iterator[str]:
        """Yield what to kill: every kind equally often."""
        while True:
            yield from self._chance.sample(KINDS, len(KINDS))

    def _strike(self, victim: Victim) -> float:
        """Kill one and start it again; return the seconds until it serves."""
        down_s = self._chance.uniform(*DOWN_S)
        victim.kill()
        time.sleep(down_s)
        began_s = time.monotonic()
        victim.restart()
        back_s = time.monotonic() - began_s
        self._say(
            f"{self._passed_s:5.0f} s  kill -9 {victim.name:<11} down for {down_s:3.1f}"
            f" s, serves after {back_s:4.1f} s; {self._progress()}"
        )
        return back_s

    @property
    def _passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _progress(self) -> str:
        noted = sum(len(line.committed()) for line in self._lines)
        try:
            with self._database.read() as connection:
                stored = str(count(connection, alerts))
        except SQLAlchemyError:
            stored = "?"
        return f"{noted} alerts raised, {stored} in the history"

    def _broker(self, node: NatsNode) -> Victim:
        return Victim(node.name, node.kill, lambda: self._brokers.restart(node))

    def _line(self, line: SimLine) -> Victim:
        return Victim(line.name, line.kill, lambda: line.start(self._port()))

    def _collector(self, collector: DashboardProcess) -> Victim:
        def restart() -> None:
            collector.use_broker(self._port())
            collector.start().wait_connected()

        return Victim(collector.folder.name, lambda: collector.end(SIGKILL), restart)

    # --- compare ---------------------------------------------------------------------

    def _compare(self) -> None:
        report = self.report
        with self._database.read() as connection:
            report.lines = [compare(connection, each.record()) for each in self._lines]
            report.losses = count(connection, losses)
            report.conflicts = count(connection, conflicts)
            report.delay_ms = delays_ms(connection)
