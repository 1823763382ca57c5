"""What conversion keeps, moves, leaves out and refuses."""

import pytest
import tiny
import torch
from library_models import (
    BEITS,
    CONVNEXTS,
    CONVNEXTS_OF_CONVS,
    CONVNEXTS_V2,
    RESNETS,
    SIZES,
    SWINS,
    VITS,
    build,
    features,
)
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from reference_formula import figures, image, noise, released_parameter, summary
from slow_lomar import predict
from timm.models.swin_transformer import SwinTransformer as TimmSwin
from timm.models.vision_transformer import VisionTransformer as TimmViT

from localmim.checkpoints import DIALECTS, convert
from localmim.masking import PatchMask


def state_of(kind, models=VITS, whole=False):
    prefix = "backbone." if whole else ""
    return {prefix + n: x for n, x in build(models[kind]).state_dict().items()}


def pretrained(kind="vit", **settings):
    """A pre-training model of this project with random weights."""
    return build(lambda: MODELS.build(tiny.MODELS[kind](**settings)))


TIMM_VIT = state_of(("timm", "VisionTransformer"))
TIMM_SWIN = state_of(("timm", "SwinTransformer"), SWINS)
TIMM_CONVNEXT = state_of(("timm", "ConvNeXt"), CONVNEXTS)
TIMM_CONVNEXT_V2 = state_of(("timm", "ConvNeXt"), CONVNEXTS_V2)


# What there is, and how it comes through a release's format


def with_offsets():
    offsets = [(0.1, -0.2), (0.3, 0.0), (0.0, 0.5), (-1.0, 1.0)]
    settings = tiny.localmim()
    settings["target_generator"]["offsets"] = offsets
    return settings


def swin_with_pixels():
    settings = tiny.localmim_swin()
    settings["target_generator"] = dict(type="MultiScalePixels", patch_sizes=(8, 16, 32, 32))
    return settings


@pytest.mark.parametrize(
    "settings",
    [tiny.localmim(), with_offsets(), tiny.localmim_swin(), swin_with_pixels()],
    ids=["vit", "vit with offsets", "swin", "swin pixels"],
)
def test_a_training_checkpoint_goes_to_the_released_format_and_back(settings):
    state = build(lambda: MODELS.build(settings)).state_dict()
    there = convert(state, "localmim-release", "localmim", hints={"image_size": (64, 64)})
    assert "decoder.0.pos_embed" in there.state_dict
    hog = settings["target_generator"]["type"] == "MultiScaleHOG"
    assert ("hog_enc.0.conv.weight" in there.state_dict) == hog
    back = convert(there.state_dict, "localmim")  # recognised
    assert back.report.source.startswith("localmim-release") and not back.report.dropped
    assert back.state_dict.keys() == state.keys()
    assert all(torch.equal(back.state_dict[name], state[name]) for name in state)


