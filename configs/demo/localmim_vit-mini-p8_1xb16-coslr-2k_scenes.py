# A small LocalMIM ViT on procedural scenes: minutes on a CPU.
# Patches of 8 pixels, because 64x64 has but 16 of 16. Small batches and large steps got furthest
# for their time (docs/benchmarks/acceleration.md).
_base_ = [
    "../_base_/models/localmim_vit-base-p16.py",
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_scenes.py",
    "../_base_/iterations_runtime.py",
]

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=128, num_layers=8, num_heads=4, feedforward_channels=512
        ),
        patch_size=8,
    ),
    mask_generator=dict(ratio=0.6),
    neck=dict(embed_dims=96, num_heads=4),
    target_generator=dict(cells=(4, 8, 8, 16)),
)

image_size = 64
train_pipeline = _base_.train_pipeline
train_pipeline[0].crop_ratio_range = (0.5, 1.0)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    pin_memory=False,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(data_root="data/scenes/unlabelled/images/training", pipeline=train_pipeline),
)

optim_wrapper = dict(optimizer=dict(lr=1.5e-3, betas=(0.9, 0.95)))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 100  # warm-up
train_cfg = dict(max_iters=2000, val_interval=2001)
val_cfg = test_cfg = None
