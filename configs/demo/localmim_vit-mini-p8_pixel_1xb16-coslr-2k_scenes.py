# Normalised pixels in the place of HOG, and MAE's share of hidden patches.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    mask_generator=dict(ratio=0.75),
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(4, 8, 8, 16)),
)
