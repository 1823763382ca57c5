# LoMaR ViT-B, 1600 epochs (Chen et al. 2022): four windows of 7x7 patches, 80 % of them hidden.
_base_ = [
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    type="LoMaR",
    window_size=7,
    num_windows=4,
    # Relative positions in every block, mask tokens in the sequence.
    backbone=dict(type="IRPEViT", arch="base", patch_size=16),
    # 39 of 49 patches.
    mask_generator=dict(type="RandomMasking", ratio=0.8, rounding="down"),
    neck=dict(type="LinearDecoder"),
    target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
    head=dict(type="ReconstructionHead"),
)

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 20  # warm-up
param_scheduler[1].eta_min = 0.0
auto_scale_lr = dict(base_batch_size=4096)
