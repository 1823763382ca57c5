"""What mmseg and mmdet need before they can be imported."""

from importlib import import_module

from localmim.stack import check_stack, debugging_hints_left_out, installed_versions

EXTRAS = {"onedl": "downstream", "openmmlab": "openmmlab-downstream"}


def demand(library: str) -> None:
    """Make sure that a library of OpenMMLab can be imported.

    Args:
        library: "mmseg" or "mmdet".

    Raises:
        ImportError: it cannot; the message has the command that installs it.
    """
    try:
        with debugging_hints_left_out():
            for part in ("models", "datasets"):
                import_module(f"{library}.{part}")
    except ImportError as error:
        family = check_stack(installed_versions())
        raise ImportError(
            f"{library} cannot be imported ({error}). It comes with localmim[{EXTRAS[family]}]: in "
            f"a clone, pip install '.[{EXTRAS[family]}]'"
        ) from error


def demand_operators() -> None:
    """Make sure that mmdet found mmcv's operators when it was imported.

    OneDL's replaces those that are not there by functions that raise, once and for all.

    Raises:
        ImportError: it did not; the message says what to import first.
    """
    needed = import_module("mmcv.ops.roi_align").roi_align
    if import_module("mmdet.structures.mask.structures").roi_align is not needed:
        raise ImportError(
            "mmdet or mmpretrain was imported before localmim, which stands in for mmcv's compiled "
            "operators: import localmim first, as tools/train.py and tools/test.py do"
        )
