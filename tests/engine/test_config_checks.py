from pathlib import Path

import pytest
from mmengine.config import Config
from tool_main import tool

from localmim.engine import check_config

ROOT = Path(__file__).parents[2]
CONFIGS = [p for p in sorted(ROOT.glob("configs/**/*.py")) if "_base_" not in p.parts]
VIT = ROOT / "configs/localmim/localmim_vit-base-p16_8xb256-amp-coslr-100e_in1k.py"
SCENES = ROOT / "configs/demo/localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"
FINETUNE = ROOT / "configs/finetune/vit-base-p16_localmim-1600e-pre_8xb128-amp-coslr-100e_in1k.py"
SEGMENT = ROOT / "configs/segmentation/upernet_r50_8xb2-amp-160k_ade20k-512x512.py"
DETECT = ROOT / "configs/detection/mask-rcnn_r50_fpn_8xb2-amp-1x_coco.py"


@pytest.mark.parametrize("path", CONFIGS, ids=[p.stem for p in CONFIGS])
def test_no_config_here_is_refused(path):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(dict(work_dir="x", launcher="none", resume=True, load_from="a.pth"))
    check_config(cfg)


# Path of the mistyped key, and what the message has to name.
MISTYPED = [
    (VIT, "trian_dataloader.batch_size", "train_dataloader"),
    (VIT, "auto_scale_lr.base_batchsize", "auto_scale_lr.base_batch_size"),
    (VIT, "train_dataloader.batchsize", "train_dataloader.batch_size"),
    (VIT, "train_dataloader.dataset.data_roots", "train_dataloader.dataset.data_root"),
    (VIT, "train_dataloader.sampler.shufle", "train_dataloader.sampler.shuffle"),
    (VIT, "train_cfg.max_epoch", "train_cfg.max_epochs"),
    (VIT, "model.mask_ratio", ""),
    (VIT, "model.backbone.patchsize", "model.backbone.patch_size"),
    (VIT, "model.backbone.drop_path_rat", "model.backbone.drop_path_rate"),
    (VIT, "model.mask_generator.ratios", "model.mask_generator.ratio"),
    (VIT, "model.head.los", ""),
    (VIT, "data_preprocessor.mena", "data_preprocessor.mean"),
    (VIT, "optim_wrapper.optimizer.weight_decy", "optim_wrapper.optimizer.weight_decay"),
    (VIT, "optim_wrapper.accumulative_count", "optim_wrapper.accumulative_counts"),
    (VIT, "optim_wrapper.clip_grad.maxnorm", "optim_wrapper.clip_grad.max_norm"),
    (VIT, "optim_wrapper.paramwise_cfg.bias_decay_mul", "bias_decay_mult"),
    (VIT, "default_hooks.checkpoint.intervall", "default_hooks.checkpoint.interval"),
    (VIT, "default_hooks.logger.intervall", "default_hooks.logger.interval"),
    (VIT, "env_cfg.cudnn_benchmrk", "env_cfg.cudnn_benchmark"),
    (VIT, "env_cfg.mp_cfg.opencv_num_thread", "env_cfg.mp_cfg.opencv_num_threads"),
    (VIT, "randomness.sed", "randomness.seed"),
    (VIT, "img_size", "image_size"),
    (FINETUNE, "model.head.num_class", "model.head.num_classes"),
    (FINETUNE, "model.backbone.init_cfg.checkpont", "model.backbone.init_cfg.checkpoint"),
    (FINETUNE, "val_evaluator.topk_", "val_evaluator.topk"),
    (SEGMENT, "model.decode_head.num_class", "model.decode_head.num_classes"),
    (DETECT, "model.roi_head.bbox_head.num_class", "model.roi_head.bbox_head.num_classes"),
    (DETECT, "model.backbone.dept", "model.backbone.depth"),
]


@pytest.mark.parametrize(("path", "key", "nearest"), MISTYPED, ids=[m[1] for m in MISTYPED])
def test_a_mistyped_key_is_named_with_the_nearest(path, key, nearest):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({key: 1})
    with pytest.raises(ValueError) as error:
        check_config(cfg)
    wrong = key.split(".")[0] if key.startswith("trian") else key
    assert str(error.value).startswith(f"{wrong}:") and nearest in str(error.value)


def test_a_config_that_would_register_nothing_is_told_the_module():
    cfg = Config.fromfile(VIT)
    cfg.custom_imports.imports = ["localmim", "mine"]
    with pytest.raises(ValueError, match="custom_imports: .* name localmim.parts instead"):
        check_config(cfg)


