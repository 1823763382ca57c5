import pytest
import tiny
import torch
from mmdet.models.backbones import SwinTransformer as DetSwin
from mmengine.config import ConfigDict
from mmpretrain.models.backbones import SwinTransformer, VisionTransformer
from mmseg.models.backbones import MAE as SegMAE
from mmseg.models.backbones import SwinTransformer as SegSwin
from torch import nn

from localmim.checkpoints import compare_state_dicts, convert_file, init_weights, why_not_whole
from localmim.models import SparseSwin, SparseViT

OWN_OF_SWIN = {f"norm{n}.{kind}" for n in range(3) for kind in ("weight", "bias")}


class Model(nn.Module):
    """What holds a backbone in every library."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def init_weights(self):
        self.backbone.init_weights()


def pretrained(checkpoint, prefix="backbone."):
    return ConfigDict(type="Pretrained", checkpoint=str(checkpoint), prefix=prefix)


def vit(checkpoint, **changes):
    settings = dict(arch=tiny.ARCH, img_size=64, init_cfg=pretrained(checkpoint))
    return Model(VisionTransformer(**settings | changes))


def downstream_swin(kind, checkpoint, window=2, depths=(2, 2, 2, 2)):
    return Model(
        kind(
            embed_dims=16,
            depths=depths,
            num_heads=[1, 2, 4, 8],
            window_size=window,
            init_cfg=pretrained(checkpoint),
        )
    )


def saved(folder, backbone):
    path = folder / "encoder.pth"
    backbone.init_weights()
    state = {f"backbone.{name}": x for name, x in backbone.state_dict().items()}
    torch.save({"state_dict": state | {"neck.weight": torch.zeros(1)}}, path)
    return path


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory):
    encoder = SparseViT(arch=tiny.ARCH, img_size=64, out_indices=(-1,))
    return saved(tmp_path_factory.mktemp("vit"), encoder)


@pytest.fixture(scope="module")
def swin_file(tmp_path_factory):
    encoder = SparseSwin(arch=tiny.SWIN_ARCH, img_size=64, window_size=2)
    return saved(tmp_path_factory.mktemp("swin"), encoder)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, vit_file, swin_file):
    """dialect -> file."""
    folder = tmp_path_factory.mktemp("converted")
    sources = {"mmseg-mae": vit_file, "timm": vit_file, "mmseg": swin_file, "mmdet": swin_file}
    for dialect, source in sources.items():
        convert_file(source, folder / f"{dialect}.pth", dialect)
    return {dialect: folder / f"{dialect}.pth" for dialect in sources}


def test_an_encoder_receives_all_its_weights(vit_file):
    model = vit(vit_file)
    report = init_weights(model)["backbone"]
    expected = torch.load(vit_file)["state_dict"]
    assert set(report.loaded) == set(model.backbone.state_dict())
    assert not (report.resized or report.own or report.unused)
    for name in report.loaded:
        assert model.backbone.state_dict()[name].equal(expected[f"backbone.{name}"]), name
    assert str(report).startswith(f"{len(report.loaded)} tensors loaded from {vit_file}")


def test_positions_of_another_size_are_resized_and_norms_after_the_encoder_its_own(vit_file):
    report = init_weights(vit(vit_file, img_size=96, out_type="avg_featmap", final_norm=False))
    report = report["backbone"]
    assert report.resized == ("pos_embed",)
    assert set(report.own) == {"ln2.weight", "ln2.bias"}
    assert set(report.unused) == {"ln1.weight", "ln1.bias"}


def test_a_swin_with_taps_gives_its_weights_to_the_plain_one(swin_file):
    settings = dict(arch=tiny.SWIN_ARCH, img_size=64, window_size=2)
    report = init_weights(Model(SwinTransformer(**settings, init_cfg=pretrained(swin_file))))
    assert set(report["backbone"].unused) == OWN_OF_SWIN and not report["backbone"].own


@pytest.mark.parametrize(("kind", "dialect"), [(SegSwin, "mmseg"), (DetSwin, "mmdet")])
@pytest.mark.parametrize("window", [2, 4])
def test_swins_of_mmseg_and_mmdet(converted, kind, dialect, window):
    model = downstream_swin(kind, converted[dialect], window)
    report = init_weights(model)["backbone"]
    tables = {n for n in model.backbone.state_dict() if n.endswith("_bias_table")}
    assert set(report.resized) == (tables if window == 4 else set())
    own = {n for n in report.own if not n.endswith("relative_position_index")}
    assert own == OWN_OF_SWIN
    everything = {*report.loaded, *report.resized, *report.own}
    assert everything == set(model.backbone.state_dict())


def test_mae_of_mmseg_keeps_its_relative_positions(converted):
    backbone = SegMAE(
        img_size=(64, 64),
        embed_dims=32,
        num_layers=8,
        num_heads=4,
        mlp_ratio=2,
        init_cfg=pretrained(converted["mmseg-mae"]),
    )
    report = init_weights(Model(backbone))["backbone"]
    assert all("relative_position" in name for name in report.own) and len(report.own) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(init_cfg=pretrained("")), "init_cfg.checkpoint: no file is named.*init_cfg=None"),
        (dict(init_cfg=pretrained("gone.pth")), "'gone.pth' does not exist"),
        (dict(arch=tiny.ARCH | dict(num_layers=6)), "does not fit.*unexpected.*another arch"),
        (dict(arch=tiny.ARCH | dict(num_layers=9)), "does not fit.*missing.*layers.8"),
        (dict(arch=tiny.ARCH | dict(embed_dims=64)), r"mismatched.*\(1, 1, 32\) for \(1, 1, 64\)"),
    ],
)
def test_another_architecture_is_refused_before_anything_is_loaded(vit_file, changes, message):
    model = vit(vit_file, **changes)
    before = model.backbone.patch_embed.projection.weight.clone()
    with pytest.raises((ValueError, FileNotFoundError), match=f"model.backbone.{'.*'}{message}"):
        init_weights(model)
    assert model.backbone.patch_embed.projection.weight.equal(before)


def test_a_file_of_another_library_is_refused_with_the_command_that_converts_it(
    converted, swin_file
):
    with pytest.raises(ValueError, match="convert.py .*timm.pth converted.pth --to mmpretrain"):
        init_weights(vit(converted["timm"]))
    with pytest.raises(ValueError, match="--to mmseg "):
        init_weights(downstream_swin(SegSwin, swin_file))


def test_what_a_library_does_not_load_is_noticed(converted, vit_file, monkeypatch):
    # mmdet's loader takes names with a prefix only.
    with pytest.raises(ValueError, match="SwinTransformer could not load.*--to mmdet"):
        init_weights(downstream_swin(DetSwin, converted["mmseg"]))
    model = vit(vit_file)
    monkeypatch.setattr(model.backbone, "init_weights", lambda: None)
    with pytest.raises(ValueError, match="tensors of .* were not taken by VisionTransformer"):
        init_weights(model)


def test_evaluation_needs_a_whole_model(vit_file, swin_file):
    plain = Model(VisionTransformer(arch=tiny.ARCH, img_size=64))
    state = torch.load(vit_file)["state_dict"]  # with decoders besides
    assert not why_not_whole(plain, compare_state_dicts(state, plain.state_dict()))
    state.pop("backbone.ln1.weight")
    assert "other tensors" in why_not_whole(plain, compare_state_dicts(state, plain.state_dict()))
    shallow = tiny.SWIN_ARCH | dict(depths=[2, 2, 1, 2])
    swin = Model(SwinTransformer(arch=shallow, img_size=64, window_size=2))
    fit = compare_state_dicts(torch.load(swin_file)["state_dict"], swin.state_dict())
    assert "fewer layers" in why_not_whole(swin, fit)
