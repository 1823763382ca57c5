# A small LocalMIM ViT on large crops of ten real photographs: minutes on two CPU cores.
# Tuned for about a thousand iterations that learn these photographs, so that one can see it learn;
# it is no recipe for useful weights.
_base_ = [
    "../_base_/models/localmim_vit-base-p16.py",
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=128, num_layers=8, num_heads=4, feedforward_channels=512
        )
    ),
    neck=dict(embed_dims=96, num_heads=4),
)

image_size = 96
train_pipeline = _base_.train_pipeline
train_pipeline[0].crop_ratio_range = (0.7, 1.0)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=240,
        dataset=dict(type="UnlabelledImages", data_root="data/photos", pipeline=train_pipeline),
    ),
)

# float32 also where there is a GPU, so that every machine shows the same.
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=3e-3))
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 1  # warm-up
train_cfg = dict(max_epochs=8)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(max_keep_ckpts=1))

# All of the photographs, every second epoch.
custom_hooks = _base_.custom_hooks
custom_hooks[-2].update(interval=2, images=10)
