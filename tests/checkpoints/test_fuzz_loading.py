import os

import pytest
import torch
from fuzzing import fuzz, seeds, watched
from hostile import Call

from localmim.checkpoints import load_from_file


def test_mutated_checkpoints_neither_run_nor_crash_nor_hang():
    count = int(os.environ.get("LOCALMIM_FUZZ_COUNT", 2500))
    outcomes = fuzz(count, seed=0)
    assert outcomes.keys() == {"loaded", "damaged", "not allowed"}
    assert sum(outcomes.values()) == count
    assert outcomes["not allowed"] > count / 10 and outcomes["damaged"] > count / 10


def test_what_is_mutated_loads_as_it_is_and_what_runs_is_noticed(tmp_path):
    for name, content in seeds().items():
        (tmp_path / name).write_bytes(content)
        assert "0.weight" in load_from_file(str(tmp_path / name))["state_dict"]
    torch.save(Call(os.system, "true"), tmp_path / "d.pth")
    with watched() as events:
        with pytest.raises(ValueError, match="can execute code"):
            load_from_file(str(tmp_path / "d.pth"))
        assert events == []
        load_from_file(str(tmp_path / "d.pth"), unsafe=True)
    assert events == ["os.system"]
