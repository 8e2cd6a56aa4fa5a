import pytest
from pydantic import ValidationError

from edge.config.monitoring import HomeAssistantSettings, MetricsSettings


def test_metrics_are_off_and_local_by_default() -> None:
    settings = MetricsSettings()
    assert (settings.port, settings.listen) == (0, "127.0.0.1")


@pytest.mark.parametrize("prefix", ["", "/ha", "ha/", "ha//x", "ha/+", "ha/#"])
def test_discovery_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError):
        HomeAssistantSettings(prefix=prefix)
