"""Conversion of ResNets and ConvNeXts: decoders, norms of outputs, recognition."""

import pytest
import timm
import torch
from library_models import CONVNEXTS, CONVNEXTS_V2, RESNETS, SWINS, build
from mmpretrain.models.backbones import ConvNeXt
from mmpretrain.models.classifiers import ImageClassifier
from test_convert import pretrained, state_of, without
from timm.models.convnext import ConvNeXt as TimmConvNeXt

from localmim.checkpoints import convert, init_weights
from localmim.checkpoints.reading import recognise


def with_decoders(kind):
    """A training checkpoint of LocalMIM on a ResNet or ConvNeXt, its first tap merged by 2x2."""
    return pretrained(kind).state_dict() | {"target_generator.offsets": torch.randn(4, 2)}


@pytest.mark.parametrize(
    "kind, dialects",
    [
        ("resnet", ("mmpretrain", "mmdet", "timm", "a2mim")),
        ("convnext", ("mmpretrain", "timm", "a2mim")),
    ],
)
def test_decoders_of_convolutional_encoders_come_along_or_are_left_behind(kind, dialects):
    state = with_decoders(kind)
    norms = {"backbone.norm0.weight", "neck.decoders.0.input_norm.weight"} & state.keys()
    same = convert(state, "localmim")
    assert same.report.source.startswith("localmim") and not same.report.alternatives
    assert same.architecture.targets == "HOG, 9 bins" and not same.report.dropped
    assert same.state_dict.keys() == state.keys() and len(norms) == 1
    assert all(torch.equal(same.state_dict[name], state[name]) for name in state)

    encoder = {n: x for n, x in state.items() if n.startswith("backbone.")}
    encoder = without(encoder, "norm0", "norm1", "norm2")
    for dialect in dialects:
        conversion = convert(state, dialect)
        dropped = conversion.report.dropped
        assert conversion.state_dict.keys() == convert(encoder, dialect).state_dict.keys()
        assert len(dropped) + len(conversion.state_dict) == len(state)
        for name in ("decoders.0.mask_token", "tap_norms.0.weight", "targets.offsets"):
            reason = "no place for" if dialect == "a2mim" else "serve pre-training only"
            assert reason in dropped[name]


def test_norms_of_outputs_stay_in_mmpretrain_and_are_none_of_taps():
    arch = dict(depths=[1, 1, 2, 1], channels=[8, 16, 32, 64])
    state = build(lambda: ConvNeXt(arch, out_indices=(0, 1, 2, 3))).state_dict()
    assert convert(state, "mmpretrain").report.dropped == {}
    for dialect in ("localmim", "a2mim", "timm"):
        conversion = convert(state, dialect, "mmpretrain")
        assert len(conversion.report.dropped) == 6 and len(conversion.state_dict) == len(state) - 6
        assert "norms of outputs" in conversion.report.dropped["stage_norms.2.bias"]


@pytest.mark.parametrize(
    "kind, name, message",
    [
        ("resnet", "neck.decoders.2.input_norm.bias", r"tap_norms.2.bias .*\(127,\).*\(128\)"),
        ("resnet", "neck.decoders.2.embed.weight", r"embed.weight .*\(16, 127\).*\(any, 128\)"),
        ("resnet", "neck.decoders.0.embed.weight", r"decoders.0.embed.weight .*\(16, 127\)"),
        ("resnet", "neck.decoders.1.norm.weight", r"decoders.1.norm.weight .*\(15,\).*\(16\)"),
        ("convnext", "neck.decoders.1.norm.weight", r"decoders.1.norm.weight .*\(15,\).*\(16\)"),
        ("convnext", "backbone.norm1.weight", r"tap_norms.1.weight .*\(31,\).*\(32\)"),
    ],
)
def test_shapes_of_decoders_are_checked(kind, name, message):
    state = with_decoders(kind)
    with pytest.raises(ValueError, match=message):
        convert(state | {name: state[name][..., :-1]}, "timm", "localmim")


