# Normalised pixels instead of HOG: patches of 8, 16, 32 and 32 pixels.
_base_ = "localmim_swin-base-w7_8xb256-amp-coslr-100e_in1k.py"

model = dict(
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(8, 16, 32, 32))
)
