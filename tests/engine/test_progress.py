"""The bar of a training on the screen, and the log that does not suffer from it."""

import logging
import re
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from runs import config, logs, run

from localmim.engine import ProgressBarHook, progress


def training(name, logger, done=0):
    """A stand-in for the runner of a training of ten iterations."""
    hub = MessageHub.get_instance(name)
    return SimpleNamespace(max_iters=10, iter=done, logger=logger, message_hub=hub)


@pytest.fixture
def logger(tmp_path):
    """With a screen and a file."""
    logger = logging.Logger("bar")
    logger.addHandler(logging.StreamHandler())
    logger.addHandler(logging.FileHandler(tmp_path / "a.log"))
    return logger


@pytest.fixture
def hook(request, logger):
    hook, runner = ProgressBarHook(), training(request.node.name, logger)
    hook.before_train(runner)
    yield hook, runner
    hook.after_train(runner)


@pytest.mark.usefixtures("on_the_cpu")
def test_a_training_shows_a_bar_and_logs_as_before(tmp_path, photo_folder, capfd):
    cfg = config(tmp_path / "run", photo_folder, "vit")
    cfg.custom_hooks.append(dict(type="ProgressBarHook"))
    runner = run(cfg)
    shown = "".join(capfd.readouterr())
    bar = shown.replace("\r", "\n").rstrip("\n").rpartition("\n")[2]
    loss = runner.message_hub.get_scalar("train/loss").current()
    words = rf"\[.*<00:00, \d+ images/s, waiting \d+%, loss {loss:.3f}\]"
    assert re.fullmatch(rf"training 100%\|.*\| 8/8 {words}", bar)
    kept = logs(tmp_path / "run")
    for words in ("[1][1/2]", "[4][2/2]"):
        assert words in kept and words not in shown


def test_it_tells_what_is_known(hook):
    hook, runner = hook
    hook.after_train_iter(runner, 0)
    assert hook.bar.n == 1 and hook.bar.total == 10 and hook.bar.postfix == ""
    for value in (3.0, 2.0):
        runner.message_hub.update_scalar("train/loss", value)
    hook.after_train_iter(runner, 1)
    assert hook.bar.postfix == "loss 2.000"
    runner.message_hub.update_scalar("train/images_per_second", 1234.4)
    runner.message_hub.update_scalar("train/waiting", 0.256)
    runner.message_hub.update_info("skill", [0.1, 0.25, -0.05])
    hook.after_train_iter(runner, 2)
    assert hook.bar.postfix == "1234 images/s, waiting 26%, loss 2.000, skill 10%"
    assert hook.bar.n == 3


def test_a_training_that_goes_on_begins_where_it_was(request, logger):
    hook, runner = ProgressBarHook(), training(request.node.name, logger, done=7)
    hook.before_train(runner)
    assert (hook.bar.n, hook.bar.total) == (7, 10)
    hook.after_train_iter(runner, 7)
    hook.after_train(runner)
    assert hook.bar.n == 8 and hook.bar.disable  # closed


def test_the_screen_has_warnings_only_and_the_file_everything(hook, logger, tmp_path, capfd):
    logger.info("of no account")
    logger.warning("mind this")
    shown, kept = "".join(capfd.readouterr()), (tmp_path / "a.log").read_text()
    # On lines of their own, not behind the bar.
    assert "mind this" in shown.replace("\r", "\n").split("\n") and "no account" not in shown
    assert kept == "of no account\nmind this\n"


def test_one_process_shows_it(request, logger, capfd, monkeypatch):
    monkeypatch.setattr(progress, "is_main_process", lambda: False)
    hook, runner = ProgressBarHook(), training(request.node.name, logger)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    assert hook.bar is None and "".join(capfd.readouterr()) == ""
    assert [handler.level for handler in logger.handlers] == [logging.NOTSET] * 2
