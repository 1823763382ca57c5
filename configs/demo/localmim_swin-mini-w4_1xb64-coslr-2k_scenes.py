# A small LocalMIM Swin on procedural scenes of 128x128 pixels, for the transfer demo.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="SparseSwin",
        arch=dict(embed_dims=48, depths=[2, 2, 4, 2], num_heads=[2, 4, 8, 16]),
        window_size=4,
        out_indices=(0, 1, 2, 3),
        norm_eps=1e-6,
    ),
    mask_generator=dict(shared=True),
    neck=dict(embed_dims=(64, 96, 96, 96)),
    target_generator=dict(cells=(8, 16, 32, 32)),
)

image_size = 128
train_dataloader = dict(batch_size=64)
