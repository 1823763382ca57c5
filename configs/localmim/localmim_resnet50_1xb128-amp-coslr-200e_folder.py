# LocalMIM ResNet-50 (ours, not the paper's) on any folder of unlabelled images:
#   python tools/train.py THIS_FILE --cfg-options train_dataloader.dataset.data_root=FOLDER
# Another length: train_cfg.max_epochs=100 (warm-up: param_scheduler.0.end=5 and
# param_scheduler.1.begin=5).
_base_ = [
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    backbone=dict(
        type="PackedResNet", depth=50, norm_cfg=dict(type="SyncBN"), out_indices=(0, 1, 2, 3)
    ),
    mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.6),
    neck=dict(
        type="LocalDecoders",
        in_channels=(256, 512, 1024, 2048),
        out_channels=27,
        scales=(2, 1, 1, 1),
        merges=(2, 1, 1, 1),
        embed_dims=(64, 128, 128, 128),
        num_heads=4,
        norm_inputs=True,
        num_extra_tokens=0,
    ),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(4, 8, 16, 32)),
    head=dict(type="ReconstructionHead"),
)

optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
train_cfg = dict(max_epochs=200)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
