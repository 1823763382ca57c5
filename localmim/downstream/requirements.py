"""What mmseg and mmdet need before they can be imported."""

from importlib import import_module

from localmim.stack import check_stack, installed_versions

PACKAGES = {
    ("onedl", "mmseg"): "onedl-mmsegmentation==1.4.2 ftfy prettytable regex",
    ("onedl", "mmdet"): "onedl-mmdetection==3.5.1 imaug pycocotools shapely six terminaltables",
    ("openmmlab", "mmseg"): "mmsegmentation==1.2.2 ftfy prettytable regex",
    ("openmmlab", "mmdet"): "mmdet==3.3.0 pycocotools shapely six terminaltables",
}
MMCV = {"onedl": "onedl-mmcv==2.3.6", "openmmlab": "mmcv==2.1.0"}


def demand(library: str) -> None:
    """Make sure that a library of OpenMMLab can be imported.

    Args:
        library: "mmseg" or "mmdet".

    Raises:
        ImportError: it is not installed, or mmcv lacks the compiled operators that it needs; the
            message has the commands that install them.
    """
    try:
        for part in ("models", "datasets"):
            import_module(f"{library}.{part}")
    except ImportError as error:
        family = check_stack(installed_versions())
        if "mmcv._ext" in str(error):
            raise ImportError(
                f"{library} needs mmcv's compiled operators, which the installed mmcv lacks. "
                "Building them takes a C++ compiler and about 10 minutes on 2 cores: pip install "
                "ninja psutil 'setuptools<82' wheel && pip uninstall --yes mmcv-lite && "
                "MMCV_WITH_OPS=1 pip install --no-deps "
                f"--no-build-isolation --no-cache-dir --force-reinstall {MMCV[family]}"
            ) from error
        raise ImportError(
            f"{library} cannot be imported ({error}). It is installed with: pip install --no-deps "
            f"{PACKAGES[family, library]}"
        ) from error
