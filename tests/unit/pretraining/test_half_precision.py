"""Weights become float16 where it can hold them."""

import torch

from pretraining.half_precision import to_half


def test_weights_become_float16_and_counters_stay() -> None:
    state = {"a.weight": torch.ones(3), "a.num_batches_tracked": torch.tensor(7)}
    halves = to_half(state)
    assert halves["a.weight"].dtype is torch.float16
    assert halves["a.num_batches_tracked"].dtype is torch.int64


def test_value_too_large_for_float16_stays_float32() -> None:
    value = torch.tensor([1.0, 1e5])
    assert torch.equal(to_half({"a.running_var": value})["a.running_var"], value)


def test_variance_too_small_for_float16_stays_float32() -> None:
    small = torch.tensor([1.0, 3e-5])
    halves = to_half({"a.running_var": small, "a.weight": small})
    assert torch.equal(halves["a.running_var"], small)
    assert halves["a.weight"].dtype is torch.float16
    unused = torch.tensor([1.0, 0.0])  # of a channel that is always zero: exact
    assert to_half({"a.running_var": unused})["a.running_var"].dtype is torch.float16
