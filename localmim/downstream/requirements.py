"""What mmseg and mmdet need before they can be imported."""

from importlib import import_module

from localmim.stack import check_stack, installed_versions

PACKAGES = {
    ("onedl", "mmseg"): "onedl-mmsegmentation==1.4.2 ftfy prettytable regex",
    ("onedl", "mmdet"): "onedl-mmdetection==3.5.1 imaug pycocotools shapely six terminaltables",
    ("openmmlab", "mmseg"): "mmsegmentation==1.2.2 ftfy prettytable regex",
    ("openmmlab", "mmdet"): "mmdet==3.3.0 pycocotools shapely six terminaltables",
}


def demand(library: str) -> None:
    """Make sure that a library of OpenMMLab can be imported.

    Args:
        library: "mmseg" or "mmdet".

    Raises:
        ImportError: it cannot; the message has the command that installs it.
    """
    try:
        for part in ("models", "datasets"):
            import_module(f"{library}.{part}")
    except ImportError as error:
        family = check_stack(installed_versions())
        raise ImportError(
            f"{library} cannot be imported ({error}). It is installed with: pip install --no-deps "
            f"{PACKAGES[family, library]}"
        ) from error
