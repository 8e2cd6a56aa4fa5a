"""A line PC behind a real sshd is set up from a wheelhouse, and again."""

import json
from pathlib import Path

import pytest

from tests.command import graftline
from tests.simulators.sshd import SimSshd
from tests.simulators.wheelhouse import make_small_wheelhouse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_line_pc_behind_ssh_is_set_up_updated_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_small_wheelhouse(tmp_path / "old", "1.0")
    new = make_small_wheelhouse(tmp_path / "new", "1.1")
    with SimSshd() as line_pc:
        line_pc.use(monkeypatch)
        root = line_pc.home / "root"
        target = f"ssh://{line_pc.user}@127.0.0.1:{line_pc.port}"

        def provision(wheelhouse: Path) -> tuple[dict[str, object], str]:
            words = ("provision", target, "--wheelhouse", wheelhouse, "--root", root)
            answer = graftline(*words, "--station", "a/b/c", "--json", cwd=tmp_path)
            assert answer.code == 0, answer.errors
            return json.loads(answer.output), answer.errors

        first, steps = provision(old)
        assert (first["graftline"], first["is_new_config"]) == ("1.0", True)
        assert "the line PC has 0 others" in steps
        second, _ = provision(new)
        assert (second["graftline"], second["is_new_config"]) == ("1.1", False)
        again, steps = provision(new)
        assert again["before"] == again["version"]
        assert "send: 0 files" in steps
        assert (root / "etc/systemd/system/graftline-edge.service").is_file()
