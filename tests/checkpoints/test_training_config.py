import pytest
from mmengine.config import Config
from runs import config

from localmim.checkpoints import training_config

TEXT = """
model = dict(type='LocalMIM', backbone=dict(type='SparseViT', img_size=(64, 96)), head=None)
train_pipeline = [dict(type='PackImage', flip_prob=-0.5)]
custom_imports = dict(imports=['localmim.parts'], allow_failed_imports=False)
{}
"""


def checkpoint(line=""):
    return {"meta": {"cfg": TEXT.format(line)}}


def test_reads_what_a_config_says():
    found = training_config(checkpoint(), "a.pth")
    assert found.model.backbone.img_size == (64, 96) and found.model.head is None
    assert found.train_pipeline[0].flip_prob == -0.5


def test_checkpoints_of_before_name_the_package():
    text = TEXT.format("").replace("localmim.parts", "localmim")
    assert training_config({"meta": {"cfg": text}}, "a.pth").model.type == "LocalMIM"


def test_a_dumped_config_comes_back(tmp_path):
    cfg = config(tmp_path, tmp_path)
    found = training_config({"meta": {"cfg": cfg.pretty_text}}, "a.pth")
    again = Config.fromstring(cfg.pretty_text, ".py")
    assert found.model == again.model and found.train_dataloader == again.train_dataloader


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "a.pth does not hold the config of a training: name the config"),
        ({"meta": {"cfg": "work_dir = 'a'"}}, "does not hold the config of a training"),
        (checkpoint("a = float('inf')"), r"not made of plain values \(float\): name"),
        (checkpoint("a = __import__('os').system('touch b')"), "not made of plain values"),
        (checkpoint("import os"), "not made of plain values"),
        (
            checkpoint("custom_imports = dict(imports=['mine', 'localmim.parts'])"),
            "imports mine, which",
        ),
        (checkpoint("hook = [dict(x=dict(type='os.system', command='ls'))]"), "type 'os.system'"),
    ],
)
def test_what_is_not_plain_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        training_config(content, "a.pth")
