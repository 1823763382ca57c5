# Decoders of two blocks in the place of one.
_base_ = "localmim_vit-mini-p8_1xb64-coslr-2k_scenes.py"

model = dict(neck=dict(depth=2))
