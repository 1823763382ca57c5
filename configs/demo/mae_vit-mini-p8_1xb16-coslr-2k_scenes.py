# MAE on the encoder, images and schedule of the small LocalMIM ViT, to compare with.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(-1,)),
    mask_generator=dict(cell_size=8, ratio=0.75),
    neck=dict(depth=4),
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(8,)),
)
