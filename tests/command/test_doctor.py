import pytest

from localmim.command import doctor as module
from localmim.command import planning
from localmim.command.doctor import doctor


@pytest.mark.usefixtures("on_the_cpu", "untried")
def test_a_machine_that_is_fit(folder, capsys):
    found = {one.subject: one for one in doctor(str(folder))}
    assert found["images"].found.startswith("24 images, in colour")
    assert "ms an image" in found["reading"].found
    # Eight images in half a second, as a trial says.
    assert found["training"].found.startswith("16 images a second (vit-tiny, 64 pixels); 1 worker")
    assert found["GPU"].found.startswith("none; ")
    assert not any(one.fix for one in found.values() if not one.optional)
    assert capsys.readouterr().out.splitlines()[-1] == "all is well"


@pytest.mark.usefixtures("on_the_cpu")
def test_what_is_to_be_mended(tmp_path, folder, monkeypatch, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"none")
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "timm" else True)
    monkeypatch.setattr(
        planning, "seconds_per_step", lambda cfg, batch: 1e-6
    )  # faster than reading
    found = {one.subject: one for one in doctor(str(tmp_path))}
    assert found["timm"].optional and found["timm"].fix.startswith("pip install timm")
    assert "broken.jpg" in found["images"].fix and "make_shards" in found["training"].fix
    shown = capsys.readouterr().out
    assert "! training" in shown and shown.splitlines()[-1] == "2 things to mend"
