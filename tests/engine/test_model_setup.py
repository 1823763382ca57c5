"""Settings that change how a model is computed, by the runner."""

import pytest
import torch
from mmengine.hooks import CheckpointHook, EMAHook
from runs import build, config, logs, run, state

from localmim.engine.sharding import check_hooks, like

pytestmark = pytest.mark.usefixtures("on_the_cpu")


def test_compiled_and_recomputed_training_gives_the_same_weights(tmp_path, photo_folder):
    short = {"train_cfg.max_epochs": 2, "train_dataloader.num_workers": 0}
    for name, changes in [
        ("plain", {}),
        ("both", {"activation_checkpointing": True, "compile": dict(backend="aot_eager")}),
    ]:
        run(config(tmp_path / name, photo_folder, **short | changes))
    assert "12 blocks are computed again" in (log := logs(tmp_path / "both"))
    assert "12 blocks will be compiled" in log
    plain, both = (state(tmp_path / name / "epoch_2.pth") for name in ("plain", "both"))
    assert plain.keys() == both.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(tensor, both[name], rtol=1e-3, atol=2e-4)


def test_wrappers_that_cannot_work_are_refused(tmp_path, photo_folder):
    for kind, message in [
        ("FullyShard", "shares a model out among processes, and there is one"),
        ("MMFullyShardedDataParallel", "former way.*type=FullyShard"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(config(tmp_path, photo_folder, model_wrapper_cfg=dict(type=kind)))


def test_hooks_that_would_take_a_part_for_the_model_are_refused():
    check_hooks([CheckpointHook(), CheckpointHook(out_dir="checkpoints")])
    with pytest.raises(ValueError, match="EMAHook copies the model, which FullyShard"):
        check_hooks([EMAHook()])
    with pytest.raises(ValueError, match="out_dir: s3://bucket is no local folder"):
        check_hooks([CheckpointHook(out_dir="s3://bucket")])


def test_a_whole_tensor_takes_type_and_place_of_its_parameter():
    parameter = torch.nn.Parameter(torch.zeros(3, dtype=torch.float16))
    found = like(torch.ones(3, dtype=torch.float64), parameter)
    assert found.dtype == torch.float16 and found.equal(torch.ones(3).half())
