"""The bundle on disk: whole, checked, and never half there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from training_builders import make_examples, make_recipe

from hitl.training import BadBundle, Bundle, TextModel, fit, load, probabilities_for
from hitl.training.bundle import FORMAT, MANIFEST, TENSORS, _canonical, _sha256, read

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
    assert isinstance(loaded, TextModel)
    assert trained.calibration.by == loaded.calibration.by
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


@pytest.mark.parametrize("gone", ["weights", "slopes", "embedding_axes"])
def test_a_bundle_without_an_array_is_refused_by_its_name(
    bundle: Bundle, tmp_path: Path, gone: str
) -> None:
    kept = {name: array for name, array in bundle.tensors.items() if name != gone}

    with pytest.raises(BadBundle, match=f"lacks .*{gone}"):
        load(Bundle(kept, bundle.about).save(tmp_path / "m"))


@pytest.mark.parametrize("gone", ["categories", "features", "metrics", "feature_version", "kind"])
def test_a_bundle_that_does_not_say_what_it_is_is_refused(
    bundle: Bundle, tmp_path: Path, gone: str
) -> None:
    about = {name: value for name, value in bundle.about.items() if name != gone}

    with pytest.raises(BadBundle, match="bundle m"):
        load(Bundle(bundle.tensors, about).save(tmp_path / "m"))


def test_a_manifest_that_names_no_files_is_refused(tmp_path: Path) -> None:
    manifest: dict[str, object] = {"format": FORMAT}
    manifest["manifest_sha256"] = _sha256(_canonical(manifest))
    (tmp_path / MANIFEST).write_bytes(_canonical(manifest))

    with pytest.raises(BadBundle, match="cannot be read"):
        read(tmp_path)


def test_the_name_of_the_bytes_is_that_of_the_bytes_on_disk(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle.save(tmp_path / "m")

    def packed_otherwise(_: object) -> bytes:
        return b"as another version of the library packs them"

    monkeypatch.setattr("hitl.training.bundle.tensors_to", packed_otherwise)

    assert bundle.digest == load(folder).digest


def test_probabilities_come_in_the_order_asked_for_and_nan_where_unknown(bundle: Bundle) -> None:
    model = TextModel.of(bundle)
    spam, hate = model.predict(TEXTS).T

    found = probabilities_for(model, TEXTS, ("hate", "scam", "spam"))

    assert np.array_equal(hate, found[:, 0])
    assert np.isnan(found[:, 1]).all()
    assert np.array_equal(spam, found[:, 2])
    assert (0, 1) == probabilities_for(model, [], ("hate",)).shape


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
    assert other.digest == read(other.save(folder, replace=True)).digest
    assert ["m"] == os.listdir(tmp_path)


def test_an_unfinished_folder_is_made_anew(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "m")
    (folder / MANIFEST).unlink()

    assert bundle.digest == read(bundle.save(folder)).digest


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
