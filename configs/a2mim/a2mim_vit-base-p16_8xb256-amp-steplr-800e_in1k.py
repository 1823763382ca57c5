# A2MIM ViT-B, 800 epochs (Li et al., ICML 2023).
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    type="MaskedImageModel",
    # Hidden pixels are their image's mean; a mask token is added to the patch embeddings.
    backbone=dict(type="MaskedViT", arch="base", patch_size=16, drop_path_rate=0.1),
    mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.6),
    neck=dict(type="LinearDecoder", init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.02)),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(1,), normalize=False),
    # L1 on hidden pixels, focal frequency loss.
    head=dict(type="FrequencyHead", focal=False, frequency_weight=0.1, visible_weight=0.0),
)

train_pipeline = _base_.train_pipeline
train_pipeline[0].crop_ratio_range = (0.67, 1.0)
train_pipeline[0].interpolation = "bilinear"
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(lr=4e-4, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        custom_keys=dict(
            mask_token=no_decay,
            cls_token=no_decay,
            pos_embed=no_decay,
            relative_position_bias_table=no_decay,
        )
    ),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=2e-6,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(type="MultiStepLR", by_epoch=True, milestones=[700], gamma=0.1),
]
train_cfg = dict(max_epochs=800)
