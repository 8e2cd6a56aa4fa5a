"""Weights outside of an ONNX file are found wherever a tensor may be."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.onnx_file import has_external_data

VALUE = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])


def tensor(*, is_external: bool) -> onnx.TensorProto:
    made = numpy_helper.from_array(np.ones(2, np.float32), "w")
    if is_external:
        made.ClearField("raw_data")
        made.data_location = onnx.TensorProto.EXTERNAL
        made.external_data.add(key="location", value="weights.bin")
    return made


def in_initializer(data: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return helper.make_model(helper.make_graph([node], "g", [VALUE], [], [data]))


def in_constant(data: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=data)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def in_branch(data: onnx.TensorProto) -> onnx.ModelProto:
    branch = in_constant(data).graph
    node = helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    return helper.make_model(helper.make_graph([node], "g", [VALUE], []))


def in_function(data: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=data)
    model = helper.make_model(helper.make_graph([], "g", [], []))
    made = helper.make_function("d", "f", [], ["y"], [node], [])
    model.functions.append(made)
    return model


def in_sparse(data: onnx.TensorProto) -> onnx.ModelProto:
    model = in_initializer(tensor(is_external=False))
    model.graph.sparse_initializer.add(values=data, dims=[2])
    return model


PLACES = [in_initializer, in_constant, in_branch, in_function, in_sparse]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("is_external", [True, False], ids=["outside", "inside"])
def test_weights_in_another_file_are_found(place: object, *, is_external: bool) -> None:
    model = place(tensor(is_external=is_external))  # type: ignore[operator]
    assert has_external_data(model.SerializeToString()) is is_external


@pytest.mark.parametrize("content", [b"\x0f", b"\x3a\x7fabc", b"\xff" * 20])
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        has_external_data(content)


def test_graphs_that_are_nested_too_deep_are_refused() -> None:
    message = b""
    for _ in range(100):
        for key in (0x32, 0x2A, 0x0A):  # graph of an attribute of a node of a graph
            message = bytes([key]) + _size(len(message)) + message
    with pytest.raises(ValueError, match="nested too deep"):
        has_external_data(b"\x3a" + _size(len(message)) + message[:])


def _size(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])
