import numpy as np
import pytest
from PIL import Image

from localmim.command import planning


@pytest.fixture(scope="session")
def folder(photo_folder, tmp_path_factory):
    """24 pieces of photographs, 64x64, in colour; the path has a space."""
    out = tmp_path_factory.mktemp("some photos") / "my photos"
    out.mkdir()
    with Image.open(photo_folder / "china.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    for number in range(24):
        y, x = divmod(number, 6)
        piece = pixels[64 * y : 64 * y + 64, 64 * x : 64 * x + 64]
        Image.fromarray(piece).save(out / f"{number:02}.png")
    return out


@pytest.fixture(scope="session")
def labelled(folder, tmp_path_factory):
    """The same in two classes, of which one is dark."""
    out = tmp_path_factory.mktemp("labelled")
    for number, path in enumerate(sorted(folder.iterdir())):
        name = ("bright", "dark")[number % 2]
        (out / name).mkdir(exist_ok=True)
        with Image.open(path) as image:
            image.point(lambda value, dark=number % 2: value // (1 + 4 * dark)).save(
                out / name / path.name
            )
    return out


@pytest.fixture
def untried(monkeypatch):
    """Steps of half a second, without a trial; gives the batches that would have been tried."""
    tried = []

    def pretended(cfg, batch):
        tried.append(batch)
        return 0.5

    monkeypatch.setattr(planning, "seconds_per_step", pretended)
    return tried
