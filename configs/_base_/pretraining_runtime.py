# Of pre-training: pictures of reconstructions, and signals of health that need no labels.
_base_ = "default_runtime.py"

custom_hooks = [
    *_base_.custom_hooks,
    # Both look at images of the training data, the same ones each time.
    dict(type="ReconstructionHook", interval=10),
    dict(type="SignalsHook", interval=1),
]
