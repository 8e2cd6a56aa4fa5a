from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from models.config import CONFIG_MAX_BYTES, Settings, characters_rule, load_config
from models.errors import ConfigError
from models.topics import Name


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
    pause_s: float = Field(default=1, ge=0, le=600)
    limit_ms: int = Field(default=100, ge=100, le=600_000)


CLIENT_ID = r"^[A-Za-z0-9_.-]{0,64}$"


class Camera(Settings):
    name: Name


class Plant(Settings):
    site: Name = "plant"
    line: Name = "line"
    client_id: str = Field(default="", pattern=CLIENT_ID)
    camera: tuple[Camera, ...] = Field(default=(Camera(name="a"),), min_length=1)


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
    assert "zzz: unknown key; known: cameras, limit_ms, pause_s, port, region" in why


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


def faults_of_plant(tmp_path: Path, text: str) -> ConfigError:
    (tmp_path / "plant.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "plant.toml", Plant)
    return caught.value


def test_rule_for_names_is_stated_once_in_words(tmp_path: Path) -> None:
    error = faults_of_plant(tmp_path, 'site = "Würth"\nline = "halle 3/b"')
    assert error.what.endswith("2 faults.")
    assert error.why == (
        "site = 'Würth', line = 'halle 3/b': expected 1 to 32 of a-z, 0-9 and '-', "
        "for example 'wuerth', 'halle-3-b'."
    )


@pytest.mark.parametrize("name", ["Küche", "top cam", "a/b", "a+b", "#", "日本", ""])
def test_refused_name_of_a_camera_is_the_only_fault(tmp_path: Path, name: str) -> None:
    error = faults_of_plant(tmp_path, f'[[camera]]\nname = "{name}"')
    assert error.what.endswith("1 fault.")
    assert f"camera.0.name = {name!r}: expected 1 to 32 of a-z, 0-9" in error.why
    assert "pattern" not in str(error)
    assert "Tuple" not in str(error)


def test_list_without_items_is_a_fault_of_its_own(tmp_path: Path) -> None:
    assert "camera: Tuple should" in faults_of_plant(tmp_path, "camera = []").why


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("^[a-z0-9-]{1,32}$", "1 to 32 of a-z, 0-9 and '-'"),
        ("^[A-Za-z0-9_.-]{0,64}$", "0 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'"),
        ("^[a-z]{2,3}$", "2 to 3 of a-z"),
        ("^[a-z_]+(/[a-z_]+)*$", "a-z and '_', in levels that are joined by '/'"),
        ("^a|b$", "a text that matches ^a|b$"),
    ],
)
def test_rule_for_characters_is_in_words(pattern: str, words: str) -> None:
    assert characters_rule(pattern) == words


def test_rule_for_a_client_id_is_in_words(tmp_path: Path) -> None:
    why = faults_of_plant(tmp_path, 'client_id = "Küche 1"').why
    assert why == f"client_id = 'Küche 1': expected {characters_rule(CLIENT_ID)}."


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[region]\nscore_threshold = 30", "got 30 (a share: 30 % is 0.3)"),
        ("pause_s = 5000", "got 5000 (in seconds: 5000 ms is 5)"),
        ("limit_ms = 2", "got 2 (in milliseconds: 2 s is 2000)"),
    ],
    ids=["percent", "milliseconds", "seconds"],
)
def test_number_in_another_unit_is_refused_with_the_value_in_its_own(
    tmp_path: Path, text: str, hint: str
) -> None:
    assert hint in fault_of(tmp_path, text)


def test_number_far_outside_of_a_share_has_no_hint(tmp_path: Path) -> None:
    assert "%" not in fault_of(tmp_path, "[region]\nscore_threshold = 3000")
