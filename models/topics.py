"""The MQTT topics of a station, and the names that they are made of."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from models.errors import ConfigError

ROOT = "graftline"
NAME_PATTERN = r"^[a-z0-9-]{1,32}$"
NAME_MAX_CHARS = 32
NAME_RULE = f"1 to {NAME_MAX_CHARS} of a-z, 0-9 and '-'"
# As German, Danish and Norwegian write these letters without them; other accents are
# dropped.
SPELLINGS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae"}
)

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


@dataclass(frozen=True, slots=True)
class StationTopics:
    """Topics of one station.

    Raises:
        ConfigError: A name is not ``[a-z0-9-]{1,32}``.
    """

    site: str
    line: str
    station: str

    def __post_init__(self) -> None:
        """Refuse names that would change the levels of a topic."""
        for field in ("site", "line", "station"):
            check_name(field, getattr(self, field))

    @property
    def root(self) -> str:
        """``graftline/<site>/<line>/<station>``, without a slash at the end."""
        return f"{ROOT}/{self.site}/{self.line}/{self.station}"

    @property
    def status(self) -> str:
        """Retained state of the station."""
        return f"{self.root}/status"

    @property
    def ack(self) -> str:
        """The collector's acknowledgements to this station."""
        return f"{self.root}/ack"

    @property
    def commands(self) -> str:
        """Filter of all commands to this station."""
        return f"{self.root}/cmd/+"

    def reply(self, verb: str, command_id: str) -> str:
        """Return the topic of the reply to a command.

        Args:
            verb: Verb of the command, valid in a topic.
            command_id: Id of the command, valid in a topic.
        """
        return f"{self.root}/cmd/{verb}/reply/{command_id}"

    @property
    def desired_model(self) -> str:
        """Retained: the package that the agent of this station installs."""
        return f"{self.root}/model/desired"

    @property
    def reported_model(self) -> str:
        """Retained: the agent's answer."""
        return f"{self.root}/model/reported"

    @property
    def loss(self) -> str:
        """Records of dropped events."""
        return f"{self.root}/loss"

    def camera(self, camera: str, leaf: str) -> str:
        """Return ``.../camera/<camera>/<leaf>``.

        Args:
            camera: Name of the camera.
            leaf: ``status``, ``alert``, ``verdict``, ``stats`` or ``image/<id>``.

        Raises:
            ConfigError: The camera's name is not ``[a-z0-9-]{1,32}``.
        """
        check_name("camera", camera)
        return f"{self.root}/camera/{camera}/{leaf}"


@dataclass(frozen=True, slots=True)
class ParsedTopic:
    """The levels of a station's topic.

    Attributes:
        camera: Name of the camera; empty for the station's own topics.
        leaf: The rest, for example ``alert`` or ``image/<id>``.
    """

    topics: StationTopics
    camera: str
    leaf: str


def check_name(field: str, value: str) -> None:
    """Refuse a name that is not valid in a topic.

    Args:
        field: Which name it is, for the message.

    Raises:
        ConfigError: It is not ``[a-z0-9-]{1,32}``.
    """
    if not re.fullmatch(NAME_PATTERN.strip("^$"), value):
        raise ConfigError(
            f"{field} = {value!r} cannot be part of an MQTT topic.",
            why=f"Expected {NAME_RULE}.",
            fix=f"Rename the {field}{_example(value)}.",
        )


def plain_name(text: str) -> str:
    """Return the valid name that is nearest to a text; empty where there is none.

    >>> plain_name("Küche oben")
    'kueche-oben'
    """
    # Composed first: some systems store "ü" as two characters.
    spelt = unicodedata.normalize("NFC", text).lower().translate(SPELLINGS)
    base = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", base).strip("-")[:NAME_MAX_CHARS].strip("-")


def _example(value: str) -> str:
    plain = plain_name(value)
    return f", for example {plain!r}" if plain else ""


def parse_topic(topic: str) -> ParsedTopic | None:
    """Return the levels of a topic; None if it is not a topic of a station.

    Args:
        topic: As received: any text.
    """
    levels = topic.split("/")
    if len(levels) < 5 or levels[0] != ROOT:
        return None
    camera, rest = "", levels[4:]
    try:
        topics = StationTopics(levels[1], levels[2], levels[3])
        if rest[0] == "camera":
            if len(rest) < 3:
                return None
            camera, rest = rest[1], rest[2:]
            check_name("camera", camera)
    except ConfigError:
        return None  # names that no station has
    return ParsedTopic(topics, camera, "/".join(rest))
