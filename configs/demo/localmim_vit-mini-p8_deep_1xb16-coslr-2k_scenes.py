# Decoders of two blocks in the place of one.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(neck=dict(depth=2))
