import shutil
import signal

import formatting
import numpy as np
import pytest
import torch
from memory import give_memory_back, keep_imports, return_large_blocks
from mmengine.registry import init_default_scope
from PIL import Image

import localmim.parts  # noqa: F401  (registers the parts)
from localmim.data.photographs import gather_photographs

return_large_blocks()
keep_imports()
formatting.leave_out()
# A shell's background jobs ignore it, and so would what tests send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _freed_after_the_file():
    yield
    give_memory_back()


@pytest.fixture
def freed():
    """The models of a test go before the next one's come: for files of full-size models."""
    yield
    give_memory_back()


@pytest.fixture
def tmp_path(request, tmp_path):
    """pytest's, emptied if the test passes: all that tests write is 8 GB.

    The folder itself stays, and with it its name: what mmengine keeps by name stays apart.
    """
    failed = request.session.testsfailed
    yield tmp_path
    if request.session.testsfailed == failed:
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir(exist_ok=True)


@pytest.fixture(autouse=True)
def _surroundings():
    """The registry scope of the configs, and the same random numbers for every test."""
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def on_the_cpu(request, monkeypatch):
    """Compare bit by bit where sums have a fixed order; tests marked gpu use what there is."""
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Real photographs: JPEG and PNG, colour, grey and alpha."""
    folder = tmp_path_factory.mktemp("photos")
    gather_photographs(folder)
    return folder


@pytest.fixture(scope="session")
def photos(photo_folder):
    """Four photographs as normalised images, (4, 3, 128, 224) float64.

    They are scaled in floating point: with 8-bit values many gradients would lie exactly on the
    border of two orientations, where rounding decides.
    """
    images = []
    for name in ("china.jpg", "astronaut.png", "camera.png", "coffee.png"):
        colours = Image.open(photo_folder / name).convert("RGB").split()
        scaled = [np.array(c.convert("F").resize((224, 128), Image.BICUBIC)) for c in colours]
        images.append(torch.from_numpy(np.stack(scaled)).double())
    mean, std = (torch.tensor(x).double() for x in ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)))
    return (torch.stack(images) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
