"""Encoders that timm has no model for."""

import pytest
import tiny
import torch
from mmpretrain.registry import MODELS
from runs import config

from localmim.command.outcome import _export
from localmim.engine import settle_image_size


@pytest.mark.parametrize(("kind", "dialect"), [("vit", "timm"), ("lomar", "localmim")])
def test_the_code_on_the_page_loads_them_here(tmp_path, kind, dialect):
    cfg = config(tmp_path, tmp_path, kind, image_size=64)
    cfg.model = (tiny.MODELS | tiny.OTHERS)[kind]()
    content = {"meta": {"cfg": cfg.pretty_text, "epoch": 1}}
    settle_image_size(cfg)
    content["state_dict"] = MODELS.build(cfg.model).state_dict()
    torch.save(content, tmp_path / "epoch_1.pth")
    found = _export(tmp_path, tmp_path / "epoch_1.pth")
    assert found.encoder == tmp_path / f"encoder_{dialect}.safetensors" and found.family == "vit"
    imported, empty, loaded, used = found.snippet.splitlines()
    assert imported == "from localmim.analysis import load_encoder" and not empty
    assert loaded == f"model = load_encoder({str(found.encoder)!r})"
    assert used.startswith("vectors = model.vectors(images)")
    assert found.checked.startswith("run: vectors equal the training's ")
