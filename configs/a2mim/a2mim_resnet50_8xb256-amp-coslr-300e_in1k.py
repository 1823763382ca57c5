# A2MIM ResNet-50, 300 epochs (Li et al., ICML 2023).
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    type="MaskedImageModel",
    # Hidden pixels are their image's mean; a mask token enters at the last stage.
    backbone=dict(
        type="MaskedResNet",
        depth=50,
        norm_cfg=dict(type="SyncBN"),  # becomes BN on one process or without a GPU
    ),
    mask_generator=dict(type="RandomMasking", ratio=0.6),
    neck=dict(type="LinearDecoder", init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.02)),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(1,), normalize=False),
    # Focal L1 on hidden pixels, focal frequency loss.
    head=dict(type="FrequencyHead", focal=True, frequency_weight=0.5, visible_weight=1e-3),
)

train_pipeline = _base_.train_pipeline
train_pipeline[0].crop_ratio_range = (0.8, 1.0)
train_pipeline[0].interpolation = "bilinear"
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(lr=1.2e-3, betas=(0.9, 0.999)),
    paramwise_cfg=dict(custom_keys=dict(mask_token=dict(lr_mult=0.1, decay_mult=0.0))),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
param_scheduler[1].eta_min = 1e-5
train_cfg = dict(max_epochs=300)
