"""Finds tensors in an ONNX file whose data lie in another file, without its library.

A package is verified file by file: data in a file that the manifest does not name would
be loaded without a check. ``graftline pack`` writes none.

Source:
    onnx.proto3 for the field numbers (ModelProto, GraphProto, NodeProto,
    AttributeProto, TensorProto, SparseTensorProto, FunctionProto, TrainingInfoProto);
    the Protocol Buffers encoding guide for the bytes.
"""

from collections.abc import Iterator
from enum import Enum, auto

DEPTH_MAX = 64  # of graphs in graphs; the library allows no more than 100
VARINT_MAX_BYTES = 10
VARINT, FIXED64, BYTES, GROUP_START, GROUP_END, FIXED32 = range(6)
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a TensorProto
EXTERNAL = 1


class _Message(Enum):
    MODEL = auto()
    GRAPH = auto()
    NODE = auto()
    ATTRIBUTE = auto()
    TENSOR = auto()
    SPARSE = auto()
    FUNCTION = auto()
    TRAINING = auto()


M = _Message
# Fields that may hold tensors, at any depth.
_INSIDE = {
    M.MODEL: {7: M.GRAPH, 20: M.TRAINING, 25: M.FUNCTION},
    M.GRAPH: {1: M.NODE, 5: M.TENSOR, 15: M.SPARSE},
    M.NODE: {5: M.ATTRIBUTE},
    M.ATTRIBUTE: {
        5: M.TENSOR,
        6: M.GRAPH,
        10: M.TENSOR,
        11: M.GRAPH,
        22: M.SPARSE,
        23: M.SPARSE,
    },
    M.SPARSE: {1: M.TENSOR, 2: M.TENSOR},
    M.FUNCTION: {7: M.NODE, 11: M.ATTRIBUTE},
    M.TRAINING: {1: M.GRAPH, 2: M.GRAPH},
    M.TENSOR: {},
}


def has_external_data(content: bytes) -> bool:
    """Return whether a tensor of an ONNX file has its data in another file.

    Args:
        content: The whole file.

    Raises:
        ValueError: It is no Protocol Buffers message, or nested too deep.
    """
    waiting = [(M.MODEL, memoryview(content), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise ValueError("nested too deep")
        for field, value in _fields(message):
            if kind is M.TENSOR and _is_external(field, value):
                return True
            inner = _INSIDE[kind].get(field)
            if inner is not None and isinstance(value, memoryview):
                waiting.append((inner, value, depth + 1))
    return False


def _is_external(field: int, value: int | memoryview) -> bool:
    return field == EXTERNAL_DATA or (field == DATA_LOCATION and value == EXTERNAL)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message; groups are looked into."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, wire = key >> 3, key & 7
        if wire in {GROUP_START, GROUP_END}:
            continue
        if wire == VARINT:
            value, place = _varint(message, place)
            yield field, value
            continue
        if wire == BYTES:
            size, place = _varint(message, place)
        elif wire in {FIXED64, FIXED32}:
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"it has a field of the unknown type {wire}")
        if place + size > len(message):
            raise ValueError("it is cut off")
        yield field, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number and the place behind it."""
    number = 0
    for step, byte in enumerate(message[place : place + VARINT_MAX_BYTES]):
        number |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:
            return number, place + step + 1
    raise ValueError("it is cut off")
