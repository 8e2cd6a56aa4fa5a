from pathlib import Path

import pytest

from deploy.agent.config import PullSettings, load_agent_settings
from models.errors import ConfigError

WHOLE = """
slot = "slot"
watch = ["media"]
[station]
site = "plant"
line = "line-1"
station = "station-1"
[broker]
host = "broker"
tls_ca_file = "ca.pem"
[pull]
sources = ["https://files.plant/models/", "/mnt/share"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    settings = load_agent_settings(written(tmp_path, WHOLE))
    assert settings.slot == tmp_path / "slot"
    assert settings.watch == (tmp_path / "media",)
    assert settings.broker is not None
    assert settings.broker.tls_ca_file == tmp_path / "ca.pem"


def test_slot_alone_is_enough(tmp_path: Path) -> None:
    settings = load_agent_settings(written(tmp_path, 'slot = "/srv/slot"'))
    assert (settings.slot, settings.pull) == (Path("/srv/slot"), None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('host = "broker"', 'hots = "broker"'), "hots"),
        (("[pull]\n", "[pul]\n"), "pul"),
        (("https://files.plant/models/", "ftp://files"), "expected http://"),
        (("https://files.plant/models/", "https://u:secret@files"), "expected http://"),
        (("/mnt/share", "/mnt/../etc"), "must not hold"),
        (("/mnt/share", "share"), "expected http://"),
        (('site = "plant"', 'site = "PLANT"'), "station.site"),
    ],
)
def test_fault_is_named(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=r".") as caught:
        load_agent_settings(written(tmp_path, WHOLE.replace(*change)))
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


def test_broker_without_sources_is_refused(tmp_path: Path) -> None:
    text = WHOLE.partition("[pull]")[0]
    with pytest.raises(ConfigError, match=r"1 fault") as caught:
        load_agent_settings(written(tmp_path, text))
    assert "go together" in caught.value.why


@pytest.mark.parametrize(
    ("place", "is_allowed"),
    [
        ("https://files.plant/models", True),
        ("https://files.plant/models/plate", True),
        ("https://files.plant/models-of-others", False),
        ("https://files.plant.evil/models", False),
        ("https://files.plant/models/../secret", False),
        ("http://files.plant/models", False),
        ("/mnt/share/plate", True),
        ("/mnt/share/../../etc", False),
        ("/etc", False),
        ("", False),
    ],
)
def test_release_is_fetched_from_the_listed_places_only(
    place: str, is_allowed: bool
) -> None:
    pull = PullSettings(sources=("https://files.plant/models/", "/mnt/share"))
    assert pull.allows(place) == is_allowed