def test_an_encoder_and_decoder_of_mae_come_through_its_release():
    settings = tiny.localmim(out_indices=(-1,))
    settings |= dict(type="MaskedImageModel", target_generator=dict(type="MultiScalePixels"))
    settings["target_generator"]["patch_sizes"] = (16,)
    settings["neck"]["depth"] = 2
    state = build(lambda: MODELS.build(settings)).state_dict()
    released = convert(state, "mae", "localmim").state_dict
    assert released["decoder_pred.weight"].shape == (768, 16)
    assert released["decoder_pos_embed"].shape == (1, 17, 16)
    back = convert(released, "localmim").state_dict
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_lomar_gives_its_figures_from_its_released_names():
    expected = figures("lomar_vit")
    names = {"cls_token": (1, 1, 96), "mask_token": (1, 1, 96), "pos_embed": (1, 101, 96)}
    names |= {"patch_embed.proj.weight": (96, 3, 16, 16), "patch_embed.proj.bias": (96,)}
    for i in range(4):
        for part, shape in {"attn.qkv": (288, 96), "attn.proj": (96, 96)}.items():
            names |= {f"blocks.{i}.{part}.weight": shape, f"blocks.{i}.{part}.bias": shape[:1]}
        for part, shape in {"mlp.fc1": (384, 96), "mlp.fc2": (96, 384)}.items():
            names |= {f"blocks.{i}.{part}.weight": shape, f"blocks.{i}.{part}.bias": shape[:1]}
        for part in ("norm1", "norm2"):
            names |= {f"blocks.{i}.{part}.weight": (96,), f"blocks.{i}.{part}.bias": (96,)}
        names[f"blocks.{i}.attn.rpe_k.lookup_table_weight"] = (1, 32, 50)
    names |= {"norm.weight": (96,), "norm.bias": (96,)}
    names |= {"encoder_pred.weight": (768, 96), "encoder_pred.bias": (768,)}
    released = {name: released_parameter(name, shape) for name, shape in names.items()}
    conversion = convert(released, "localmim")
    assert conversion.report.source.startswith("lomar")
    assert conversion.report.dropped == {"pos_embed": "LoMaR adds no absolute positions"}

    hidden = noise(2, 49).argsort(1).argsort(1) < 39
    window = image(160, 160)[:, :, 32:144, 32:144]
    found = summary(predict(conversion.state_dict, window, hidden, heads=3))
    for name in ("mean", "std", "first", "last"):
        assert found[name] == pytest.approx(expected["pred"][name], rel=1e-9, abs=1e-12)

    with pytest.raises(ValueError, match=r"timm \(vit_\*\) needs pos_embed"):
        convert(released, "timm")


@pytest.mark.parametrize(
    "models, kind", [(BEITS, "BEiTViT"), (RESNETS, "ResNet"), (CONVNEXTS, "ConvNeXt")]
)
def test_what_a2mim_adds_stays_in_its_own_kinds_and_is_reported_elsewhere(models, kind):
    state = state_of(("a2mim", kind), models, whole=True)
    extra = {
        "backbone.mask_token": torch.randn(1, 8, 1, 1),
        "neck.decoder_pred.0.weight": torch.randn(48, 8, 1, 1),
        "neck.decoder_pred.0.bias": torch.randn(48),
    }
    if kind != "BEiTViT":
        extra["backbone.mask_gamma"] = torch.randn(1, 8, 1, 1)
    ours = convert(state | extra, "localmim")
    assert ours.report.source.startswith("a2mim") and "neck.pred.weight" in ours.state_dict
    back = convert(ours.state_dict, "a2mim", "localmim").state_dict
    assert back.keys() == (state | extra).keys()
    assert all(torch.equal(back[name], x) for name, x in (state | extra).items())

    plain = convert(state | extra, "mmpretrain")
    assert plain.state_dict.keys() == state.keys()
    assert len(plain.report.dropped) >= len(extra)


# Swins of the release


def released_swin():
    model = pretrained("swin", size=128, norm_eps=1e-5)
    conversion = convert(
        model.state_dict(), "localmim-release", "localmim", hints={"image_size": (128, 128)}
    )
    return model, conversion.state_dict


def features_in_timm(state):
    model = build(SWINS["timm", "SwinTransformer"])
    model.load_state_dict(state)
    return features(model, torch.ones(1, 3, 128, 128).double().cumsum(3) / 64)


