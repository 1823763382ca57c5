# A small LocalMIM Swin on random crops of real photographs: minutes on two CPU cores.
# Tuned for about a thousand iterations; it is no recipe for useful weights.
_base_ = "localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="SparseSwin",
        arch=dict(embed_dims=48, depths=[2, 2, 4, 2], num_heads=[2, 4, 8, 16]),
        window_size=4,
        out_indices=(0, 1, 2, 3),
    ),
    mask_generator=dict(shared=True),
    neck=dict(embed_dims=(64, 96, 96, 96)),
    target_generator=dict(cells=(8, 16, 32, 32)),
)

image_size = 128
