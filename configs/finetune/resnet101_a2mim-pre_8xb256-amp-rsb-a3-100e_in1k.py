# Fine-tuning of ResNet-101 from A2MIM by RSB A3.
_base_ = "resnet50_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k.py"

model = dict(backbone=dict(depth=101))
