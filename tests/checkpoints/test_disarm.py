"""What a hostile checkpoint could make a resumed training execute or delete."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from localmim.checkpoints import load_from_file, read_checkpoint
from localmim.engine import LocalMIMRunner


@MODELS.register_module(force=True)
class OneNumber(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode="loss"):
        return dict(loss=self.layer(torch.stack(inputs)).sum())


class Dataset(torch.utils.data.Dataset):
    metainfo = {}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return dict(inputs=torch.ones(1))


def runner(work_dir, epochs, **settings):
    return LocalMIMRunner(
        model=OneNumber(),
        work_dir=str(work_dir),
        train_dataloader=dict(dataset=Dataset(), batch_size=1, sampler=dict(type="DefaultSampler")),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        cfg=Config(),
        experiment_name=f"{work_dir.parent.name}-{work_dir.name}",
        **settings,
    )


@pytest.fixture
def checkpoint(tmp_path):
    runner(tmp_path / "run", 1).train()
    return tmp_path / "run" / "epoch_1.pth"


def test_text_in_a_checkpoint_is_not_run_when_resuming(tmp_path, checkpoint):
    content = torch.load(checkpoint, weights_only=False)
    trace = tmp_path / "executed"
    content["meta"]["config"] = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    torch.save(content, checkpoint)
    resumed = runner(tmp_path / "run2", 2, load_from=str(checkpoint), resume=True)
    resumed.train()
    assert resumed.epoch == 2 and not trace.exists()


def test_a_checkpoint_does_not_choose_what_is_deleted(tmp_path, checkpoint):
    victim = tmp_path / "home"
    victim.mkdir()
    (victim / "epoch_0.pth").touch()
    info = {
        "best_ckpt": str(victim),
        "best_ckpt_acc": str(victim / "epoch_0.pth"),
        "last_ckpt": ["x"],
        "keep_ckpt_ids": ["/../../home/epoch_0", "x"],
        "best_score": 1.0,
    }
    content = torch.load(checkpoint, weights_only=False)
    content["message_hub"]["runtime_info"].update(info)
    torch.save(content, checkpoint)
    resumed = runner(tmp_path / "run2", 2, load_from=str(checkpoint), resume=True)
    resumed.register_hook(CheckpointHook(save_best="acc", rule="greater", max_keep_ckpts=1))
    resumed.train()
    hooks = [h for h in resumed.hooks if isinstance(h, CheckpointHook) and h.save_best]
    for hook in hooks:
        hook._save_best_checkpoint(resumed, {"acc": 2.0})
    assert hooks and victim.is_dir() and (victim / "epoch_0.pth").exists()


def test_the_best_checkpoint_beside_the_file_is_remembered(tmp_path):
    best = str(tmp_path / "best_acc_epoch_3.pth")
    info = {"best_ckpt": best, "keep_ckpt_ids": [1, 2], "best_score": 0.5, "cfg": "x = 1"}
    torch.save({"message_hub": {"runtime_info": info}, "meta": {"cfg": "x"}}, tmp_path / "a.pth")
    loaded = load_from_file(str(tmp_path / "a.pth"))
    assert loaded["message_hub"]["runtime_info"] == info and loaded["meta"] == {"cfg": "x"}


def test_a_log_history_does_not_change_its_class(tmp_path):
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    history.__dict__["update"] = "poison"
    methods = dict(HistoryBuffer._statistics_methods)
    HistoryBuffer._statistics_methods["mean"] = HistoryBuffer.max
    try:
        torch.save({"loss": history}, tmp_path / "a.pth")
    finally:
        HistoryBuffer._statistics_methods.update(methods)
    loaded = load_from_file(str(tmp_path / "a.pth"))["loss"]
    assert type(loaded) is HistoryBuffer and loaded.statistics("mean") == 2.0
    loaded.update(5.0)
    assert loaded.mean() == 3.0 and HistoryBuffer._statistics_methods == methods


ODD = "model = dict(backbone=dict(img_size=1.5, arch=dict(num_heads='x')), target_generator=3)"


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "x = " + "-" * 100_000 + "1", "x = {[]: 1}", "\0", ODD]
)
def test_hostile_config_text_says_nothing(tmp_path, text):
    torch.save({"meta": {"cfg": text}, "state_dict": {"x": torch.ones(1)}}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").hints == {}
