# LoMaR ViT-B with windows of images of 384x384 pixels, which cost the same.
_base_ = "lomar_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"

model = dict(backbone=dict(img_size=384))
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 384
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
