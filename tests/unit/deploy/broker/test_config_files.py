"""The files of a plant's broker."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.broker.config_files import (
    BrokerPlan,
    FileOutcome,
    TlsFiles,
    render_broker_files,
    stations_of,
    write_broker_files,
)
from deploy.broker.mosquitto import MainFile, main_file_of
from graftline import main
from models.errors import ConfigError


@pytest.fixture
def plan(tmp_path: Path) -> BrokerPlan:
    paths = [tmp_path / name for name in ("ca.pem", "broker.pem", "broker.key")]
    for path in paths:
        path.write_text("PEM")
    return BrokerPlan(
        folder=tmp_path / "broker",
        port=8883,
        listen="0.0.0.0",
        data=tmp_path / "data",
        collector="collector",
        tls=TlsFiles(*paths),
    )


def lines_of(plan: BrokerPlan, name: str = "mosquitto.conf") -> list[str]:
    return render_broker_files(plan)[plan.folder / name].splitlines()


def test_network_is_refused_without_certificates(plan: BrokerPlan) -> None:
    lines = lines_of(plan)
    assert "listener 8883 0.0.0.0" in lines
    assert "require_certificate true" in lines
    assert "allow_anonymous false" in lines
    with pytest.raises(ConfigError, match="open to the network"):
        render_broker_files(replace(plan, tls=None))
    assert "allow_anonymous true" in lines_of(
        replace(plan, tls=None, listen="127.0.0.1")
    )


def test_every_value_of_the_plan_is_in_the_files(plan: BrokerPlan) -> None:
    crl = plan.folder.parent / "crl.pem"
    crl.write_text("PEM")
    lines = lines_of(replace(plan, collector="board", crl=crl))
    assert f"crlfile {crl}" in lines
    assert f"acl_file {plan.folder / 'stations.acl'}" in lines
    assert f"persistence_location {plan.data}/" in lines
    assert "user board" in lines_of(replace(plan, collector="board"), "stations.acl")
    assert not any("$" in line for line in lines), "a place that was not filled"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"port": 70_000}, "--port 70000"),
        ({"listen": "0.0.0.0\nallow_anonymous true"}, "is not an address"),
        ({"collector": "x\ntopic readwrite #"}, "--collector"),
        ({"data": Path("a\nb")}, "a line break"),
        ({"crl": Path("/nowhere/crl.pem")}, "/nowhere/crl.pem is not a file"),
        ({"tls": None, "listen": "localhost", "crl": Path("x")}, "--crl without --tls"),
    ],
)
def test_value_that_mosquitto_would_misread_is_refused(
    plan: BrokerPlan, change: dict[str, object], fault: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        render_broker_files(replace(plan, **change))
    assert fault in caught.value.why


def test_second_call_changes_nothing_and_other_content_is_refused(
    plan: BrokerPlan,
) -> None:
    def write(texts: dict[Path, str], *, force: bool = False) -> set[FileOutcome]:
        written = write_broker_files(texts, is_forced=force, is_dry_run=False)
        return set(written.values())

    texts = render_broker_files(plan)
    assert write(texts) == {FileOutcome.WRITTEN}
    assert write(texts) == {FileOutcome.UNCHANGED}
    acl = plan.folder / "stations.acl"
    acl.write_text("mine")
    newer = render_broker_files(replace(plan, port=8884))
    with pytest.raises(ConfigError, match=r"stations\.acl"):
        write(newer)
    assert acl.read_text() == "mine"
    config = (plan.folder / "mosquitto.conf").read_text()
    assert "8883" in config, "all or none of them"
    assert write(newer, force=True) == {FileOutcome.WRITTEN}
    assert acl.read_text() != "mine"


def test_dry_run_shows_the_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "broker"
    assert main(["broker-config", "--out", str(folder), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would be written" in shown
    assert "listener 1883 127.0.0.1" in shown
    assert not folder.exists()


def test_folder_that_is_a_file_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("")
    assert main(["broker-config", "--out", str(tmp_path / "broker")]) == 3


DEBIAN_CONF = """
pid_file /run/mosquitto/mosquitto.pid

persistence true
persistence_location /var/lib/mosquitto/

log_dest file /var/log/mosquitto/mosquitto.log

