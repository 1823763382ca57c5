# All taps predict HOG of coarse cells, 4x4 of an image: of all that was tried on these scenes, what
# got furthest in a few minutes (docs/benchmarks/acceleration.md).
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(target_generator=dict(cells=(16, 16, 16, 16)))
