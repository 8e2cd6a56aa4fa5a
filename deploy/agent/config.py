"""Configuration of the agent: one TOML file, for what an option cannot state."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from deploy.transports.http import http_source
from models.broker import BrokerLogin
from models.config import Settings, load_config
from models.errors import ConfigError
from models.topics import Name, StationTopics


class AgentStation(Settings):
    """``[station]``: the station whose model this agent installs, as in edge.toml."""

    site: Name = Field(description="Factory.")
    line: Name = Field(description="Line in the factory.")
    station: Name = Field(description="Station on the line.")

    @property
    def topics(self) -> StationTopics:
        """The station's MQTT topics."""
        return StationTopics(self.site, self.line, self.station)


class PullSettings(Settings):
    """``[pull]``: from where a desired model may come."""

    sources: tuple[str, ...] = Field(
        min_length=1,
        description="Starts of addresses: http://, https://, or a folder such as a "
        "mounted share. A release elsewhere is not fetched.",
    )

    @field_validator("sources")
    @classmethod
    def _are_places(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            check_place(source)
        return sources

    def allows(self, place: str) -> bool:
        """Return whether a release may be fetched from a place."""
        try:
            check_place(place)
        except ValueError:
            return False
        starts = [source.rstrip("/") for source in self.sources]
        return any(place == each or place.startswith(f"{each}/") for each in starts)


class AgentSettings(Settings):
    """The file of the agent."""

    slot: Path = Field(description="Slot of this line PC, as in edge.toml.")
    watch: tuple[Path, ...] = Field(
        default=(), description="Folders in which sticks are mounted."
    )
    station: AgentStation | None = Field(
        default=None, description="Needed with [broker]."
    )
    broker: BrokerLogin | None = Field(
        default=None, description="Where the desired model is published."
    )
    pull: PullSettings | None = Field(default=None, description="Needed with [broker].")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        parts = (self.station, self.broker, self.pull)
        if any(parts) and not all(parts):
            raise ValueError("[station], [broker] and [pull] go together")
        return self


def check_place(place: str) -> None:
    """Refuse what is neither an address of HTTP nor a folder.

    Raises:
        ValueError: It is neither, or leads up with "..".
    """
    if place.startswith("/"):
        if ".." in Path(place).parts or not place.isprintable():
            raise ValueError("a folder must not hold '..'")
        return
    try:
        http_source(place)
    except ConfigError as exc:
        raise ValueError("expected http://, https:// or a folder") from exc


def load_agent_settings(path: Path) -> AgentSettings:
    """Return the configuration in a file; relative paths start at its folder.

    Raises:
        ConfigError: The file is missing, not TOML, or has faults.
    """
    settings = load_config(path, AgentSettings)
    folder = path.absolute().parent
    update: dict[str, object] = {
        "slot": folder / settings.slot,
        "watch": tuple(folder / each for each in settings.watch),
    }
    if settings.broker is not None:
        update["broker"] = settings.broker.located(folder)
    return settings.model_copy(update=update)
