"""Which commit an installation is of, read without git."""

from pathlib import Path

import pytest

from trainer.fit.provenance import git_revision, library_versions, this_machine

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkout(root: Path, head: str) -> Path:
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text(head + "\n", encoding="utf-8")
    return root / ".git"


def test_branch_is_followed_to_its_commit(tmp_path: Path) -> None:
    git = checkout(tmp_path, "ref: refs/heads/main")
    (git / "refs" / "heads" / "main").write_text(COMMIT + "\n", encoding="utf-8")
    assert git_revision(tmp_path) == COMMIT


def test_packed_branch_is_found(tmp_path: Path) -> None:
    git = checkout(tmp_path, "ref: refs/heads/main")
    packed = f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n"
    (git / "packed-refs").write_text(packed, encoding="utf-8")
    assert git_revision(tmp_path) is None
    (git / "packed-refs").write_text(f"{packed}{COMMIT} refs/heads/main\n", "utf-8")
    assert git_revision(tmp_path) == COMMIT


def test_detached_head_is_its_own_commit(tmp_path: Path) -> None:
    checkout(tmp_path, COMMIT)
    assert git_revision(tmp_path) == COMMIT


def test_worktree_finds_the_branches_of_its_repository(tmp_path: Path) -> None:
    git = checkout(tmp_path / "main", "ref: refs/heads/main")
    (git / "refs" / "heads" / "work").write_text(COMMIT, encoding="utf-8")
    own = git / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/work\n", encoding="utf-8")
    (own / "commondir").write_text("../..\n", encoding="utf-8")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {own}\n", encoding="utf-8")
    assert git_revision(tmp_path / "w") == COMMIT


@pytest.mark.parametrize("head", ["", "ref: refs/heads/gone", "not a commit"])
def test_no_checkout_has_no_revision(tmp_path: Path, head: str) -> None:
    assert git_revision(tmp_path) is None
    checkout(tmp_path, head)
    assert git_revision(tmp_path) is None


def test_machine_and_versions_are_named() -> None:
    assert this_machine().processor
    assert this_machine().threads >= 1
    assert library_versions()["torch"]
