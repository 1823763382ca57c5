# LocalMIM Swin-B, 100 epochs, warm-up 10.
_base_ = "localmim_swin-base-w7_8xb256-amp-coslr-400e_in1k.py"

train_cfg = dict(max_epochs=100)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
