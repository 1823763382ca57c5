import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


def test_only_the_head_learns_and_the_backbone_stays_in_evaluation_mode():
    model = MODELS.build(
        dict(
            type="LinearProbe",
            backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", num_classes=3, in_channels=64),
        )
    ).train()
    wrapper = build_optim_wrapper(
        model, dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    )
    assert not any(module.training for module in model.backbone.modules())
    assert model.training and model.head.training
    before = {name: x.clone() for name, x in model.state_dict().items()}
    batch = dict(
        inputs=torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(n % 3) for n in range(4)],
    )
    model.train_step(batch, wrapper)
    moved = [name for name, x in model.state_dict().items() if not x.equal(before[name])]
    assert moved == ["head.fc.weight", "head.fc.bias"]
    assert all(x.grad is None for x in model.backbone.parameters())
