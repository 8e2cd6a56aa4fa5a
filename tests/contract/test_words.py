"""Names and words of the product (``style.md`` S3, S9): one meaning, plain English."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from tests.contract.laws import REPOSITORY, Finding, Source, our_sources

# What a maintainer of tuf or httpx would not write, with what stands for it.
BANNED_WORDS = {
    "told": "reported, sent",
    "tell": "report, send",
    "tells": "reports, sends",
    "anew": "again",
    "nobody": "no ...",
    "whoever": "who, any ... that",
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "luck": "noise",
    "wish": "option",
    "wishes": "options",
    "goodbye": "last message",
}
BANNED_PHRASES = ("it is so", "last word", "a word", "words of", "own word", "word on")
# Written into files and messages since 0.1; readers depend on them.
STORED_WORDS = {
    ("deploy/results.py", "mended"),
    ("trainer/study/folds.py", "wishes"),
    ("trainer/study/trainings.py", "wishes"),
}
SECTIONS = ("Args:", "Attributes:", "Returns:", "Yields:", "Raises:")


@cache
def published_text() -> str:
    """Return the JSON Schemas: their descriptions change with their version only."""
    files = sorted((REPOSITORY / "schemas").glob("*.json"))
    return "\n".join(file.read_text("utf-8") for file in files)


def duplicate_types(sources: Sequence[Source]) -> list[str]:
    """Return each public class or type alias that two modules define."""
    places = defaultdict(list)
    for source in sources:
        for node in source.tree.body:
            name = type_name(node)
            if name and not name.startswith("_"):
                places[name].append(f"{source.path}:{node.lineno}")
    return [
        f"{name}: {', '.join(where)}" for name, where in places.items() if where[1:]
    ]


def type_name(node: ast.stmt) -> str:
    """Return the name that a class or an alias in CamelCase is defined under."""
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        is_alias = isinstance(
            node.value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute
        )
        if is_alias and re.fullmatch(r"[A-Z][a-z]\w*", name):
            return name
    return ""


def prose(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every comment and every string of a file with its line."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    for token in tokens:
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def find_banned_words(source: Source) -> Iterator[Finding]:
    pattern = re.compile(rf"\b({'|'.join(BANNED_WORDS)})\b", re.IGNORECASE)
    phrases = re.compile(rf"\b({'|'.join(BANNED_PHRASES)})\b", re.IGNORECASE)
    for line, text in prose(source):
        if text.strip(' "') in published_text():
            continue
        for found in pattern.finditer(text):
            word = found.group(1)
            if (str(source.path), word) not in STORED_WORDS:
                yield line, f"{word!r}: write {BANNED_WORDS[word.lower()]}"
        for found in phrases.finditer(text):
            yield line, f"{found.group(1)!r} is no plain English"


def find_banned_identifiers(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        name = (
            getattr(node, "name", None)
            or getattr(node, "attr", None)
            or getattr(node, "arg", None)
            or getattr(node, "id", None)
        )
        if isinstance(name, str):
            for part in name.lower().split("_"):
                if part in BANNED_WORDS:
                    yield getattr(node, "lineno", 0), f"{name}: {BANNED_WORDS[part]}"


def find_empty_entries(source: Source) -> Iterator[Finding]:
    """Yield entries of ``Args`` and ``Attributes`` that begin with "Of"."""
    for node in ast.walk(source.tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            section = ""
            for text in (ast.get_docstring(node) or "").splitlines():
                if text.strip() in SECTIONS:
                    section = text.strip()
                elif section in SECTIONS[:2] and re.match(r"    \w+: Of\b", text):
                    yield getattr(node, "lineno", 1), text.strip()


@pytest.mark.parametrize(
    "find", [find_banned_words, find_banned_identifiers, find_empty_entries]
)
def test_product_is_written_in_plain_english(find: object) -> None:
    assert callable(find)
    findings = [
        f"{source.path}:{line}: {text}"
        for source in our_sources()
        for line, text in find(source)
    ]
    assert not findings, "\n".join(["", *findings])


def test_public_type_is_defined_once() -> None:
    assert not duplicate_types(our_sources())


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs"])
def test_pages_are_written_in_plain_english(page: str) -> None:
    place = REPOSITORY / page
    files = [place] if place.is_file() else sorted(place.rglob("*.md"))
    pattern = re.compile(rf"\b({'|'.join(BANNED_WORDS)})\b", re.IGNORECASE)
    findings = [
        f"{file.relative_to(REPOSITORY)}:{number}: {found.group(1)}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        for found in pattern.finditer(line)
    ]
    assert files
    assert not findings, "\n".join(["", *findings])


def test_type_that_is_defined_twice_is_found() -> None:
    sources = [
        Source.at("edge/a.py", "class Limits: pass\n"),
        Source.at("trainer/b.py", "Limits = tuple[float, float]\n"),
        Source.at("models/c.py", "class _Limits: pass\nLIMITS = list[int]\n"),
    ]
    assert duplicate_types(sources) == ["Limits: edge/a.py:1, trainer/b.py:1"]


@pytest.mark.parametrize(
    "text",
    [
        '"""Nobody is told."""\n',
        "x = 1  # written anew\n",
        'raise ValueError("Mend it.")\n',
        'x = "1 = it is so."\n',
    ],
)
def test_banned_word_is_found(text: str) -> None:
    assert list(find_banned_words(Source.at("edge/a.py", text)))


def test_word_that_only_contains_a_banned_one_is_lawful() -> None:
    text = '"""A password, a keyword; the recommended foretold commendation."""\n'
    assert not list(find_banned_words(Source.at("edge/a.py", text)))


@pytest.mark.parametrize(
    "text", ["told = 1\n", "def tell_all(): pass\n", "f(wishes=1)\n", "x.luck = 2\n"]
)
def test_banned_identifier_is_found(text: str) -> None:
    assert list(find_banned_identifiers(Source.at("edge/a.py", text)))


def test_entry_without_information_is_found() -> None:
    text = 'def f(path):\n    """A.\n\n    Args:\n        path: Of the file.\n    """\n'
    assert list(find_empty_entries(Source.at("edge/a.py", text)))
    text = text.replace("Of the file.", "Absolute; must exist.")
    assert not list(find_empty_entries(Source.at("edge/a.py", text)))
