# GreenMIM (Huang et al., NeurIPS 2022) from the same parts: sparse Swin-B, one tap at the end, a
# decoder of one block 512 wide, normalised pixels of 32x32 patches.
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="MaskedImageModel",
    backbone=dict(type="SparseSwin", arch="base", window_size=7, out_indices=(3,), norm_eps=1e-6),
    mask_generator=dict(type="RandomMasking", ratio=0.75, shared=True),
    neck=dict(type="LocalDecoders", embed_dims=512, num_heads=16),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(32,)),
    head=dict(type="ReconstructionHead"),
)

# 1e-4 for a batch of 256.
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys=dict(relative_position_bias_table=no_decay, mask_token=no_decay)
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 0.0
train_cfg = dict(max_epochs=800)
