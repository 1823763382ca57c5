# LocalMIM ViT-S, 100 epochs. Not in the paper: ViT-B's recipe on the smaller encoder.
_base_ = "localmim_vit-base-p16_8xb256-amp-coslr-100e_in1k.py"

# mmpretrain's "small" is 768 wide; "deit-small" is the usual ViT-S.
model = dict(backbone=dict(arch="deit-small"))
