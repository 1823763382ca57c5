"""What a training says on the screen, and what its log file has besides."""

import logging

import pytest
from runs import config, logs, run

from localmim.engine.console import be_brief, describe_data

pytestmark = pytest.mark.usefixtures("on_the_cpu")


def test_the_screen_has_what_matters_and_the_file_everything(tmp_path, photo_folder, capfd):
    cfg = config(tmp_path / "run", photo_folder, "vit", **{"train_cfg.max_epochs": 1})
    run(cfg)
    shown, kept = capfd.readouterr().out, logs(tmp_path / "run")
    shown += capfd.readouterr().err
    for words in ("System environment:", "Config:", "paramwise_options --", "Exp name:"):
        assert words in kept and words not in shown
    assert "FileClient" not in shown
    for words in (
        "Model: LocalMIM with SparseViT, 0.1 million parameters; the log is in ",
        f"Data: 8 images in {photo_folder}, in batches of 4",
        "Total batch 4 = 1 process(es) x 4 images x 1 accumulated. Learning rate",
        "[1][1/2]  base_lr",
    ):
        assert words in kept


def test_joined_data_is_described(tmp_path, photo_folder):
    cfg = config(tmp_path / "run", photo_folder, "vit", **{"train_cfg.max_epochs": 1})
    one = cfg.train_dataloader.dataset
    repeated = dict(type="RepeatDataset", times=3, dataset=one)
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[one, repeated])
    runner = run(cfg)
    expected = f"Data: 32 images in {photo_folder}, in batches of 4"
    assert describe_data(runner.train_dataloader) == expected


def test_a_logger_is_filtered_once():
    logger = logging.Logger("screen")
    handler = logging.StreamHandler()
    logger.addHandler(handler)
    be_brief(logger)
    be_brief(logger)
    assert len(handler.filters) == 1
    for message, kept in (
        ("\n" + "-" * 60 + "\nSystem environment:\n    Python: 3", False),
        ("Config:\nmodel = 1", False),
        ("paramwise_options -- a:weight_decay=0.0", False),
        ("Scale 0 is predicted no better than by the mean", True),
    ):
        record = logger.makeRecord("x", logging.INFO, "f", 1, message, (), None)
        assert bool(handler.filter(record)) == kept
