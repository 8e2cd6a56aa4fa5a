"""Commands, links and numbers of the documents are the real ones."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from graftline import VERBS
from tests.contract.laws import REPOSITORY

PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "requirements/*.md", "bench/*.md")
    for page in REPOSITORY.glob(pattern)
)
HAND_WRITTEN = [page for page in PAGES if page.name != "commands.md"]


def page_name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def typed_commands(text: str) -> list[list[str]]:
    """Return every command in a code block or between backticks, split by ``shlex``."""
    fenced = re.findall(
        r"^```(?:sh|bash|console|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    lines = [
        line for block in fenced for line in re.sub(r"\\\n", " ", block).split("\n")
    ]
    lines += re.findall(r"`((?:graftline|make) [^`\n]+)`", text)
    commands = []
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and ("=" in words[0] or words[0] == "sudo"):
            words = words[1:]
        if words and Path(words[0]).name in {"graftline", "make"}:
            commands.append(words)
    return commands


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "write_reference", REPOSITORY / "docs" / "write_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_verbs() -> set[str]:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def complaints(text: str, reference: ModuleType) -> list[str]:
    """Return every command of a page that could not be typed."""
    found = []
    names = {verb.name for verb in VERBS}
    actions = {verb.name: verb.actions for verb in VERBS}
    for program, *words in typed_commands(text):
        options = {w.partition("=")[0] for w in words if re.match(r"--[a-z]", w)}
        verb = next((w for w in words if re.fullmatch(r"[a-z][a-z-]*", w)), "")
        if Path(program).name == "make":
            targets = {w for w in words if re.fullmatch(r"[a-z-]+", w)}
            found += [f"make {t}: no such verb" for t in targets - make_verbs()]
        elif verb and verb not in names:
            found.append(f"graftline {verb}: no such verb")
        elif options:
            action = [w for w in words if w in actions.get(verb, ())][:1]
            known = reference.help_of(*([verb, *action] if verb else []))
            found += [
                f"graftline {verb} {option}: no such option"
                for option in options
                if not re.search(rf"{option}(?![a-z-])", known)
            ]
    return found


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=page_name)
def test_every_command_of_the_page_can_be_typed(
    page: Path, reference: ModuleType
) -> None:
    assert not complaints(page.read_text("utf-8"), reference)


@pytest.mark.parametrize(
    "text",
    [
        "```sh\ngraftline trian data --out run\n```",
        "use `make everything` first",
        "```sh\n$ graftline --frobnicate\n```",
        "see `graftline check --no-such-option`",
        "see `graftline keys show --threshold 2`",
    ],
)
def test_command_that_does_not_exist_is_found(text: str, reference: ModuleType) -> None:
    assert complaints(text, reference)


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=page_name)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    lost = [link for link in inside if not (page.parent / link).exists()]
    assert not lost


def test_reference_of_the_commands_is_what_they_print(reference: ModuleType) -> None:
    stored = (REPOSITORY / "docs/reference/commands.md").read_text("utf-8")
    # Only the line breaks of usage differ between versions of Python.
    assert stored.split() == reference.commands_page().split(), "run: make docs"


def build_site(
    repository: Path, folder: Path, **added: str
) -> subprocess.CompletedProcess[str]:
    """Build the site of a copy of the documents, with text added to some pages."""
    for name in ("docs", "bench"):
        shutil.copytree(repository / name, folder / name, dirs_exist_ok=True)
    shutil.copy(repository / "mkdocs.yml", folder)
    for page, text in added.items():
        with (folder / "docs" / page).open("a", encoding="utf-8") as file:
            file.write(text)
    return subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build"],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_site_is_built_without_a_broken_link(repository: Path, tmp_path: Path) -> None:
    result = build_site(repository, tmp_path)
    assert result.returncode == 0, result.stderr
    site = tmp_path / "build" / "site"
    page = (site / "benchmarks.html").read_text("utf-8")
    assert 'href="files/bench/results/demo.json"' in page
    assert (site / "files" / "bench" / "results" / "demo.json").is_file()
    outside = re.findall(r'(?:src|href)="(https?://[^"]+)"', page)
    assert [url for url in outside if "squidfunk" not in url] == []


def test_broken_link_fails_the_site(repository: Path, tmp_path: Path) -> None:
    added = {"how-to/regions.md": "\n[x](../no/such.md)\n"}
    result = build_site(repository, tmp_path, **added)
    assert result.returncode != 0
    assert "no/such.md" in result.stderr


def test_index_leads_to_the_four_groups(repository: Path) -> None:
    page = (repository / "docs" / "index.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["Tutorials", "How-to guides", "Reference", "Explanation"]


def test_readme_is_short(repository: Path) -> None:
    assert (repository / "README.md").read_text("utf-8").count("\n") <= 130


def test_every_row_of_the_benchmarks_names_its_file(repository: Path) -> None:
    page = (repository / "docs" / "benchmarks.md").read_text("utf-8")
    for section in page.split("\n## ")[1:]:
        rows = re.findall(r"^\|(?!--)(.+)\|$", section, re.MULTILINE)[1:]
        named = re.search(r"^File: \[", section, re.MULTILINE)
        for row in rows:
            assert named or ".json)" in row or "the same |" in f"{row}|", row


def test_page_of_the_slot_states_is_drawn_from_the_table(reference: ModuleType) -> None:
    stored = (REPOSITORY / "docs/reference/slot-states.md").read_text("utf-8")
    assert stored == reference.slot_states_page()


def test_limits_on_the_page_of_trials_are_those_of_the_code(
    reference: ModuleType,
) -> None:
    stored = reference.TRIAL_PAGE.read_text("utf-8")
    assert stored == reference.trial_page()
    assert "| outputs with NaN or infinity | none |" in stored


def test_every_decision_record_has_its_four_parts() -> None:
    parts = ("Context", "Options", "Outcome", "Negative consequences")
    for page in (REPOSITORY / "docs" / "adr").glob("[0-9]*.md"):
        headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
        assert headings == list(parts), page.name
