# Fine-tuning of Swin-B from LocalMIM on HOG, 400 epochs; batch 2048.
_base_ = "swin-base-w7_localmim-pixel-400e-pre_8xb128-amp-coslr-100e_in1k.py"

train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=2048)
