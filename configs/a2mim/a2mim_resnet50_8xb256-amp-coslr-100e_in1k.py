# A2MIM ResNet-50, 100 epochs.
_base_ = "a2mim_resnet50_8xb256-amp-coslr-300e_in1k.py"

# The gamma learns as slowly as the token, which it does not in 300 epochs.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(mask_gamma=dict(lr_mult=0.1, decay_mult=0.0)))
)
train_cfg = dict(max_epochs=100)
