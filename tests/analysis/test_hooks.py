"""Pictures and signals of a training, through the runner."""

import json
import re
import shutil

import pytest
import torch
from mmengine.hooks import Hook
from PIL import Image
from runs import build, config, logs, run, state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch._dynamo.utils import counters

from localmim.analysis import ReconstructionHook, SignalsHook

pytestmark = pytest.mark.usefixtures("on_the_cpu")

LOOKING = [
    dict(type="ReconstructionHook", interval=2, images=3),
    dict(type="SignalsHook", images=5),
]


def looking(work_dir, photo_folder, hooks=LOOKING, kind="vit", **changes):
    cfg = config(work_dir, photo_folder, kind, **changes)
    cfg.custom_hooks = [*cfg.custom_hooks, *hooks]
    return cfg


@pytest.mark.parametrize("kind", ["vit", "lomar"])
def test_a_training_is_drawn_and_its_signals_are_logged(tmp_path, photo_folder, kind):
    run(looking(tmp_path / "run", photo_folder, kind=kind))
    scales = 1 if kind == "lomar" else 4
    pictures = sorted((tmp_path / "run").rglob("vis_image/*.png"))
    assert len(pictures) == 2 * scales  # after epochs 2 and 4, of two iterations each
    assert {path.stem.rsplit("_", 1)[1] for path in pictures} == {"4", "8"}
    assert all(min(Image.open(path).size) > 300 for path in pictures)
    lines = re.findall(r"Skill by scale: (.*) \(0 is", logs(tmp_path / "run"))
    assert [len(re.findall(r"-?[\d.]+%", line)) for line in lines] == [scales] * 4
    (scalars,) = (tmp_path / "run").rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    signals = [row for row in rows if "skill/scale_0" in row]
    assert [row["step"] for row in signals] == [2, 4, 6, 8]
    for row in signals:
        assert sum(key.startswith("gradient_norm/backbone") for key in row) >= 3
        assert all(row[f"effective_rank/tap_{n}"] >= 1 for n in range(scales))


def test_looking_changes_nothing(tmp_path, photo_folder):
    short = {"train_cfg.max_epochs": 2, "train_dataloader.num_workers": 0}
    run(config(tmp_path / "plain", photo_folder, "resnet", **short))
    every = [dict(hook, interval=2, by_epoch=False) for hook in LOOKING]
    run(looking(tmp_path / "looking", photo_folder, every, "resnet", **short))
    plain, looked = (state(tmp_path / name / "epoch_2.pth") for name in ("plain", "looking"))
    assert all(tensor.equal(looked[name]) for name, tensor in plain.items())


def test_the_same_images_have_the_same_masks_each_time(tmp_path, photo_folder):
    runner = run(looking(tmp_path / "run", photo_folder, **{"train_cfg.max_epochs": 2}))
    probe = next(hook for hook in runner.hooks if isinstance(hook, SignalsHook)).probe
    before = torch.get_rng_state()
    first, second = (list(probe.batches(size=2)) for _ in range(2))
    assert torch.get_rng_state().equal(before)
    assert [len(images) for images, _ in first] == [2, 2, 1]
    for (images, mask), (again, same) in zip(first, second, strict=True):
        assert images.equal(again) and mask.hidden.equal(same.hidden)


def test_a_training_that_learns_nothing_is_warned_of(tmp_path, photo_folder):
    run(looking(tmp_path / "run", photo_folder, **{"optim_wrapper.optimizer.lr": 0.0}))
    said = re.findall(r"Scale \d is predicted no better than by the mean", logs(tmp_path / "run"))
    assert 1 <= len(said) <= 4


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="interval must be a positive integer, got 0"):
        ReconstructionHook(interval=0)
    with pytest.raises(ValueError, match="images must be a positive integer, got '3'"):
        SignalsHook(images="3")


class StopAfterThree(Hook):
    def after_train_epoch(self, runner):
        if runner.epoch + 1 == 3:
            raise KeyboardInterrupt


def test_a_resumed_training_continues_its_curves_and_pictures(tmp_path, photo_folder):
    """TensorBoard shows one run, without what was logged after the checkpoint that it resumes."""

    def make(**changes):
        changes = {"default_hooks.checkpoint.interval": 2} | changes
        return looking(tmp_path / "run", photo_folder, **changes)

    runner = build(make())
    runner.register_hook(StopAfterThree(), priority="VERY_LOW")
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner.visualizer.close()
    run(make(resume=True, load_from=str(tmp_path / "run/epoch_2.pth")))
    folder = tmp_path / "run/tensorboard"
    assert len(list(folder.iterdir())) == 2
    events = EventAccumulator(str(folder)).Reload()
    steps = [event.step for event in events.Scalars("skill/scale_0")]
    assert steps == [2, 4, 6, 8]
    assert [event.step for event in events.Images("reconstruction_scale0_stride4")] == [4, 8]
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 9))


def test_joined_data_sets_and_images_that_are_none(tmp_path, photo_folder):
    """Broken files and pixels that are no numbers are left out."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no image")
    shutil.copy(photo_folder / "coffee.png", broken / "b.png")
    cfg = looking(tmp_path / "run", photo_folder, **{"train_cfg.max_epochs": 2})
    one = cfg.train_dataloader.dataset
    other = {k: v for k, v in one.items() if k != "indices"} | dict(data_root=str(broken))
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[one, other])
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != "UnusableImagesHook"]
    cfg.custom_hooks[-1].images = 10
    runner = run(cfg)
    probe = next(hook for hook in runner.hooks if isinstance(hook, SignalsHook)).probe
    assert len(probe) == 9  # of 8 and 2 images


def test_compiled_blocks_are_not_compiled_for_looking(tmp_path, photo_folder):
    settings = {"train_cfg.max_epochs": 2, "compile": dict(backend="aot_eager")}
    graphs = []
    for hooks in ([], [dict(type="SignalsHook", images=5)]):
        torch.compiler.reset()
        counters.clear()
        run(looking(tmp_path / f"run{len(hooks)}", photo_folder, hooks, **settings))
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0