def test_keys_of_lists_are_named_by_number():
    cfg = Config.fromfile(VIT)
    cfg.param_scheduler[1]["eta_mim"] = 0
    with pytest.raises(
        ValueError, match=r"param_scheduler\.1\.eta_mim: .*param_scheduler\.1\.eta_min"
    ):
        check_config(cfg)
    cfg = Config.fromfile(VIT)
    cfg.train_dataloader.dataset.pipeline[0]["scales"] = 3
    with pytest.raises(ValueError, match=r"pipeline\.0\.scales: .*pipeline\.0\.scale\?"):
        check_config(cfg)


def child(tmp_path, text):
    path = tmp_path / "child.py"
    path.write_text(f"_base_ = {str(VIT)!r}\n{text}\n")
    return Config.fromfile(path)


@pytest.mark.parametrize(
    "text",
    [
        "train_pipeline = []",
        "size = 3",
        "trian_dataloader = dict(batch_size=3)",
        "scale = size = 4",
    ],
)
def test_a_variable_of_a_file_that_changes_nothing_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"nobody reads: .*child\.py sets it"):
        check_config(child(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "size = 3\nrandomness = dict(seed=size)",
        "image_size = 192",
        "_size = 3",
        "seed = 3\nrandomness = dict(seed=seed, deterministic=bool(seed))",
        "epochs = _base_.train_cfg.max_epochs\ntrain_cfg = dict(max_epochs=epochs)",
        "model = dict(backbone=dict(type='NotInstalled', any=3, _delete_=True))",
    ],
)
def test_what_is_read_is_let_through(tmp_path, text):
    check_config(child(tmp_path, text))


def test_a_variable_that_a_child_reads_is_read(tmp_path):
    (tmp_path / "base.py").write_text(f"_base_ = {str(VIT)!r}\nseed = 3\n")
    (tmp_path / "top.py").write_text(
        "_base_ = 'base.py'\nrandomness = dict(seed={{_base_.seed}})\n"
    )
    check_config(Config.fromfile(tmp_path / "top.py"))
    with pytest.raises(ValueError, match=r"seed: .*base\.py sets it"):
        check_config(Config.fromfile(tmp_path / "base.py"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_cfg.max_epochs": 0}, "train_cfg.max_epochs: 0 must be positive"),
        ({"train_dataloader.batch_size": 0}, "train_dataloader.batch_size: 0 must be"),
        ({"auto_scale_lr.base_batch_size": -1}, "base_batch_size: -1 must be"),
        ({"optim_wrapper.accumulative_counts": 0}, "accumulative_counts: 0 must be"),
    ],
)
def test_numbers_that_cannot_work_are_refused(settings, message):
    cfg = Config.fromfile(VIT)
    cfg.merge_from_dict(settings)
    with pytest.raises(ValueError, match=message):
        check_config(cfg)


def test_configs_built_in_code_are_checked_by_name():
    check_config(Config(dict(model=dict(type="LocalMIM"), work_dir="x")))
    with pytest.raises(ValueError, match="work_dirs: .*did you mean work_dir"):
        check_config(Config(dict(work_dirs="x")))


def test_the_tool_refuses_a_mistyped_option_before_anything_else(tmp_path):
    mistyped = ("--cfg-options", "trian_dataloader.batch_size=2")
    with pytest.raises(ValueError, match="did you mean train_dataloader?"):
        tool("train", SCENES, "--work-dir", tmp_path, *mistyped)
    assert not list(tmp_path.rglob("*.log"))


@pytest.mark.parametrize("path", [VIT, SCENES])
def test_a_config_that_a_run_has_written_down_is_a_config(tmp_path, path):
    Config.fromfile(path).dump(tmp_path / "config.py")
    check_config(Config.fromfile(tmp_path / "config.py"))
    for mistake in ("trian_dataloader = dict(batch_size=3)", "resum = True"):
        text = (tmp_path / "config.py").read_text()
        (tmp_path / "mistaken.py").write_text(f"{text}\n{mistake}\n")
        with pytest.raises(ValueError, match=f"{mistake.split()[0]}: .*did you mean"):
            check_config(Config.fromfile(tmp_path / "mistaken.py"))


def test_images_that_nobody_would_mirror_are_refused():
    cfg = Config.fromfile(VIT)
    cfg.data_preprocessor.type = "ClsDataPreprocessor"
    with pytest.raises(ValueError, match="ClsDataPreprocessor does not mirror.*MIMDataPrep"):
        check_config(cfg)
    cfg.train_dataloader.dataset.pipeline[1] = dict(type="PackInputs")
    check_config(cfg)
    cfg = Config.fromfile(VIT)
    cfg.model.data_preprocessor = dict(type="ClsDataPreprocessor")
    with pytest.raises(ValueError, match="data_preprocessor: ClsDataPreprocessor"):
        check_config(cfg)
