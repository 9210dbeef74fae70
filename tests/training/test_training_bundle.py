"""The bundle on disk: whole, checked, and never half there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from training_builders import make_examples, make_recipe

from hitl.training import BadBundle, Bundle, TextModel, fit, load
from hitl.training.bundle import FORMAT, MANIFEST, TENSORS, read

TEXTS = ["coins prize", "tea", ""]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return fit(make_examples(80), make_recipe(), seed=1)


def test_a_loaded_model_says_the_same_to_the_last_bit(bundle: Bundle, tmp_path: Path) -> None:
    loaded = load(bundle.save(tmp_path / "m1"))

    trained = TextModel.of(bundle)
    assert np.array_equal(trained.predict(TEXTS), loaded.predict(TEXTS))
    assert np.array_equal(trained.embed(TEXTS), loaded.embed(TEXTS))
    assert bundle.categories == loaded.categories
    assert bundle.digest == read(loaded.save(tmp_path / "m2")).digest


def test_the_manifest_says_what_the_model_came_from(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")

    manifest = json.loads((folder / MANIFEST).read_text())

    assert {MANIFEST, TENSORS} == set(os.listdir(folder))
    assert (FORMAT, 1, 80, ["spam", "hate"]) == tuple(
        manifest[key] for key in ("format", "seed", "examples", "categories")
    )
    assert {"python", "unicode", "numpy", "scipy", "torch"} == set(manifest["versions"])
    assert 64 == len(manifest["examples_sha256"])
    assert {"known", "positives", "unseen_log_loss"} <= set(manifest["metrics"]["spam"])


@pytest.mark.parametrize("name", [MANIFEST, TENSORS])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_one_changed_byte_is_refused(
    bundle: Bundle, tmp_path: Path, name: str, place: float
) -> None:
    file = bundle.save(tmp_path / "m") / name
    content = bytearray(file.read_bytes())
    content[int(len(content) * place)] ^= 1
    file.write_bytes(content)

    with pytest.raises(BadBundle, match="bundle m"):
        load(file.parent)


def test_an_unfinished_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")
    (folder / MANIFEST).unlink()

    with pytest.raises(BadBundle, match="never finished"):
        load(folder)
    with pytest.raises(BadBundle, match="never finished"):
        load(tmp_path / "nowhere")


def test_a_missing_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")
    (folder / TENSORS).unlink()

    with pytest.raises(BadBundle, match=r"tensors\.safetensors is missing"):
        load(folder)


def test_a_newer_format_asks_for_newer_code(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format": FORMAT + 1}))

    with pytest.raises(BadBundle, match="update hitl"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value", "told"), [("kind", "oracle", "oracle"), ("feature_version", 99, "99")]
)
def test_a_bundle_of_another_kind_or_feature_version_is_refused(
    bundle: Bundle, tmp_path: Path, field: str, value: object, told: str
) -> None:
    folder = Bundle(bundle.tensors, {**bundle.about, field: value}).save(tmp_path / "m")

    with pytest.raises(BadBundle, match=told):
        load(folder)


@pytest.mark.parametrize("fails", ["fsync", "rename"])
def test_a_crash_while_writing_leaves_no_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def crash(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(os if fails == "fsync" else Path, fails, crash)
        with pytest.raises(OSError, match="disk is gone"):
            bundle.save(tmp_path / "m")

    assert [] == os.listdir(tmp_path)
    assert np.isfinite(load(bundle.save(tmp_path / "m")).predict(TEXTS)).all()


def test_saving_again_is_harmless_and_never_overwrites(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")
    other = fit(make_examples(80), make_recipe(), seed=2)

    assert folder == bundle.save(tmp_path / "m")
    with pytest.raises(BadBundle, match="holds something else"):
        other.save(folder)

    assert bundle.digest == read(folder).digest


def test_what_a_killed_save_left_behind_goes_with_the_next_one(
    bundle: Bundle, tmp_path: Path
) -> None:
    whole = bundle.save(tmp_path / "model")
    draft = next(iter(whole.parent.iterdir())).with_name(".model.killed")
    draft.mkdir()
    (draft / TENSORS).write_bytes(b"half")
    for part in whole.iterdir():
        part.unlink()
    whole.rmdir()

    bundle.save(tmp_path / "model")

    assert ["model"] == [one.name for one in tmp_path.iterdir()]
