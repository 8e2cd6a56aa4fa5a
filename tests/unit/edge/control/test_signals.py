"""The first signal requests a stop; the second one is not caught."""

import signal

import pytest

from edge.control.signals import StopSignal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_requests_a_stop_and_is_remembered(number: signal.Signals) -> None:
    stop = StopSignal()
    with stop.listening():
        assert not stop
        signal.raise_signal(number)
        assert stop
    assert stop.signal_number == number


def test_second_signal_has_its_original_effect() -> None:
    stop = StopSignal()
    with stop.listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_handlers_of_before_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal().listening():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
