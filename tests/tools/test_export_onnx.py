import onnxruntime
import pytest
import timm
import torch

TOOL = "export_onnx"


@pytest.mark.usefixtures("on_the_cpu")
def test_writes_a_file_that_runs_and_says_what_it_wants(tmp_path, call):
    model = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), num_classes=0)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    out = tmp_path / "a.onnx"
    text = call(tmp_path / "a.pth", out, "--image-size", 64, 64)
    assert f"Wrote {out}, " in text and "localmim.input: RGB, 0 to 255" in text
    session = onnxruntime.InferenceSession(out)
    images = torch.rand(2, 3, 64, 64).numpy()
    assert session.run(["features"], {"images": images})[0].shape == (2, 320)
    assert call(tmp_path / "a.pth", out) == "2"  # is there


def test_mistakes_are_one_line(tmp_path, call):
    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "odd.pth")
    for arguments, words in (
        ((tmp_path / "none.pth", tmp_path / "a.onnx"), "none.pth can not be found"),
        ((tmp_path / "odd.pth", tmp_path / "a.onnx"), "odd.pth: not recognised"),
    ):
        error = call(*arguments)
        assert error.startswith("error: ") and words in error and "\n" not in error
    assert not list(tmp_path.glob("*.onnx"))
