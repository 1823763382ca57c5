"""Where configs and tools are, in a repository and in an installed package."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def brought(name: str) -> Path:
    """A file or folder that the package brings along: below configs or tools.

    Raises:
        FileNotFoundError: the package was neither installed nor is it in its repository.
    """
    for root in (PACKAGE / ".mim", PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"localmim is installed without {name}: install it again with pip")


def config_file(name: str) -> Path:
    """A config by its path below ``configs/``."""
    return brought(f"configs/{name}")
