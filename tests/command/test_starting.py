"""Weights that somebody has, and a training that begins with them."""

import pytest
import timm
import torch
from mmpretrain.registry import MODELS
from safetensors.torch import save_file

from localmim.checkpoints import load_from_file
from localmim.command.machine import Machine
from localmim.command.planning import plan
from localmim.command.starting import Start, start_from
from localmim.command.wishes import Wishes
from localmim.data.survey import survey
from localmim.engine import settle_image_size

CPU = Machine(0, 2, "no GPU, 2 cores", ("float32", "there is no GPU"))

pytestmark = pytest.mark.usefixtures("untried")


def weights(path, name="vit_tiny_patch16_224", **settings):
    model = timm.create_model(name, num_classes=5, **settings)
    for tensor in model.state_dict().values():
        if tensor.dim() == 1 and tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    torch.save(model.state_dict(), path)
    return str(path)


def begin(folder, out, file, **wishes):
    start = Start.of(file)
    wishes = start.fitting(Wishes(str(folder), weights=file, **wishes))
    planned = plan(wishes, survey(folder), CPU, lambda _: None)
    out.mkdir()
    return planned, start_from(start, planned, out)


@pytest.mark.parametrize(
    "name, method, settings",
    [
        ("vit_tiny_patch16_224", "localmim", dict(img_size=64)),
        ("vit_tiny_patch16_224", "mae", dict(img_size=64)),
        ("swin_tiny_patch4_window7_224", "localmim", {}),
        ("resnet50", "localmim", {}),
    ],
)
def test_the_training_begins_with_the_features_of_the_file(
    tmp_path, folder, name, method, settings
):
    """Positions of another size included; what is printed is what was compared."""
    file = weights(tmp_path / "source.pth", name, **settings)
    size = 224 if "swin" in name else 96
    planned, said = begin(folder, tmp_path / "out", file, method=method, image_size=size)
    assert said.startswith(f"Starting from {file}, ") and "features at step 0 are its own" in said
    assert planned.cfg.load_from == str(tmp_path / "out" / "start.pth")
    assert planned.choices["encoder"].value == {"v": "vit-tiny", "s": "swin-tiny"}.get(
        name[0], "resnet50"
    )
    assert planned.choices["channels"].why == "as you said"


def test_a_file_that_says_how_it_sees_images(tmp_path, folder):
    model = timm.create_model("vit_tiny_patch16_224", img_size=48, num_classes=0)
    about = {"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]", "image_size": "[48, 48]"}
    about["localmim_version"] = "0.1.0"
    file = str(tmp_path / "a.safetensors")
    save_file(model.state_dict(), file, about)
    planned, _ = begin(folder, tmp_path / "out", file, image_size=64)
    assert list(planned.cfg.data_preprocessor.mean) == [127.5] * 3
    assert list(planned.cfg.data_preprocessor.std) == [63.75] * 3


def test_an_encoder_that_gives_other_features_is_refused(tmp_path, folder, monkeypatch):
    """As a wrong conversion would."""
    from localmim.command import starting

    usual = starting.write_checkpoint

    def wrong(path, state, meta):
        usual(path, state | {"backbone.ln1.weight": 2 * state["backbone.ln1.weight"]}, meta)

    monkeypatch.setattr(starting, "write_checkpoint", wrong)
    file = weights(tmp_path / "source.pth", img_size=64)
    with pytest.raises(ValueError, match="the encoder gives other features than its weights"):
        begin(folder, tmp_path / "out", file, image_size=64)


def test_a_model_of_timm_by_its_name(tmp_path, folder, monkeypatch):
    """Whose weights come from timm: here in the place of a download."""
    made = timm.create_model
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))

    def pretrained(name, pretrained):
        assert (name, pretrained) == ("vit_tiny_patch16_224", True)
        return made(name)

    monkeypatch.setattr(timm, "create_model", pretrained)
    planned, said = begin(folder, tmp_path / "out", "timm:vit_tiny_patch16_224", image_size=64)
    assert said.startswith("Starting from timm:vit_tiny_patch16_224, vit-tiny: ")
    # As timm's configuration says, which is not ImageNet's.
    assert list(planned.cfg.data_preprocessor.mean) == [127.5] * 3
    monkeypatch.setattr(timm, "create_model", None)  # it is kept
    begin(folder, tmp_path / "again", "timm:vit_tiny_patch16_224", image_size=64)


def test_models_that_timm_does_not_give(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match="no model of that name; did you mean vit_tiny"):
        Start.of("timm:vit_tiny_patch16_226")
    (tmp_path / "other.safetensors").touch()  # which is none of timm's
    with pytest.raises(ValueError, match="no model of that name"):
        Start.of("timm:../../../other")
    (tmp_path / "other.safetensors").unlink()

    def offline(name, pretrained):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match="resnet50: timm cannot get its weights: no route to host"):
        Start.of("timm:resnet50")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_dinov2s_patches_and_layer_scale(tmp_path, folder):
    """MAE goes on with patches of 14 pixels; timm's own features with the scales in their place."""
    sizes = dict(img_size=98, patch_size=14, init_values=1.0, num_classes=0)
    model = timm.create_model("vit_tiny_patch16_224", **sizes).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            parameter.data = torch.rand_like(parameter) + 0.2
    file = str(tmp_path / "dinov2.pth")
    torch.save(model.state_dict() | {"mask_token": torch.zeros(1, 192)}, file)
    with pytest.raises(ValueError, match="patches of 14 pixels, which --method mae goes"):
        begin(folder, tmp_path / "none", file)
    planned, said = begin(folder, tmp_path / "out", file, method="mae", image_size=98)
    assert "features at step 0 are its own" in said
    settle_image_size(planned.cfg)
    ours = MODELS.build(planned.cfg.model)
    state = load_from_file(planned.cfg.load_from)["state_dict"]
    assert all(name.startswith("neck.") for name in ours.load_state_dict(state, strict=False)[0])
    images = torch.randn(2, 3, 98, 98)
    ours.eval()
    with torch.no_grad():
        found, expected = ours.backbone(images)[-1], model.forward_features(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert all(loss.isfinite() for loss in ours.loss(images).values())
    # Positions of another size, as of all ViTs.
    begin(folder, tmp_path / "smaller", file, method="mae", image_size=70)
    torch.save(model.state_dict() | {"register_tokens": torch.zeros(1, 4, 192)}, file)
    with pytest.raises(ValueError, match="register_tokens"):
        begin(folder, tmp_path / "registers", file, method="mae")
