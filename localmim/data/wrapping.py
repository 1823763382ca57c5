"""Data sets inside others that repeat or join them."""

from typing import Any


def innermost_datasets(dataset: Any) -> list[Any]:
    """The data sets that have images, out of what wraps and joins them, in their order."""
    wrapped = vars(dataset)  # wrappers hand on what they do not have
    inner = wrapped.get("datasets") or ([wrapped["dataset"]] if "dataset" in wrapped else [])
    return [x for each in inner for x in innermost_datasets(each)] or [dataset]
