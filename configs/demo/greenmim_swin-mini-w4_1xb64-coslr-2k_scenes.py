# GreenMIM on the encoder, images and schedule of the small LocalMIM Swin, to compare with.
_base_ = "localmim_swin-mini-w4_1xb64-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(3,)),
    mask_generator=dict(ratio=0.75),
    neck=dict(embed_dims=128, num_heads=4),
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(32,)),
)
