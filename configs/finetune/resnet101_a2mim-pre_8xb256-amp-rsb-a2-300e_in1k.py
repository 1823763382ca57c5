# Fine-tuning of ResNet-101 from A2MIM by RSB A2, with more stochastic depth and without the
# average of the weights (A2MIM's release).
_base_ = "resnet50_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k.py"

model = dict(backbone=dict(depth=101, drop_path_rate=0.1))
custom_hooks = _base_.custom_hooks[:-1]
