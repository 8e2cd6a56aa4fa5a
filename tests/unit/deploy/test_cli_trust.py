"""Arguments, output and exit codes of ``keys``, ``sign`` and ``enroll``."""

import io
import json
from pathlib import Path

import pytest

from graftline import main
from models.errors import ConfigError, ExitCode, InstallError
from models.package import Package

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "default"))
    return tmp_path / "default"


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\nnot this line\n")
    file.chmod(0o600)
    return file


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_from_keys_to_an_enrolled_slot(
    tmp_path: Path,
    passphrase: Path,
    builds: list[Package],
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys, slot = tmp_path / "keys", f"local:{tmp_path / 'slot'}"
    secret = ("--keys", keys, "--passphrase-file", passphrase)
    assert run("keys", "init", "--out", keys, *secret[2:]) == 0
    assert run("sign", builds[0].folder, "--out", tmp_path / "release", *secret) == 0
    assert run("enroll", slot, *secret) == 0
    printed = capsys.readouterr().out
    assert "signed: bright-cells build 1" in printed
    assert f"enrolled: {slot} trusts root 1" in printed
    assert run("enroll", slot, *secret) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_json_of_each_verb_is_one_document(
    tmp_path: Path, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    def document(*words: object) -> dict[str, object]:
        assert run(*words, "--json") == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    made = document("keys", "init", "--no-passphrase")
    signed = document("sign", builds[0].folder, "--out", tmp_path / "release")
    shown = document("keys", "show")
    enrolled = document("enroll", f"local:{tmp_path / 'slot'}")
    assert made["fingerprint"] == signed["fingerprint"] == enrolled["fingerprint"]
    assert enrolled["outcome"] == "enrolled"
    roles = shown["roles"]
    assert isinstance(roles, dict)
    assert set(roles) == {"root", "targets", "snapshot", "timestamp"}
    assert str(shown["packages"]).count(builds[0].sha256) == 1
    rotated = document("keys", "rotate")
    assert rotated["root_version"] == 2
    key_id = roles["targets"]["keys"][0]["id"]
    assert document("keys", "revoke", key_id[:16])["packages"]
    revoked = document("keys", "rotate", "--role", "targets")
    assert revoked["root_version"] == 3


def test_root_of_keys_enrolls_a_line_pc_without_the_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("keys", "init", "--no-passphrase")
    root, slot = tmp_path / "root.json", f"local:{tmp_path / 'slot'}"
    assert run("keys", "show", "--root", root) == 0
    assert b"PRIVATE" not in root.read_bytes()
    wrong = run("enroll", slot, "--root", root, "--fingerprint", "abc")
    assert wrong == InstallError.exit_code
    assert run("enroll", slot, "--root", root) == 0
    assert "fingerprint" in capsys.readouterr().err


def test_keys_need_a_passphrase_or_the_request_for_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run("keys", "init", "--out", tmp_path / "keys") == ConfigError.exit_code
    assert "--passphrase-file FILE" in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()


def test_short_passphrase_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "short"
    file.write_text("secret\n")
    tmp_path.chmod(0o755)
    file.chmod(0o644)
    code = run("keys", "init", "--passphrase-file", file)
    assert code == ConfigError.exit_code
    printed = capsys.readouterr().err
    assert "Expected at least 10" in printed
    assert "other users may read this passphrase" in printed


def test_passphrase_that_is_typed_twice_differently_makes_nothing(
    default_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["correct horse battery", "correct horse batter"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert run("keys", "init") == ConfigError.exit_code
    assert not default_folder.exists()


def test_passphrase_is_asked_on_a_terminal(
    default_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        "getpass.getpass", lambda question: asked.append(question) or PASSPHRASE
    )
    assert run("keys", "init") == 0
    assert run("keys", "rotate") == 0
    assert len(asked) == 3
    assert len(list(default_folder.glob("repository/*.root.json"))) == 2


def test_failures_are_errors_with_a_fix(
    tmp_path: Path, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ("sign", builds[0].folder, "--out", tmp_path / "release"),
        ("keys", "show"),
        ("enroll", "local:/nowhere"),
        ("enroll", f"local:{tmp_path / 'slot'}", "--root", tmp_path / "none"),
        ("keys", "show", "--passphrase-file", tmp_path / "none", "--keys", tmp_path),
        ("keys", "init", "--no-passphrase", "--threshold", "2"),
    ):
        assert run(*words) == ConfigError.exit_code, words
        assert "Fix: " in capsys.readouterr().err, words


def test_action_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("keys")
    assert caught.value.code == ExitCode.USAGE
