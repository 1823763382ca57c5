# Fine-tuning of ViT-L from LocalMIM, 800 epochs; batch 1024 by accumulation, 50 epochs.
_base_ = "vit-base-p16_localmim-1600e-pre_8xb128-amp-coslr-100e_in1k.py"

model = dict(backbone=dict(arch="large", drop_path_rate=0.2), head=dict(in_channels=1024))

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(
    accumulative_counts=2,
    optimizer=dict(lr=3e-3),
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
train_cfg = dict(max_epochs=50)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5  # warm-up
param_scheduler[1].eta_min_ratio = 1e-6 / 3e-3
