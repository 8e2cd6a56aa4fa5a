"""The texts of the pages: one TOML file for each language in ``locales``.

A third language is a file more. A key that a language lacks is shown in English.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request

from models.files import read_regular

LOCALES = Path(__file__).parent / "locales"
DEFAULT = "en"
COOKIE = "language"
FILE_MAX_BYTES = 1024 * 1024

Texts = Mapping[str, Any]


@dataclass(frozen=True)
class Language:
    """The texts of one language.

    Args:
        code: As in the attribute ``lang`` of HTML, for example ``de``.
        texts: By area and key; a text is a string, or the two forms ``one`` and
            ``other`` for a number ``n``.
    """

    code: str
    texts: Texts

    def text(self, key: str, **values: object) -> str:
        """Return a text with its values put in.

        Args:
            key: ``<area>.<key>``.
            values: For the braces in the text; ``n`` also selects the form.

        Raises:
            KeyError: No language has this text.
        """
        area, _, name = key.partition(".")
        found = self.texts.get(area, {}).get(name)
        if found is None:
            found = languages()[DEFAULT].texts[area][name]
        if isinstance(found, dict):
            found = found["one" if values.get("n") == 1 else "other"]
        return str(found).format(**values)

    def area(self, *names: str) -> dict[str, Any]:
        """Return all texts of some areas, for the scripts of a page."""
        english = languages()[DEFAULT].texts
        return {
            name: {**english.get(name, {}), **self.texts.get(name, {})}
            for name in names
        }


@cache
def languages() -> dict[str, Language]:
    """Return all languages, by code."""
    return {
        file.stem: Language(
            file.stem, tomllib.loads(read_regular(file, FILE_MAX_BYTES).decode())
        )
        for file in sorted(LOCALES.glob("*.toml"))
    }


def language_of(request: Request, default: Callable[[], str] = lambda: "") -> Language:
    """Return the language of a request: from ``?lang=``, the cookie, or the browser.

    Args:
        default: Returns the plant's, which counts before the browser's; empty = none.
    """
    known = languages()
    chosen = (request.query_params.get("lang", ""), request.cookies.get(COOKIE, ""))
    if found := next((known[code] for code in chosen if code in known), None):
        return found
    accepted = request.headers.get("accept-language", "").split(",")
    wanted = [
        default(),
        *(each.partition(";")[0].strip().partition("-")[0] for each in accepted),
    ]
    return next((known[code] for code in wanted if code in known), known[DEFAULT])
