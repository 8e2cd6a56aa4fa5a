"""Installs the model that a retained MQTT message names, and reports on it.

The agent has a connection of its own, beside that of the daemon: its certificate has
the common name ``SITE/LINE/STATION/model``, which opens these two topics only. The
message is an order of anybody who may write to the topic; what it brings is verified
like everything else, and is fetched only from the places of the configuration.
"""

import logging
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from deploy.agent.agent import Agent
from deploy.agent.config import AgentStation, PullSettings
from deploy.results import PackageName
from models.backoff import Backoff
from models.broker import BrokerLogin
from models.errors import PackageError
from models.inbox_files import FlashRequest, ResultLine
from models.messages import (
    SCHEMA_VERSION,
    DesiredModel,
    ModelInForce,
    PullState,
    ReportedModel,
    fit_reason,
)
from models.mqtt_session import (
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    ReceivedMessage,
    open_session,
)
from models.package import open_package
from models.shown_text import on_one_line, without_login
from models.slot_files import SlotFolder
from models.strict_json import parse_json

DESIRED_MAX_BYTES = 8192
CONNECT_LIMIT_S, ANSWER_LIMIT_S = 5.0, 5.0
TURN_S = 0.5
RECONNECT_FIRST_S, RECONNECT_MAX_S = 0.5, 30.0
# A release that cannot be reached is tried again after these pauses.
FETCH_FIRST_S, FETCH_MAX_S = 5.0, 600.0
STOP_S = 5.0
VERIFY_S = 3600.0  # between two looks at the files of the model in force
DAMAGED = "the package in force is damaged, it is installed again"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullPlan:
    """Where orders come from, and releases.

    Attributes:
        station: Whose model is installed.
        broker: Address and credentials.
        pull: Places that releases may come from.
    """

    station: AgentStation
    broker: BrokerLogin
    pull: PullSettings


