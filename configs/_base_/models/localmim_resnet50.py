# LocalMIM on a ResNet-50: ours, not the paper's. Features and statistics of visible cells only,
# four stages, HOG on grids of 56 (the tap embedded by 2x2), 28, 14 and 7 cells at 224 pixels,
# A2MIM's masks.
# Usually modified: depth, bins, ratio, widths and depths of the neck.
model = dict(
    type="LocalMIM",
    backbone=dict(
        type="PackedResNet",
        depth=50,
        norm_cfg=dict(type="SyncBN"),  # becomes BN on one process or without a GPU
        out_indices=(0, 1, 2, 3),
    ),
    mask_generator=dict(type="RandomMasking", ratio=0.6),
    neck=dict(
        type="LocalDecoders", merges=(2, 1, 1, 1), embed_dims=(64, 128, 128, 128), num_heads=4
    ),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(4, 8, 16, 32)),
    head=dict(type="ReconstructionHead"),
)
