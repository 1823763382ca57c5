# MaskFeat's target (Wei et al., CVPR 2022) from the same parts: one tap at the end, HOG of 8x8
# cells. Unlike MaskFeat, hidden patches enter in the decoder and not in the encoder, and masks are
# random at 75 %; optimiser, clipping and crops are MaskFeat's.
_base_ = "mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"

model = dict(
    neck=dict(depth=1),
    target_generator=dict(_delete_=True, type="MultiScaleHOG", bins=9, cells=(8,)),
)

train_pipeline = _base_.train_pipeline
train_pipeline[0].crop_ratio_range = (0.5, 1.0)
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.6e-3, betas=(0.9, 0.999)), clip_grad=dict(max_norm=0.02))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 30  # warm-up
param_scheduler[1].eta_min = 1e-6
train_cfg = dict(max_epochs=300)
auto_scale_lr = dict(base_batch_size=2048)
