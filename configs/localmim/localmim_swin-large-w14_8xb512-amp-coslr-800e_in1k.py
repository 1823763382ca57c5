# LocalMIM Swin-L with window 14 (7 in the last stage), 800 epochs, batch 4096.
_base_ = "localmim_swin-base-w7_8xb256-amp-coslr-400e_in1k.py"

model = dict(backbone=dict(arch="large", window_size=14))

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=1.6e-3))
auto_scale_lr = dict(base_batch_size=4096)
train_cfg = dict(max_epochs=800)
