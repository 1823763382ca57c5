# Gradient-isolated training: each tap trains its own segment of the encoder only.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(backbone=dict(isolate_gradients=True))
