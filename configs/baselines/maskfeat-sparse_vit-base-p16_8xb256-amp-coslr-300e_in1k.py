# MaskFeat's target (Wei et al., CVPR 2022) from the same parts: one tap at the end, HOG of 8x8
# cells. Unlike MaskFeat, hidden patches enter in the decoder and not in the encoder, and masks are
# random at 75 %; optimiser, clipping and crops are MaskFeat's.
_base_ = "mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"

model = dict(
    neck=dict(out_channels=27, scales=(2,), depth=1),
    target_generator=dict(_delete_=True, type="MultiScaleHOG", bins=9, cells=(8,)),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="RandomResizedCrop",
        scale=224,
        crop_ratio_range=(0.5, 1.0),
        backend="pillow",
        interpolation="bicubic",
    ),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.6e-3, betas=(0.9, 0.999)), clip_grad=dict(max_norm=0.02))
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=30,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        by_epoch=True,
        begin=30,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=300)
auto_scale_lr = dict(base_batch_size=2048)
