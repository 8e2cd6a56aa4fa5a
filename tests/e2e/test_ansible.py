"""The role and the inventory with a real ansible-core.

It is not part of the environment of the tests: `make ansible-env` makes one for it, and
without that the tests are left out.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.fleet.groups import read_groups
from tests.simulators.packages import make_package

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

PLANT = """
[all.vars]
graftline_window = "22:00-05:00"
[plant]
children = ["hall_1", "hall_2"]
vars = { of_plant = 1, graftline_window = "21:00-05:00" }
[hall_1]
vars = { of_hall = 1 }
[hall_1.hosts]
pc1 = { graftline_target = "local:pcs/1" }
"pc[08:10:2].plant:2222" = { own = 1 }
[hall_2]
vars = { of_hall = 2, ansible_group_priority = 5 }
[hall_2.hosts]
pc1 = {}
pc3 = { graftline_window = ["Sat 06:00-18:00"] }
[spare]
vars = { of_hall = 3 }
[spare.hosts]
pc1 = {}
pc3 = {}
"""


@pytest.fixture(scope="module")
def programs(repository: Path) -> Path:
    place = Path(
        os.environ.get("GRAFTLINE_ANSIBLE", repository / "build" / "ansible-env")
    )
    if not (place / "bin" / "ansible-playbook").exists():
        pytest.skip("needs ansible-core (make ansible-env)")
    return place / "bin"


def run(folder: Path, *words: object, **variables: str) -> str:
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "ANSIBLE_HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ansible_reads_the_same_variables(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "plant.toml").write_text(PLANT)
    arguments = ("-i", "plant.toml", "--list")
    document = json.loads(run(tmp_path, programs / "ansible-inventory", *arguments))
    groups = read_groups(tomllib.loads(PLANT))
    assert not groups.faults
    ours = {host: groups.variables_of(host) for host in groups.hosts}
    theirs = document["_meta"]["hostvars"]
    # Ansible itself reads the priority, and does not list it.
    for variables in ours.values():
        variables.pop("ansible_group_priority", None)
    assert ours == theirs


def test_role_flashes_line_pcs_and_changes_nothing_the_second_time(
    programs: Path, repository: Path, tmp_path: Path
) -> None:
    make_package(tmp_path / "plate")
    (tmp_path / "pcs").mkdir()
    text = '[hall.hosts]\npc1 = { graftline_target = "local:pcs/1" }\n'
    (tmp_path / "plant.toml").write_text(text)
    variables = {
        "graftline_command": [sys.executable, "-P", "-m", "graftline"],
        "graftline_package": "plate",
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    playbook = repository / "deploy" / "templates" / "ansible" / "flash.yml"
    arguments = (playbook, "-i", "plant.toml", "-e", "@variables.json")
    environment = {
        "GRAFTLINE_KEYS": str(tmp_path / "keys"),
        "PYTHONPATH": str(repository),
    }
    first, second = (
        run(tmp_path, programs / "ansible-playbook", *arguments, **environment)
        for _ in range(2)
    )
    assert "committed" in first
    assert "changed=1" in first
    assert "already-in-force" in second
    assert "changed=0" in second
