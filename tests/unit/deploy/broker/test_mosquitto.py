"""The mosquitto of this machine, with a program that answers as version 2.1.2 does."""

from pathlib import Path

import pytest

from deploy.broker.mosquitto import (
    InstalledBroker,
    fault_of,
    find_acl_plugin,
    main_file_of,
)

# As mosquitto 2.1.2 of Debian: it saves its database at the end of a test.
PROGRAM = """#!/bin/sh
location=$(sed -n 's/^persistence_location //p' "$2")
echo empty > "${location:-./}mosquitto.db"
if grep -rq nonsense "$2" $(sed -n 's/^include_dir //p' "$2"); then
    echo "1796021654: Error: Unknown configuration variable 'nonsense'." >&2
    echo "1796021654: Error found at $2:1." >&2
    exit 3
fi
echo "1796021654: Configuration file is OK." >&2
"""


@pytest.fixture
def broker(tmp_path: Path) -> InstalledBroker:
    program = tmp_path / "mosquitto"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return InstalledBroker(program, (2, 1))


@pytest.fixture
def main(tmp_path: Path) -> Path:
    for name in ("conf.d", "data"):
        (tmp_path / name).mkdir()
    path = tmp_path / "mosquitto.conf"
    lines = [f"persistence_location {tmp_path}/data/", f"include_dir {tmp_path}/conf.d"]
    path.write_text("\n".join(["# comment", *lines, ""]))
    return path


def test_tested_configuration_leaves_the_database_of_the_broker_alone(
    broker: InstalledBroker, main: Path
) -> None:
    database = main.parent / "data" / "mosquitto.db"
    database.write_text("retained messages")
    assert fault_of(broker, main) == ""
    assert database.read_text() == "retained messages"


def test_what_mosquitto_refuses_is_named_with_the_real_files(
    broker: InstalledBroker, main: Path
) -> None:
    (main.parent / "conf.d" / "other.conf").write_text("nonsense 1\n")
    assert fault_of(broker, main) == (
        f"Error: Unknown configuration variable 'nonsense'. Error found at {main}:1."
    )


def test_older_mosquitto_cannot_test_and_finds_nothing(
    broker: InstalledBroker, main: Path
) -> None:
    main.write_text("nonsense 1\n")
    assert fault_of(InstalledBroker(broker.program, (2, 0)), main) == ""


def test_folder_is_included_only_where_the_file_beside_it_names_it(main: Path) -> None:
    folder = main.parent / "conf.d"
    (folder / "other.conf").write_text("listener 1883\n# acl_file /x\n")
    (folder / "graftline.conf").write_text("listener 8883\n")
    found = main_file_of(folder, "graftline.conf")
    assert found is not None
    assert ("listener", "1883", folder / "other.conf") in found.settings
    assert not [value for _, value, _ in found.settings if value == "8883"]
    assert found.files_with("persistence_location") == [main]
    assert main_file_of(main.parent / "data", "graftline.conf") is None
    assert main_file_of(main.parent / "conf.d" / "deeper", "graftline.conf") is None


def test_plugin_is_found_where_debian_has_it(tmp_path: Path) -> None:
    assert find_acl_plugin(tmp_path) is None
    folder = tmp_path / "usr/lib/x86_64-linux-gnu/mosquitto"
    folder.mkdir(parents=True)
    (folder / "mosquitto_acl_file.so").touch()
    assert find_acl_plugin(tmp_path) == folder / "mosquitto_acl_file.so"
