# A small LocalMIM ViT on random crops of real photographs: minutes on two CPU cores.
_base_ = "../localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"

model = dict(
    backbone=dict(arch="deit-tiny", img_size=128),
    neck=dict(in_channels=192, embed_dims=128, num_heads=4),
)

train_pipeline = [
    dict(type="LoadImageFromFile", imdecode_backend="pillow", ignore_empty=True),
    dict(type="RandomResizedCrop", scale=128, crop_ratio_range=(0.1, 0.6), backend="pillow"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=40,
        dataset=dict(type="UnlabelledImages", data_root="data/photos", pipeline=train_pipeline),
    ),
)

# Tuned for a few hundred iterations, not for a full recipe.
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(flat_decay_mult=0.0, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
auto_scale_lr = dict(base_batch_size=32)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=1, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=7)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
