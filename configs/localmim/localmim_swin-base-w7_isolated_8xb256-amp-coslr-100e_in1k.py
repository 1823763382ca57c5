# Gradient-isolated training: each tap trains its own stage of the encoder only.
_base_ = "localmim_swin-base-w7_8xb256-amp-coslr-100e_in1k.py"

model = dict(backbone=dict(isolate_gradients=True))
