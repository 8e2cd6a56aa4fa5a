"""The files of a plant's broker."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.broker_files import (
    BrokerPlan,
    FileOutcome,
    TlsFiles,
    render_broker_files,
    write_broker_files,
)
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
