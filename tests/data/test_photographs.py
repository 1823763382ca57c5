import pytest
from PIL import Image

from localmim.data import photographs


def test_colour_grey_alpha_jpeg_and_png_are_among_them(photo_folder):
    files = list(photo_folder.iterdir())
    kinds = set()
    for path in files:
        with Image.open(path) as picture:
            assert min(picture.size) >= 300
            kinds |= {picture.mode, picture.format}
    assert len(files) == 19 and kinds == {"RGB", "L", "RGBA", "JPEG", "PNG"}


def test_gathering_again_keeps_what_is_there(photo_folder):
    before = {path: path.stat().st_mtime_ns for path in photo_folder.iterdir()}
    photographs.gather_photographs(photo_folder)
    assert {path: path.stat().st_mtime_ns for path in photo_folder.iterdir()} == before


def test_missing_packages_and_files_are_named(monkeypatch):
    monkeypatch.setattr(photographs, "BUNDLED", {"nopackage": ("data", ("a.png",))})
    with pytest.raises(FileNotFoundError, match="package nopackage.*pip install scikit-learn"):
        photographs.bundled_photographs()
    monkeypatch.setattr(photographs, "BUNDLED", {"skimage": ("data", ("nothing.png",))})
    with pytest.raises(FileNotFoundError, match="missing: .*nothing.png"):
        photographs.bundled_photographs()
