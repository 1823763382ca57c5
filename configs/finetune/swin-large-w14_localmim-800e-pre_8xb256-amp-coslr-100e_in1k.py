# Fine-tuning of Swin-L with window 14 (7 in the last stage) from LocalMIM, 800 epochs; batch 2048.
_base_ = "swin-base-w7_localmim-400e-pre_8xb256-amp-coslr-100e_in1k.py"

stage_cfg = _base_.model.backbone.stage_cfgs
model = dict(
    backbone=dict(
        arch="large",
        drop_path_rate=0.3,
        stage_cfgs=[stage_cfg | dict(window_size=14)] * 3 + [stage_cfg],
    ),
    head=dict(in_channels=1536),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(layer_decay_rate=0.8))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 2.5e-7 / 2e-3
