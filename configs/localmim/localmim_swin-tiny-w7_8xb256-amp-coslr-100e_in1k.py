# LocalMIM Swin-T by the recipe of Swin-B, 100 epochs. Not in the paper.
_base_ = "localmim_swin-base-w7_8xb256-amp-coslr-100e_in1k.py"

model = dict(backbone=dict(arch="tiny"))
