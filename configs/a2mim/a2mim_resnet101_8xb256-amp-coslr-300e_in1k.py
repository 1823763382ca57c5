# A2MIM ResNet-101, 300 epochs.
_base_ = "a2mim_resnet50_8xb256-amp-coslr-300e_in1k.py"

model = dict(backbone=dict(depth=101))
