# LocalMIM ViT-B with HOG targets, 1600 epochs (Wang et al., CVPR 2023).
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    # Hidden patches are not computed; taps after blocks 2, 4, D - 2 and D.
    backbone=dict(
        type="SparseViT", arch="base", img_size=224, patch_size=16, out_indices=(1, 3, -3, -1)
    ),
    mask_generator=dict(type="RandomMasking", cell_size=16, ratio=0.75),
    # From the 14x14 patches to grids of 56, 28, 14 and 7 cells.
    neck=dict(
        type="LocalDecoders",
        in_channels=768,
        out_channels=27,  # 9 bins of 3 colours
        scales=(4, 2, 1, 0.5),
        embed_dims=256,
        num_heads=8,
    ),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(4, 8, 16, 32)),
    head=dict(type="ReconstructionHead"),
)
