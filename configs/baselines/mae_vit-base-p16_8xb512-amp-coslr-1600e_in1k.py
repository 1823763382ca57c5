# MAE (He et al., CVPR 2022) from the same parts: one tap at the end, one deep decoder, pixels.
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    type="MaskedImageModel",
    backbone=dict(type="SparseViT", arch="base", patch_size=16, out_indices=(-1,)),
    mask_generator=dict(type="RandomMasking", ratio=0.75),
    neck=dict(type="LocalDecoders", embed_dims=512, depth=8, num_heads=16),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
    head=dict(type="ReconstructionHead"),
)

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 0.0
auto_scale_lr = dict(base_batch_size=4096)
