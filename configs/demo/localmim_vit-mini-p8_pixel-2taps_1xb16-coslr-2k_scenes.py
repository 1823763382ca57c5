# Two taps in the place of four, and cells of two patches hidden, as 64 pixels allow: what got
# furthest for its time on photographs (docs/benchmarks/acceleration.md).
_base_ = "localmim_vit-mini-p8_pixel_1xb16-coslr-2k_scenes.py"

model = dict(
    backbone=dict(out_indices=(3, 7)),
    mask_generator=dict(cell_size=16),
    target_generator=dict(patch_sizes=(8, 8)),
)
