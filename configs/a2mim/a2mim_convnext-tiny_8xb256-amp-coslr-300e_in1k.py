# A2MIM ConvNeXt-T, 300 epochs, without the frequency loss (the release of Li et al., ICML 2023).
_base_ = "a2mim_resnet50_8xb256-amp-coslr-300e_in1k.py"

model = dict(
    backbone=dict(_delete_=True, type="MaskedConvNeXt", arch="tiny"),
    head=dict(frequency_weight=0.0),
)

# The gamma learns as slowly as the token.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(mask_gamma=dict(lr_mult=0.1, decay_mult=0.0)))
)
