import copy

import pytest
from runs import config

from localmim.command.trial import seconds_per_step


@pytest.mark.usefixtures("on_the_cpu")
def test_steps_are_timed_and_leave_nothing_behind(tmp_path, photo_folder):
    cfg = config(tmp_path / "run", photo_folder)
    before = copy.deepcopy(cfg.to_dict())
    found = seconds_per_step(cfg, 2)
    assert 0.001 < found < 60
    assert cfg.to_dict() == before and not (tmp_path / "run").exists()