class ModelPull:
    """Holds the desired model; a thread of its own talks to the broker.

    Args:
        slot: For what is in force.
    """

    def __init__(self, plan: PullPlan, slot: SlotFolder) -> None:
        self._plan, self._slot = plan, slot
        self._topics = plan.station.topics
        self._lock = threading.Lock()
        self._desired: DesiredModel | None = None
        self._request_id = ""
        self._is_done = True  # with the desired model
        self._due_s = self._verify_s = 0.0
        self._pauses = Backoff(FETCH_FIRST_S, FETCH_MAX_S, random.random)
        self._report = self._new_report(PullState.IDLE)
        self._is_report_due = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-pull")
        self._thread.daemon = True

    def start(self) -> None:
        """Start the thread; the broker may be unreachable."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(STOP_S)

    @property
    def report(self) -> ReportedModel:
        """What is published on ``model/reported``."""
        with self._lock:
            return self._report

    # --- called by the service -------------------------------------------------------

    def queue(self, agent: Agent) -> None:
        """Put the desired model into the inbox, if it is not in force."""
        with self._lock:
            desired, now_s = self._desired, time.monotonic()
            if desired is None or now_s < self._due_s:
                return
            is_current = self._slot.package_of(self._slot.current) == desired.sha256
            was_in_force = self._report.state is PullState.IN_FORCE
            # What a person has put in force since then stays.
            is_due = was_in_force and is_current and now_s >= self._verify_s
            if self._is_done and not is_due:
                return
            self._is_done, reason = True, ""
            if is_current:
                self._verify_s = now_s + VERIFY_S
                if not self._is_damaged(desired.sha256):
                    self._set_report(PullState.IN_FORCE)
                    return
                reason = DAMAGED
            request = FlashRequest(
                id=f"pull-{desired.sha256[:16]}-{time.time_ns():x}",
                package_sha256=desired.sha256,
                at=datetime.now(UTC),
                by=f"{self._topics.desired_model}",
                source=desired.url,
            )
            self._request_id = request.id
            self._set_report(PullState.INSTALLING, reason)
        agent.inbox.add(request)

    def _is_damaged(self, sha256: str) -> bool:
        try:
            open_package(self._slot.store / sha256, sha256=sha256)
        except (OSError, PackageError) as exc:
            logger.warning("model_in_force_damaged sha256=%s why=%s", sha256, exc)
            return True
        return False

    def note(self, request: FlashRequest, result: ResultLine) -> None:
        """Report the result of an entry; also of one that came another way."""
        with self._lock:
            if request.id != self._request_id or self._desired is None:
                self._set_report(self._report.state)  # what is in force has changed
                return
            if result.exit_code == 0:
                self._set_report(PullState.IN_FORCE)
                return
            reason = " ".join(filter(None, (result.message, result.why)))
            if not result.is_unavailable:
                self._set_report(PullState.REFUSED, reason, result.refusal)
                return
            self._is_done = False
            self._due_s = time.monotonic() + self._pauses.next_s()
            self._set_report(PullState.WAITING, reason)

    # --- the thread ------------------------------------------------------------------

    def _run(self) -> None:
        pauses = Backoff(RECONNECT_FIRST_S, RECONNECT_MAX_S, random.random)
        while not self._stop.is_set():
            try:
                self._serve(pauses)
            except ConnectionLostError as exc:
                logger.warning("broker_lost why=%s", exc)
            # The top of the thread, which must live as long as the agent.
            except Exception:
                logger.exception("model_pull_failed")
            self._stop.wait(pauses.next_s())

    def _serve(self, pauses: Backoff) -> None:
        """Keep one connection, until it ends."""
        session = open_session(self._session, (MqttVersion.V5, MqttVersion.V311))
        try:
            session.subscribe([self._topics.desired_model])
            logger.info("broker_connected version=%s", session.version)
            pauses.reset()
            with self._lock:
                self._is_report_due = True
            while not self._stop.is_set():
                for event in session.turn(TURN_S):
                    if isinstance(event, ReceivedMessage):
                        self.receive(event.payload)
                self._send_report(session)
            session.close()
        finally:
            session.abandon()

    def _session(self, version: MqttVersion) -> MqttSession:
        # The daemon's id has no further level: the broker keeps the two apart.
        client_id = f"{self._topics.root.replace('/', '.')}.model"
        return MqttSession(
            self._plan.broker,
            client_id,
            version,
            connect_limit_s=CONNECT_LIMIT_S,
            answer_limit_s=ANSWER_LIMIT_S,
        )

    def receive(self, payload: bytes) -> None:
        """Take a desired model; an empty message takes the order back."""
        with self._lock:
            if not payload:
                self._desired, self._is_done = None, True
                self._set_report(PullState.IDLE)
                return
            try:
                desired = _parsed(payload, self._plan.pull)
            except ValueError as exc:
                reason = on_one_line(str(exc).partition("\n")[0])
                logger.warning("desired_model_refused why=%s", reason)
                self._desired, self._is_done = None, True
                self._set_report(PullState.REFUSED, reason)
                return
            if desired == self._desired:
                return  # the broker sends it again at each connect
            logger.info("model_desired name=%s build=%d", desired.name, desired.build)
            self._desired, self._is_done, self._due_s = desired, False, 0.0
            self._pauses.reset()

    def _send_report(self, session: MqttSession) -> None:
        with self._lock:
            if not self._is_report_due:
                return
            self._is_report_due = False
            payload = self._report.model_dump_json().encode()
        session.publish(self._topics.reported_model, payload, retain=True)

    def _set_report(
        self, state: PullState, reason: str = "", refusal: str = ""
    ) -> None:
        self._report = self._new_report(state, reason, refusal)
        self._is_report_due = True

    def _new_report(
        self, state: PullState, reason: str = "", refusal: str = ""
    ) -> ReportedModel:
        return ReportedModel(
            state=state,
            desired_sha256=self._desired.sha256 if self._desired else "",
            model=model_in_force(self._slot),
            reason=fit_reason(reason),
            refusal=refusal,
            at=datetime.now(UTC),
        )


def _parsed(payload: bytes, pull: PullSettings) -> DesiredModel:
    """Return the message.

    Raises:
        ValueError: It is not valid, of a newer version, or names a place that is not
            allowed.
    """
    if len(payload) > DESIRED_MAX_BYTES:
        message = f"larger than {DESIRED_MAX_BYTES} bytes"
        raise ValueError(message)
    document = parse_json(payload)
    version = document.get("schema_version", 1) if isinstance(document, dict) else 1
    if isinstance(version, int) and version > SCHEMA_VERSION:
        message = f"schema {version} is newer than this runtime ({SCHEMA_VERSION})"
        raise ValueError(message)
    try:
        desired = DesiredModel.model_validate(document)
    except ValidationError as exc:
        places = ", ".join(".".join(map(str, e["loc"])) for e in exc.errors()[:5])
        message = f"not valid: {places or 'no object'}"
        raise ValueError(message) from exc
    if not pull.allows(desired.url):
        place = without_login(desired.url)
        message = f"pull.sources of this line PC do not allow {place}"
        raise ValueError(message)
    return desired


def model_in_force(slot: SlotFolder) -> ModelInForce | None:
    """Return the model that ``current`` names; None: none, or not readable."""
    sha256 = slot.package_of(slot.current)
    if not sha256:
        return None
    try:
        name = PackageName.stored(slot.store / sha256)
    except PackageError:
        return None
    return ModelInForce(name=name.name, build=name.build, sha256=sha256)
