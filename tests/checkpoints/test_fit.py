import pytest
import torch
from torch import nn

from localmim.checkpoints import compare_state_dicts, load_into


def test_report_tells_the_four_cases_apart():
    target = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
    source = {"a": torch.zeros(2), "b": torch.zeros(4), "d": torch.zeros(1)}
    report = compare_state_dicts(source, target)
    assert (report.matched, report.missing, report.unexpected) == (("a",), ("c",), ("d",))
    assert report.mismatched == {"b": "b (4,) for (3,)"} and not report.complete
    assert str(report) == (
        "1 tensors fit; 1 missing (c); 1 unexpected (d); 1 mismatched (b (4,) for (3,))"
    )


def test_a_model_is_loaded_entirely_or_not_at_all():
    model, before = nn.Linear(2, 2), nn.Linear(2, 2)
    before.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=r"file.pth does not fit.*1 missing \(bias\)"):
        load_into(model, {"weight": torch.ones(2, 2)}, "file.pth")
    assert model.weight.equal(before.weight)
    load_into(model, {"weight": torch.ones(2, 2), "bias": torch.ones(2)}, "file.pth")
    assert model.weight.sum() == 4
