# All taps predict HOG of cells as fine as patches: what several scales add.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(target_generator=dict(cells=(8, 8, 8, 8)))