def test_merging_is_read_as_it_was_trained_or_as_the_authors_transfer_reads_it():
    model, released = released_swin()
    x = torch.ones(1, 3, 128, 128).double().cumsum(3) / 64
    nothing_hidden = PatchMask.from_hidden(torch.zeros(1, 4, 4, dtype=torch.bool))
    trained = model.backbone(x, nothing_hidden)[-1].transpose(1, 2).unflatten(2, (4, 4))
    by_row = features_in_timm(convert(released, "timm").state_dict)
    torch.testing.assert_close(by_row, trained, rtol=1e-9, atol=1e-9)

    # The authors' fine-tuning takes the weights unchanged into a model that reads by columns.
    unchanged = {
        name.removeprefix("encoder."): value
        for name, value in released.items()
        if name.startswith("encoder.") and "norm." not in name.split("encoder.")[1][:5]
    } | {f"norm.{p}": released[f"encoder.norm.3.{p}"] for p in ("weight", "bias")}
    theirs = features_in_timm(convert(unchanged, "timm", "localmim-finetuned").state_dict)
    by_column = convert(released, "timm", "localmim-release", merge_order="column").state_dict
    torch.testing.assert_close(features_in_timm(by_column), theirs, rtol=0, atol=0)
    assert not torch.allclose(theirs, trained, rtol=0.01)
    for source, order in (("timm", "row"), ("localmim-release", "diagonal")):
        with pytest.raises(ValueError, match=f"merge_order '{order}' is a choice"):
            convert(released, "timm", source, merge_order=order)


# Classifiers


def test_a_fine_tuned_vit_classifies_alike_in_mmpretrain():
    timm_model = build(
        lambda: TimmViT(
            img_size=48,
            embed_dim=32,
            depth=7,
            num_heads=4,
            mlp_ratio=2,
            num_classes=5,
            global_pool="avg",
        )
    )
    arch = dict(embed_dims=32, num_layers=7, num_heads=4, feedforward_channels=64)
    backbone = dict(type="VisionTransformer", arch=arch, img_size=48)
    backbone |= dict(out_type="avg_featmap", final_norm=False)
    head = dict(type="LinearClsHead", num_classes=5, in_channels=32)
    ours = build(lambda: ImageClassifier(backbone, head=head), seed=3)
    state = convert(timm_model.state_dict(), "mmpretrain", "localmim-finetuned").state_dict
    ours.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, 48, 48).double()
    torch.testing.assert_close(ours.head(ours.extract_feat(x)), timm_model(x))


