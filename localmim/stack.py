"""Which OpenMMLab packages are installed, and whether localmim works with them.

Two families provide the same modules (mmengine, mmcv, mmpretrain): OpenMMLab's own packages and
OneDL's maintained forks. Either works; both in one environment overwrite each other's files.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import metadata

from packaging.version import Version

# Distribution -> (lowest version that works, first version that is not known to).
STACKS = {
    "onedl": {
        "onedl-mmengine": ("0.10.12", "0.11"),
        "onedl-mmcv": ("2.3.6", "2.4"),
        "onedl-mmpretrain": ("1.3.6", "1.4"),
    },
    "openmmlab": {
        "mmengine": ("0.10.7", "0.11"),
        "mmcv": ("2.1.0", "2.3"),
        "mmpretrain": ("1.2.0", "1.3"),
    },
}
# First version of transformers beside which mmpretrain's multimodal models do not import.
TRANSFORMERS_LIMITS = {"onedl": "5", "openmmlab": "4.52"}
INSTALL = {
    "onedl": "pip install onedl-mmengine==0.10.12 onedl-mmcv==2.3.6 onedl-mmpretrain==1.3.6",
    "openmmlab": "pip install mmengine==0.10.7 mmcv-lite==2.1.0 mmpretrain==1.2.0 'setuptools<82'",
}


def installed_versions() -> dict[str, str]:
    """Versions of the distributions of both families, and of transformers, that are installed.

    ``mmcv-lite``, OpenMMLab's mmcv without compiled operators, counts as ``mmcv``.
    """
    versions = {}
    names = [name for stack in STACKS.values() for name in stack]
    for name in [*names, "mmcv-lite", "transformers"]:
        try:
            versions[name.removesuffix("-lite")] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def check_stack(versions: Mapping[str, str]) -> str:
    """Check the installed versions and say which family they are.

    Args:
        versions: distribution name -> version, of what is installed of :data:`STACKS` and of
            transformers.

    Returns:
        "onedl" or "openmmlab".

    Raises:
        ImportError: a package is missing or has a version that localmim does not support; the
            message has the command that installs what is needed.
    """
    present = {
        family: [name for name in stack if name in versions] for family, stack in STACKS.items()
    }
    family = max(present, key=lambda name: len(present[name]))
    if all(present.values()):
        names = ", ".join(name for stack in present.values() for name in stack)
        warnings.warn(
            f"packages of both families are installed ({names}); they provide the same modules "
            "and overwrite each other's files. Use an environment of its own for one of them. "
            f"Going on with {family}.",
            stacklevel=2,
        )
    problems = []
    for name, (lowest, limit) in STACKS[family].items():
        found = versions.get(name)
        if found is None:
            problems.append(f"{name} is not installed")
        elif not Version(lowest) <= Version(found) < Version(limit):
            problems.append(f"{name} {found} is installed, >={lowest},<{limit} is needed")
    if problems:
        raise ImportError(
            f"localmim needs mmengine, mmcv and mmpretrain: {'; '.join(problems)}. "
            f"Install them with: {INSTALL[family]}"
        )
    return family


def leave_out_multimodal(versions: Mapping[str, str]) -> None:
    """Keep mmpretrain from importing its multimodal models where transformers is too new for them.

    To be called before anything imports mmpretrain.models, which would fail. Configs that name one
    of those models get mmpretrain's own error then; nothing else is affected.

    Args:
        versions: as for :func:`check_stack`.
    """
    transformers, limit = versions.get("transformers"), TRANSFORMERS_LIMITS[check_stack(versions)]
    if transformers is None or Version(transformers) < Version(limit):
        return
    from mmpretrain.utils import dependency

    if dependency.WITH_MULTIMODAL:
        dependency.WITH_MULTIMODAL = False
        warnings.warn(
            f"transformers {transformers} is installed, beside which mmpretrain's multimodal "
            f"models do not import (transformers<{limit} would do): they are left out",
            stacklevel=2,
        )


@contextmanager
def debugging_hints_left_out() -> Iterator[None]:
    """For imports of data sets within: without what they print of an optional package.

    "Could not import OneDL" is meant for debugging, and misleads whoever has OneDL's packages.
    """
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if not line.startswith("Could not import OneDL"):
                print(line)


def import_mmpretrain() -> None:
    """Import mmpretrain's data sets."""
    with debugging_hints_left_out():
        import mmpretrain.datasets  # noqa: F401
