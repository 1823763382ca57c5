# A2MIM ResNet-50, 100 epochs.
_base_ = "a2mim_resnet50_8xb256-amp-coslr-300e_in1k.py"

train_cfg = dict(max_epochs=100)
