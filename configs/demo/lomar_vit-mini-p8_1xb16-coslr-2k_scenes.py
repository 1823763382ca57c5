# A small LoMaR on procedural scenes: four windows of 4x4 patches in each image of 8x8.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    type="LoMaR",
    window_size=4,
    num_windows=4,
    backbone=dict(type="IRPEViT", out_indices=(-1,)),
    mask_generator=dict(ratio=0.8, rounding="down"),
    neck=dict(_delete_=True, type="LinearDecoder"),
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(8,)),
)
