# LocalMIM on a ResNet-50: ours, not the paper's. Four stages, HOG at four scales, A2MIM's masks.
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    # Features and statistics of visible cells only.
    backbone=dict(
        type="PackedResNet",
        depth=50,
        norm_cfg=dict(type="SyncBN"),  # becomes BN on one process or without a GPU
        out_indices=(0, 1, 2, 3),
    ),
    mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.6),
    # From grids of 56 (embedded by 2x2), 28, 14 and 7 to grids of 56, 28, 14 and 7 cells.
    neck=dict(
        type="LocalDecoders",
        in_channels=(256, 512, 1024, 2048),
        out_channels=27,  # 9 bins of 3 colours
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
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
train_cfg = dict(max_epochs=100)
