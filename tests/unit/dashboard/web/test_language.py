from typing import Any

import pytest

from dashboard.web.language import DEFAULT, Language, languages


def keys_of(texts: Any) -> set[str]:
    return {f"{area}.{key}" for area, found in texts.items() for key in found}


def braces_of(text: Any) -> set[str]:
    forms = text.values() if isinstance(text, dict) else [text]
    return {
        each.partition("}")[0] for form in forms for each in form.split("{")[1:]
    } - {"n"}


@pytest.mark.parametrize("code", sorted(languages()))
def test_language_has_every_text_with_the_same_values(code: str) -> None:
    english, other = languages()[DEFAULT], languages()[code]
    assert keys_of(other.texts) == keys_of(english.texts)
    for area, texts in english.texts.items():
        for key, text in texts.items():
            assert braces_of(other.texts[area][key]) == braces_of(text), key


def test_form_is_chosen_by_the_number() -> None:
    texts = {"x": {"alerts": {"one": "{n} alert", "other": "{n} alerts"}}}
    language = Language("xx", texts)
    assert language.text("x.alerts", n=1) == "1 alert"
    assert language.text("x.alerts", n=2) == "2 alerts"


def test_missing_text_is_shown_in_english() -> None:
    assert Language("xx", {}).text("common.alerts") == "Alerts"
