# LocalMIM Swin-B with HOG targets, 400 epochs (Wang et al., CVPR 2023).
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    # Hidden tokens are not computed; taps after each stage and its patch merging.
    backbone=dict(
        type="SparseSwin",
        arch="base",
        img_size=224,
        window_size=7,
        out_indices=(0, 1, 2, 3),
        norm_eps=1e-6,
    ),
    # Cells of the last stage's stride, one mask for all images on a GPU.
    mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.75, shared=True),
    # The taps have the grids of their targets: 28, 14, 7 and 7 cells.
    neck=dict(
        type="LocalDecoders",
        in_channels=(256, 512, 1024, 1024),
        out_channels=54,  # 18 bins of 3 colours
        scales=(1, 1, 1, 1),
        embed_dims=(64, 128, 128, 128),
        num_heads=4,
        norm_inputs=False,
        num_extra_tokens=0,
    ),
    target_generator=dict(type="MultiScaleHOG", bins=18, cells=(8, 16, 32, 32)),
    head=dict(type="ReconstructionHead"),
)

no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys=dict(relative_position_bias_table=no_decay, mask_token=no_decay)
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 0.0
train_cfg = dict(max_epochs=400)
