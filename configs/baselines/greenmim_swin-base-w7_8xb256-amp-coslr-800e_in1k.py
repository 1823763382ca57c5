# GreenMIM (Huang et al., NeurIPS 2022) from the same parts: sparse Swin-B, one tap at the end, a
# decoder of one block 512 wide, normalised pixels of 32x32 patches.
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim_swin.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    type="MaskedImageModel",
    backbone=dict(type="SparseSwin", arch="base", window_size=7, out_indices=(3,), norm_eps=1e-6),
    mask_generator=dict(type="RandomMasking", ratio=0.75, shared=True),
    neck=dict(type="LocalDecoders", embed_dims=512, num_heads=16),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(32,)),
    head=dict(type="ReconstructionHead"),
)

train_cfg = dict(max_epochs=800)
