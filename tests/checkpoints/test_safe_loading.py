from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from localmim.checkpoints import load_from_file


class Malicious:
    """Makes a file when unpickled by an unrestricted unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class GetattrGadget:
    """Reaches for a dangerous function through getattr, which log histories need in a tame form."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return getattr, (Path, "touch")


def loaders():
    return [load_from_file, CheckpointLoader.load_checkpoint]


@pytest.mark.parametrize("load", loaders())
def test_a_training_checkpoint_with_its_log_history_loads(tmp_path, load):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save({"message_hub": {"log_scalars": {"loss": history}}, "iter": 3}, tmp_path / "a.pth")
    loaded = load(str(tmp_path / "a.pth"))
    assert loaded["iter"] == 3 and loaded["message_hub"]["log_scalars"]["loss"].mean() == 1.5


@pytest.mark.parametrize("load", loaders())
@pytest.mark.parametrize("kind", [Malicious, GetattrGadget])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, load, kind):
    trace = tmp_path / "executed"
    torch.save({"state_dict": kind(trace)}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="not loaded because unpickling such a file can execute"):
        load(str(tmp_path / "a.pth"))
    assert not trace.exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    whole = tmp_path / "a.pth"
    torch.save({"state_dict": {"x": torch.zeros(10_000)}}, whole)
    broken = {
        "truncated.pth": whole.read_bytes()[:-5000],
        "empty.pth": b"",
        "text.pth": b"hello, world",
        "zip.pth": b"PK\x03\x04" + b"0" * 100,
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no checkpoint"):
            load_from_file(str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match="nothing.pth can not be found"):
        load_from_file(str(tmp_path / "nothing.pth"))
