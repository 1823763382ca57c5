# LocalMIM ViT-L with 18 HOG bins, 800 epochs, batch 4096.
_base_ = "localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k.py"

model = dict(backbone=dict(arch="large"), target_generator=dict(bins=18))

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
auto_scale_lr = dict(base_batch_size=4096)
train_cfg = dict(max_epochs=800)