@pytest.mark.parametrize("kind", ["resnet", "convnext"])
def test_decoders_lack_nothing_silently(kind):
    state = with_decoders(kind)
    for name in ("decoders.3.mask_token", "decoders.0.blocks.0.ln1.bias", "decoders.2.pred.weight"):
        with pytest.raises(ValueError, match="1 missing .decoders"):
            convert(without(state, name), "timm", "localmim")
    with pytest.raises(ValueError, match=r"1 unknown .neck.decoders.0.gate"):
        convert(state | {"neck.decoders.0.gate": torch.ones(1)}, "timm", "localmim")


@pytest.mark.parametrize("models, kind", [(RESNETS, "ResNet"), (CONVNEXTS, "ConvNeXt")])
def test_what_a2mim_adds_has_shapes_that_go_together(models, kind):
    state = state_of(("localmim", kind), models, whole=True)
    state |= {f"backbone.mask_{part}": torch.ones(1, 8, 1, 1) for part in ("token", "gamma")}
    state |= {"neck.pred.weight": torch.ones(48, 64, 1, 1), "neck.pred.bias": torch.ones(48)}
    assert len(convert(state, "timm").report.dropped) == 4
    for name, shape in {
        "backbone.mask_token": (1, 8),
        "backbone.mask_gamma": (1, 4, 1, 1),
        "neck.pred.weight": (48, 64),
        "neck.pred.bias": (47,),
    }.items():
        with pytest.raises(ValueError, match="the rest of the model asks for"):
            convert(state | {name: torch.ones(shape)}, "timm", "localmim")


def test_a_fine_tuned_convnext_classifies_alike_in_mmpretrain():
    sizes = dict(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64))
    timm_model = build(lambda: TimmConvNeXt(num_classes=5, **sizes))
    arch = dict(depths=[1, 1, 2, 1], channels=[8, 16, 32, 64])
    head = dict(type="LinearClsHead", num_classes=5, in_channels=64)
    ours = build(lambda: ImageClassifier(dict(type="ConvNeXt", arch=arch), head=head), seed=3)
    state = convert(timm_model.state_dict(), "mmpretrain").state_dict
    ours.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, 64, 64).double()
    torch.testing.assert_close(ours.head(ours.extract_feat(x)), timm_model(x))
    back = convert(state, "timm").state_dict
    assert back.keys() == timm_model.state_dict().keys()
    assert "no place for a classifier" in convert(state, "a2mim").report.dropped["head.weight"]


@pytest.mark.parametrize(
    "models, family", [(SWINS, "swin"), (CONVNEXTS, "convnext"), (CONVNEXTS_V2, "convnext")]
)
def test_a_swin_is_no_convnext(models, family):
    for kind in models:
        readings = recognise(state_of(kind, models))
        assert readings[0].complete and {r.table.family for r in readings} == {family}


@pytest.mark.parametrize(
    "name, size",
    [
        ("convnext_tiny", "convnext-tiny: width 96, depth 3-3-9-3, patches of 4 px"),
        ("convnext_small", "convnext-small: width 96, depth 3-3-27-3, patches of 4 px"),
        ("convnextv2_base", "convnext-base: width 128, depth 3-3-27-3, patches of 4 px"),
        ("convnext_large", "convnext-large: width 192, depth 3-3-27-3, patches of 4 px"),
        ("convnext_atto", "convnext: width 40, depth 2-2-6-2, patches of 4 px"),
    ],
)
def test_usual_convnexts_are_named(name, size):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    architecture = convert(state, "mmpretrain").architecture
    assert str(architecture) == size and architecture.image_size is None


def test_tokens_of_pre_training_need_no_place_in_an_encoder(tmp_path):
    state = state_of(("a2mim", "ConvNeXt"), CONVNEXTS, whole=True)
    state |= {f"backbone.mask_{part}": torch.ones(1, 8, 1, 1) for part in ("token", "gamma")}
    torch.save({"state_dict": state}, tmp_path / "pretrained.pth")
    model = torch.nn.Module()
    model.backbone = ConvNeXt(
        dict(depths=[1, 1, 2, 1], channels=[8, 16, 32, 64]),
        init_cfg=dict(
            type="Pretrained", checkpoint=str(tmp_path / "pretrained.pth"), prefix="backbone."
        ),
    )
    model.init_weights = model.backbone.init_weights
    report = init_weights(model)["backbone"]
    assert set(report.loaded) == set(model.backbone.state_dict())
    assert set(report.unused) == {"mask_token", "mask_gamma"}
