# A small A2MIM on a ViT, procedural scenes of 64x64 pixels.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(type="MaskedViT", out_indices=(-1,), drop_path_rate=0.1),
    mask_generator=dict(cell_size=16),
    neck=dict(_delete_=True, type="LinearDecoder"),
    target_generator=dict(
        _delete_=True, type="MultiScalePixels", patch_sizes=(1,), normalize=False
    ),
    head=dict(type="FrequencyHead"),
)
