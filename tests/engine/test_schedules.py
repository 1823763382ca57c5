"""Warm-ups fit trainings of every length."""

import pytest
from runs import config, logs, run

from localmim.engine.schedules import fit_warm_up

WARM_UP = dict(type="LinearLR", start_factor=1e-6, by_epoch=True, begin=0, end=40)
COSINE = dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=True, begin=40)
CONVERTED = dict(convert_to_iter_based=True)


def test_a_warm_up_that_fits_stays():
    for schedules in ([WARM_UP | CONVERTED, COSINE | CONVERTED], [COSINE], [dict(COSINE, end=50)]):
        assert fit_warm_up(schedules, 800, 10) == (schedules, "")
    by_iteration = [dict(type="LinearLR", by_epoch=False, begin=0, end=30, start_factor=1e-3)]
    assert fit_warm_up(by_iteration, 60, 10) == (by_iteration, "")
    falling = [dict(type="LinearLR", start_factor=1.0, end_factor=0.1, end=40)]
    assert fit_warm_up(falling, 100, 10) == (falling, "")


def test_a_warm_up_that_is_too_long_is_a_tenth():
    fitted, said = fit_warm_up([WARM_UP, COSINE], 400, 20)
    assert "of 800 iterations does not fit a training of 400: 40 in its place" in said
    assert [int(x["end"] * 20) for x in fitted[:1]] == [40] == [int(fitted[1]["begin"] * 20)]
    assert all(x["convert_to_iter_based"] for x in fitted)
    by_iteration = [
        dict(type="LinearLR", by_epoch=False, end=30),
        dict(COSINE, begin=30, by_epoch=False),
    ]
    fitted, _ = fit_warm_up(by_iteration, 50, 10)
    assert (fitted[0]["end"], fitted[1]["begin"]) == (5, 5)


def test_a_warm_up_of_an_iteration_is_none():
    for iterations in (1, 2, 10, 100):
        one = [dict(type="LinearLR", by_epoch=False, end=1), dict(COSINE, begin=1, by_epoch=False)]
        fitted, said = fit_warm_up(one, iterations, 5)
        assert fitted == [dict(COSINE, begin=0, by_epoch=False)] and "none in its place" in said


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize("epochs", [1, 2, 8])
def test_trainings_of_any_length(tmp_path, photo_folder, epochs):
    """With the warm-up of 40 epochs that the configs for folders have; two iterations an epoch."""
    changes = {"param_scheduler.0.end": 40, "param_scheduler.1.begin": 40}
    settings = {"train_cfg.max_epochs": epochs, "train_dataloader.num_workers": 0}
    cfg = config(tmp_path / "run", photo_folder, "vit", **changes, **settings)
    cfg.optim_wrapper.optimizer.lr = 1e-3
    runner = run(cfg)
    whole = runner.message_hub.get_scalar("train/lr").data[0]
    assert len(whole) == 2 * epochs
    assert max(whole) == pytest.approx(1e-3) and min(whole[1:]) >= 1e-6
    assert "does not fit" in logs(tmp_path / "run")
