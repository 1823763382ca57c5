# Fine-tuning of ViT-S from A2MIM, 800 epochs, as ViT-B.
_base_ = "vit-base-p16_a2mim-800e-pre_8xb128-amp-coslr-100e_in1k.py"

model = dict(backbone=dict(arch="deit-small"), head=dict(in_channels=384))