include_dir {folder}/conf.d
"""


def debian(folder: Path, **others: str) -> MainFile:
    """Return the main file as Debian ships it, beside a folder of other files."""
    included = folder / "conf.d"
    included.mkdir()
    (folder / "mosquitto.conf").write_text(DEBIAN_CONF.format(folder=folder))
    for name, text in others.items():
        (included / f"{name}.conf").write_text(text)
    found = main_file_of(included, "graftline.conf")
    assert found is not None
    return found


def included(plan: BrokerPlan, main: MainFile) -> BrokerPlan:
    return replace(plan, folder=main.path.parent / "conf.d", main=main)


def test_included_file_repeats_no_setting_that_may_be_there_once(
    plan: BrokerPlan, tmp_path: Path
) -> None:
    main = debian(tmp_path)
    lines = lines_of(included(plan, main), "graftline.conf")
    assert f"# persistence_location is in {main.path}" in lines
    assert not [line for line in lines if line.startswith("persistence_location")]
    assert "listener 8883 0.0.0.0" in lines


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("per_listener_settings true", "has per_listener_settings true"),
        ("allow_anonymous true", "has allow_anonymous true"),
        ("acl_file /etc/other.acl", "has acl_file /etc/other.acl"),
        ("listener 1883 127.0.0.1", "has listener 1883 127.0.0.1"),
    ],
)
def test_right_of_another_file_that_would_open_or_close_listeners_is_refused(
    plan: BrokerPlan, tmp_path: Path, text: str, fault: str
) -> None:
    main = debian(tmp_path, other=text)
    with pytest.raises(ConfigError) as caught:
        render_broker_files(included(plan, main))
    assert fault in caught.value.why
    assert "--out another folder" in caught.value.fix


def test_plugin_of_2_1_leaves_other_listeners_alone_and_needs_no_old_option(
    plan: BrokerPlan, tmp_path: Path
) -> None:
    main = debian(tmp_path, other="listener 1883\nallow_anonymous true\nacl_file /x")
    newer = replace(included(plan, main), acl_plugin=Path("/usr/lib/acl.so"))
    lines = lines_of(newer, "graftline.conf")
    listener = lines.index("listener 8883 0.0.0.0")
    assert "plugin_load graftline-acl /usr/lib/acl.so" in lines[:listener]
    assert "plugin_use graftline-acl" in lines[listener:]
    assert "listener_allow_anonymous false" in lines[listener:]
    old = ("acl_file", "allow_anonymous", "per_listener_settings")
    assert not [line for line in lines if line.startswith(old)]
    same_port = (("listener", "8883", main.path),)
    newer = replace(newer, main=replace(main, settings=same_port))
    with pytest.raises(ConfigError, match="cannot be made") as caught:
        render_broker_files(newer)
    assert "listens on port 8883 too" in caught.value.why


def test_main_file_of_others_is_refused_and_names_its_folder(
    plan: BrokerPlan, tmp_path: Path
) -> None:
    debian(tmp_path)
    texts = render_broker_files(replace(plan, folder=tmp_path))
    with pytest.raises(ConfigError, match="exists already") as caught:
        write_broker_files(texts, is_forced=False, is_dry_run=False)
    assert (
        caught.value.fix == f"Give --out {tmp_path}/conf.d, which this file includes."
    )


def test_access_list_grows_by_stations_until_a_person_changes_it(
    plan: BrokerPlan,
) -> None:
    def write(*stations: str) -> str:
        texts = render_broker_files(replace(plan, stations=stations))
        grown = (plan.acl,) if stations_of(plan.acl, "collector") else ()
        write_broker_files(texts, is_forced=False, is_dry_run=False, grown=grown)
        return plan.acl.read_text()

    first = write("a/b/c")
    assert "user a/b/c\ntopic write graftline/a/b/c/status\n" in first
    assert "user a/b/c/model\ntopic read graftline/a/b/c/model/desired\n" in first
    assert stations_of(plan.acl, "collector") == ("a/b/c",)
    assert write("a/b/c", "a/b/d").startswith(first)
    assert plan.acl.stat().st_mode & 0o777 == 0o600
    plan.acl.write_text(plan.acl.read_text() + "topic read #\n")
    assert stations_of(plan.acl, "collector") == ()
    with pytest.raises(ConfigError, match=r"stations\.acl"):
        write("a/b/e")


def test_every_right_of_the_patterns_is_in_the_block_of_a_station(
    plan: BrokerPlan,
) -> None:
    lines = lines_of(replace(plan, stations=("a/b/c",)), "stations.acl")
    patterns = [line.split()[1:] for line in lines if line.startswith("pattern")]
    start = lines.index("user a/b/c")
    block = [line.split()[1:] for line in lines[start:] if line.startswith("topic")]
    of_station = [[r, t.replace("%u", "a/b/c")] for r, t in patterns[:-2]]
    of_agent = [[r, t.replace("%u", "a/b/c/model")] for r, t in patterns[-2:]]
    assert block == of_station + of_agent
