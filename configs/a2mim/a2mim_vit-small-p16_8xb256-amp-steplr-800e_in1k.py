# A2MIM ViT-S (DeiT's, 384 wide), 800 epochs.
_base_ = "a2mim_vit-base-p16_8xb256-amp-steplr-800e_in1k.py"

model = dict(backbone=dict(arch="deit-small"))
