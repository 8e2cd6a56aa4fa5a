"""Class names keep their order, and each is there once."""

from trainer.data.formats.rows import Annotations


def test_class_names_are_added_once_and_in_order() -> None:
    annotations = Annotations(labels=["b"])
    annotations.add_labels(["a", "b"])
    annotations.add_labels(["c", "a"])
    assert annotations.labels == ["b", "a", "c"]
