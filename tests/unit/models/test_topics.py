"""Names that topics are made of."""

import pytest

from models.errors import ConfigError
from models.topics import NAME_MAX_CHARS, check_name, plain_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Küche oben", "kueche-oben"),
        ("Ku\u0308che", "kueche"),
        ("Smørrebrød/2", "smoerrebroed-2"),
        ("Été+#", "ete"),
        ("日本", ""),
        ("-", ""),
        ("a" * 40, "a" * NAME_MAX_CHARS),
    ],
    ids=["umlaut", "two-characters", "slash", "accent", "no-latin", "dash", "long"],
)
def test_nearest_valid_name_is_found(text: str, name: str) -> None:
    assert plain_name(text) == name
    if name:
        check_name("camera", name)


def test_refused_name_is_answered_with_the_rule_and_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        check_name("site", "Würth")
    assert caught.value.why == "Expected 1 to 32 of a-z, 0-9 and '-'."
    assert caught.value.fix == "Rename the site, for example 'wuerth'."
