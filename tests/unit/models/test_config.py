from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from models.config import CONFIG_MAX_BYTES, Settings, load_config
from models.errors import ConfigError


class Folder(Settings):
    kind: Literal["folder"]
    path: str


class Stream(Settings):
    kind: Literal["stream"]
    url: str
    timeout_ms: int = 1500


class Region(Settings):
    score_threshold: float = Field(default=0.5, ge=0, le=1)


class Program(Settings):
    station: str = "s1"
    port: int = Field(default=1883, ge=1, le=65535)
    cameras: tuple[Annotated[Folder | Stream, Field(discriminator="kind")], ...] = ()
    regions: dict[str, Region] = Field(default_factory=dict)
    region: Region | None = None


def load(tmp_path: Path, text: str) -> Program:
    (tmp_path / "edge.toml").write_text(text)
    return load_config(tmp_path / "edge.toml", Program)


def fault_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError, match=r"edge\.toml: ") as caught:
        load(tmp_path, text)
    return caught.value.why


def test_values_of_the_file_win_over_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, 'station = "s7"\n[region]\nscore_threshold = 0.25')
    assert (config.station, config.port) == ("s7", 1883)
    assert config.region is not None
    assert config.region.score_threshold == 0.25


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    assert load(tmp_path, '\ufeffstation = "s7"').station == "s7"


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        ("prot = 1", "prot", "port"),
        ("[region]\nscore_treshold = 1", "region.score_treshold", "score_threshold"),
        (
            "[regions.top]\nscore_treshold = 1",
            "regions.top.score_treshold",
            "score_threshold",
        ),
    ],
)
def test_misspelt_key_is_refused_with_the_nearest_key(
    text: str, place: str, meant: str, tmp_path: Path
) -> None:
    assert f"{place}: unknown key, did you mean {meant}?" in fault_of(tmp_path, text)


def test_misspelt_key_inside_a_choice_of_kinds_is_refused(tmp_path: Path) -> None:
    text = '[[cameras]]\nkind = "folder"\npath = "x"\npaht = "y"'
    assert "cameras.0.folder.paht: unknown key" in fault_of(tmp_path, text)


def test_key_like_no_other_is_refused_with_all_keys(tmp_path: Path) -> None:
    why = fault_of(tmp_path, "zzz = 1")
    assert "zzz: unknown key; known: cameras, port, region, regions, station" in why


def test_all_faults_are_reported_together_with_their_values(tmp_path: Path) -> None:
    why = fault_of(tmp_path, "port = 70000\nstation = 3\nprot = 1")
    assert "port: Input should be less than or equal to 65535, got 70000" in why
    assert "station: Input should be a valid string, got 3" in why
    assert "did you mean port?" in why


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"station = ", "not TOML"),
        (b"a = 1\na = 2", "not TOML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a=" + b"[" * 5000, "not TOML"),
        (b"#" * (CONFIG_MAX_BYTES + 1), "larger than"),
    ],
    ids=["cut", "twice", "binary", "deep", "huge"],
)
def test_file_that_is_not_a_configuration_is_refused(
    content: bytes, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "edge.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        load_config(tmp_path / "edge.toml", Program)


@pytest.mark.parametrize("name", ["nowhere.toml", "."])
def test_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / name, Program)
