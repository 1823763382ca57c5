# LocalMIM ViT-S on any folder of unlabelled images:
#   python tools/train.py THIS_FILE --cfg-options train_dataloader.dataset.data_root=FOLDER
# Other backbones: model.backbone.arch=base model.neck.in_channels=768.
# Another length: train_cfg.max_epochs=100 (warm-up: param_scheduler.0.end=5 and
# param_scheduler.1.begin=5).
_base_ = [
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    # mmpretrain's "small" is 768 wide; "deit-small" is the usual ViT-S.
    backbone=dict(
        type="SparseViT", arch="deit-small", img_size=224, patch_size=16, out_indices=(1, 3, -3, -1)
    ),
    mask_generator=dict(type="RandomMasking", cell_size=16, ratio=0.75),
    neck=dict(
        type="LocalDecoders",
        in_channels=384,
        out_channels=27,
        scales=(4, 2, 1, 0.5),
        embed_dims=256,
        num_heads=8,
    ),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(4, 8, 16, 32)),
    head=dict(type="ReconstructionHead"),
)

train_cfg = dict(max_epochs=200)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