def test_a_fine_tuned_swin_keeps_its_classifier_and_drops_what_is_computed():
    timm_model = build(
        lambda: TimmSwin(
            img_size=64,
            embed_dim=16,
            depths=(2, 2, 2, 2),
            num_heads=(1, 2, 4, 8),
            window_size=2,
            num_classes=5,
        )
    )
    original = convert(timm_model.state_dict(), "localmim-finetuned").state_dict
    original["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 4, 4)
    original["layers.0.blocks.1.attn.relative_position_index"] = torch.zeros(4, 4)
    back = convert(original, "timm")
    assert len(back.report.dropped) == 2
    assert back.state_dict.keys() == timm_model.state_dict().keys()
    x = torch.randn(2, 3, 64, 64).double()
    expected = timm_model(x)
    timm_model.load_state_dict(back.state_dict)
    assert torch.equal(timm_model(x), expected)


# Across kinds of ViT


def test_mmseg_mae_gets_unit_layer_scale_and_starts_with_zero_biases():
    conversion = convert(TIMM_VIT, "mmseg-mae")
    assert len(conversion.report.filled) == 14 and len(conversion.report.missing) == 7
    model = build(BEITS["mmseg-mae", "MAE"])
    for name, parameter in model.named_parameters():
        if "relative_position_bias_table" in name:
            torch.nn.init.zeros_(parameter)
    result = model.load_state_dict(conversion.state_dict, strict=False)
    assert not result.unexpected_keys
    assert {name.split(".")[-1] for name in result.missing_keys} == {
        "relative_position_bias_table",
        "relative_position_index",
    }
    source = build(VITS["timm", "VisionTransformer"])
    x = torch.randn(2, 3, *SIZES["vit"]).double()
    torch.testing.assert_close(features(model, x), features(source, x), rtol=1e-9, atol=1e-9)


def test_relative_positions_have_no_place_in_a_plain_vit():
    state = state_of(("mmseg-mae", "MAE"), BEITS)
    with pytest.raises(ValueError, match=r"no place for 21 tensors of mmseg-mae.*blocks"):
        convert(state, "timm")
    report = convert(state, "timm", strict=False).report
    assert len(report.unplaced) == 21 and "21 without a place in the target" in str(report)


def test_an_encoder_leaves_its_decoders_behind_and_says_so():
    conversion = convert(pretrained().state_dict(), "timm")
    reasons = set(conversion.report.dropped.values())
    assert conversion.report.source.startswith("localmim") and len(reasons) == 2
    assert any("decoders serve pre-training only" in line for line in reasons)
    assert not any("decoder" in name for name in conversion.state_dict)


# Recognition and refusal


@pytest.mark.parametrize(
    "models",
    [VITS, BEITS, SWINS, RESNETS, CONVNEXTS, CONVNEXTS_V2, CONVNEXTS_OF_CONVS],
    ids=["vit", "beit", "swin", "resnet", "convnext", "convnext v2", "convnext of convolutions"],
)
def test_files_of_libraries_are_recognised(models):
    hints = {"image_size": SIZES["swin"]} if models is SWINS else None
    for dialect, name in models:
        whole = dialect in ("mmpretrain", "mmdet", "localmim", "a2mim")
        report = convert(state_of((dialect, name), models, whole), "mmpretrain", hints=hints).report
        seen = [report.source, *report.alternatives]
        assert any(title.startswith(f"{dialect} ") for title in seen), (dialect, seen)


def without(state, *parts):
    return {n: x for n, x in state.items() if not any(part in n for part in parts)}


def test_parts_of_whole_models_are_left_out():
    detector = state_of(("mmdet", "SwinTransformer"), SWINS, whole=True)
    heads = {"neck.fpn.0.weight": torch.ones(1), "roi_head.bbox_head.fc.weight": torch.ones(1)}
    conversion = convert(detector | heads, "timm", "mmdet")
    assert set(conversion.report.dropped) == set(heads)
    classifier = {f"vit.{n}": x for n, x in state_of(("transformers", "ViTModel")).items()}
    classifier |= {"classifier.weight": torch.ones(2, 32), "classifier.bias": torch.ones(2)}
    assert len(convert(classifier, "timm").report.dropped) == 2


@pytest.mark.parametrize(
    "state, source, message",
    [
        (TIMM_VIT | {"rope.freqs": torch.ones(1)}, "timm", r"not a checkpoint of timm.*1 unknown"),
        (TIMM_VIT | {"rope.freqs": torch.ones(1)}, "auto", r"nearest to timm.*unknown \(rope"),
        (without(TIMM_VIT, "blocks.3.attn.proj.bias"), "timm", "1 missing .blocks.3.attn.proj.b"),
        (without(TIMM_VIT, "blocks.3."), "auto", r"12 missing \(blocks.3"),
        (without(TIMM_VIT, "pos_embed"), "timm", r"missing \(pos_embed\)"),
        (without(TIMM_SWIN, "layers.2.downsample"), "auto", r"3 missing \(stages.1.merge"),
        (without(TIMM_SWIN, "layers.0.blocks.1.attn.rel"), "auto", "1 missing .stages.0.blocks.1"),
        (without(TIMM_CONVNEXT, "stages.2.downsample"), "auto", r"4 missing .stages.2.downsample"),
        (
            without(TIMM_CONVNEXT, "stages.2.blocks.1.gamma"),
            "timm",
            r"1 missing .stages.2.blocks.1",
        ),
        (
            without(TIMM_CONVNEXT, "stages.1.blocks.0.conv_dw.b"),
            "timm",
            "1 missing .stages.1.*dw.b",
        ),
        (without(TIMM_CONVNEXT, "stages.3."), "auto", r"13 missing .stages.3"),
        (without(TIMM_CONVNEXT, "stem.1.bias"), "timm", r"1 missing .stem.1.bias"),
        (without(TIMM_CONVNEXT, "head.norm.bias"), "timm", r"1 missing .norm.bias"),
        (without(TIMM_CONVNEXT, "head.norm"), "timm", r"1 missing .norm.weight"),
        (
            without(TIMM_CONVNEXT_V2, "stages.0.blocks.0.mlp.grn.bias"),
            "timm",
            r"1 missing .*grn.bias",
        ),
        (TIMM_CONVNEXT | {"stem.2.weight": torch.ones(8)}, "auto", r"1 unknown .stem.2.weight"),
        (
            TIMM_CONVNEXT | {"stages.0.downsample.0.weight": torch.ones(8)},
            "timm",
            r"1 unknown .stages.0.downsample.0.weight",
        ),
        (TIMM_CONVNEXT, "localmim-release", r"not a checkpoint of localmim-release"),
        (TIMM_SWIN, "mmdet", r"not a checkpoint of mmdet"),
        ({}, "auto", "not recognised"),
        ({"weight": torch.ones(3)}, "auto", r"not recognised.*unknown \(weight\)"),
    ],
)
def test_what_does_not_fit_is_named(state, source, message):
    with pytest.raises(ValueError, match=message):
        convert(state, "mmpretrain", source)


def test_a_missing_part_of_joined_weights_is_named():
    state = state_of(("transformers", "ViTModel"))
    state = without(state, "layer.2.attention.attention.key.bias")
    with pytest.raises(ValueError, match=r"vit.encoder.layer.2.attention.attention.key.bias"):
        convert(state, "timm", "transformers")


def test_a_resnet_lacks_nothing_silently():
    state = state_of(("timm", "ResNet"), RESNETS)
    for name in ("layer3.0.downsample.1.running_mean", "layer2.1.conv3.weight", "bn1.bias"):
        with pytest.raises(ValueError, match=f"1 missing .{name}"):
            convert({n: x for n, x in state.items() if n != name}, "mmdet", "timm")


def test_wrong_architectures_and_kinds_are_refused():
    with pytest.raises(ValueError, match="mmdet is not for a model of the family vit; it has Swin"):
        convert(TIMM_VIT, "mmdet")
    with pytest.raises(ValueError, match="mmseg is not for a model of the family convnext; it has"):
        convert(TIMM_CONVNEXT, "mmseg")
    with pytest.raises(ValueError, match="a ConvNeXt has no positions"):
        convert(TIMM_CONVNEXT, "mmpretrain", image_size=(64, 64))
    with pytest.raises(ValueError, match="a ConvNeXt has no positions"):
        convert(TIMM_CONVNEXT, "mmpretrain", window=7)
    with pytest.raises(ValueError, match="patches of 4x3 pixels are not square"):
        convert(TIMM_CONVNEXT | {"stem.0.weight": torch.ones(8, 3, 4, 3)}, "mmpretrain")
    with pytest.raises(ValueError, match="'torchvision' is no kind of checkpoint; there are mmpre"):
        convert(TIMM_VIT, "torchvision")
    odd = {n: x[:-1] if n.endswith("bias_table") else x for n, x in TIMM_SWIN.items()}
    with pytest.raises(ValueError, match="a table of 8 relative positions is not that of a square"):
        convert(odd, "mmseg")
    assert len(DIALECTS) == 13


@pytest.mark.parametrize(
    "state, name, change, message",
    [
        (TIMM_VIT, "blocks.2.attn.qkv.weight", lambda x: x[:-1], r"\(95, 32\).*\(96, 32\)"),
        (TIMM_VIT, "blocks.2.mlp.fc2.weight", lambda x: x.T, r"\(64, 32\).*\(32, 64\)"),
        (TIMM_VIT, "pos_embed", lambda x: x[..., :-1], r"\(1, 10, 31\).*\(1, any, 32\)"),
        (TIMM_VIT, "cls_token", lambda x: x[0], r"\(1, 32\).*\(1, 1, 32\)"),
        (TIMM_SWIN, "layers.2.blocks.0.norm1.bias", lambda x: x[:-1], r"\(63,\).*\(64\)"),
        (TIMM_SWIN, "layers.2.downsample.norm.weight", lambda x: x[:-4], r"\(124,\).*\(128\)"),
        (
            TIMM_SWIN,
            "layers.2.downsample.norm.weight",
            lambda x: x[:-1],
            r"misshapen .layers.2.*127",
        ),
        (TIMM_CONVNEXT, "stem.1.weight", lambda x: x[:-1], r"\(7,\).*\(8\)"),
        (TIMM_CONVNEXT, "stages.1.downsample.0.bias", lambda x: x[:-1], r"\(7,\).*\(8\)"),
        (
            TIMM_CONVNEXT,
            "stages.1.downsample.1.weight",
            lambda x: x[:, :-1],
            r"\(16, 7, 2, 2\).*\(16, 8, 2, 2\)",
        ),
        (
            TIMM_CONVNEXT,
            "stages.2.blocks.1.conv_dw.weight",
            lambda x: x.transpose(0, 1),
            r"\(1, 32, 7, 7\).*\(32, 1, any, any\)",
        ),
        (
            TIMM_CONVNEXT,
            "stages.2.blocks.1.mlp.fc2.weight",
            lambda x: x.T,
            r"\(128, 32\).*\(32, 128",
        ),
        (
            TIMM_CONVNEXT,
            "stages.3.blocks.0.mlp.fc1.weight",
            lambda x: x[..., None, None],
            r"\(256, 64, 1, 1\).*\(256, 64\)",
        ),
        (TIMM_CONVNEXT, "stages.0.blocks.0.gamma", lambda x: x[:-1], r"\(7,\).*\(8\)"),
        (TIMM_CONVNEXT, "head.norm.weight", lambda x: x[:-1], r"\(63,\).*\(64\)"),
        (
            TIMM_CONVNEXT_V2,
            "stages.0.blocks.0.mlp.grn.weight",
            lambda x: x[None, None, None],
            r"\(1, 1, 1, 32\).*\(32\)",
        ),
        (
            state_of(("timm", "ResNet"), RESNETS),
            "layer2.1.bn2.running_var",
            lambda x: x[:-1],
            r"\(127,\).*\(128\)",
        ),
        (
            state_of(("transformers", "ViTModel")),
            "encoder.layer.1.attention.attention.key.weight",
            lambda x: x[:, :-1],
            r"misshapen \(encoder.layer.1.attention.attention.query.weight \(32, 32\) and",
        ),
    ],
)
def test_shapes_that_contradict_each_other_are_refused(state, name, change, message):
    with pytest.raises(ValueError, match=message):
        convert(state | {name: change(state[name])}, "mmpretrain")


def test_stored_constants_that_were_changed_are_refused():
    swin = state_of(("mmseg", "SwinTransformer"), SWINS)
    name = "stages.1.blocks.0.attn.w_msa.relative_position_index"
    with pytest.raises(ValueError, match=f"{name}.*is not what mmseg"):
        convert(swin | {name: swin[name].flip(0)}, "timm", "mmseg")
    _, released = released_swin()
    for name, change in (("hog_enc.1.conv.weight", 0.01), ("decoder.2.pos_embed", 0.001)):
        with pytest.raises(ValueError, match=f"{name}.*is not what localmim-release"):
            convert(released | {name: released[name] + change}, "localmim")


def test_strict_is_the_default_and_can_be_a_report():
    state = without(TIMM_VIT, "blocks.6.mlp.fc2.bias") | {"rope.freqs": torch.ones(1)}
    conversion = convert(state, "mmseg", "timm", strict=False)
    assert conversion.report.unknown == ["rope.freqs"]
    assert conversion.report.missing == {"blocks.6.mlp.fc2.bias": "not in the source"}
    text = str(conversion.report)
    assert "1 missing" in text and "1 unknown in the source: rope.freqs" in text
    with pytest.raises(ValueError, match="not a checkpoint of timm"):
        convert({"cls_token": torch.ones(1)}, "mmseg", "timm", strict=False)
