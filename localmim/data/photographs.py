"""Real photographs that well-kept Python packages bundle, gathered into a folder."""

import shutil
from collections.abc import Container
from importlib.util import find_spec
from pathlib import Path

# Package -> folder in it and the files taken: colour, grey, JPEG, PNG, one with alpha.
BUNDLED = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": (
        "data",
        (
            "astronaut.png",
            "brick.png",
            "camera.png",
            "cell.png",
            "chelsea.png",
            "coffee.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "horse.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "moon.png",
            "motorcycle_left.png",
            "motorcycle_right.png",
            "retina.jpg",
            "rocket.jpg",
        ),
    ),
}

# Of these one can say what they show; the rest are textures, tissue, the sky.
OF_THINGS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "china.jpg",
    "coffee.png",
    "coins.png",
    "flower.jpg",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "rocket.jpg",
)


def bundled_photographs() -> list[Path]:
    """Paths of all bundled photographs in the installed packages.

    Raises:
        FileNotFoundError: a package or one of its files is missing; the message says which.
    """
    paths = []
    for package, (folder, names) in BUNDLED.items():
        spec = find_spec(package)
        if spec is None:
            raise FileNotFoundError(
                f"package {package}, which bundles photographs, is not installed: "
                "pip install scikit-learn scikit-image"
            )
        root = Path(spec.submodule_search_locations[0], folder)
        paths += [root / name for name in names]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"bundled photographs are missing: {', '.join(missing)}")
    return paths


def gather_photographs(out_dir: str | Path, names: Container[str] | None = None) -> list[Path]:
    """Copy the bundled photographs into a folder; files already there are kept.

    Args:
        out_dir: made if need be.
        names: of the files to take; None for all.

    Returns:
        The paths of the copies.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    copies = []
    for path in bundled_photographs():
        if names is not None and path.name not in names:
            continue
        copy = out_dir / path.name
        if not copy.exists():
            partial = copy.with_name(f".{copy.name}.partial")
            shutil.copyfile(path, partial)
            partial.replace(copy)
        copies.append(copy)
    return copies
