from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sampling import products
from sampling.products import as_tensor, inner, nearest_products, threads


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def noise(rows: int, dimensions: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(rows).standard_normal((rows, dimensions)).astype(np.float32)


def test_so_many_threads_within_and_as_before_after() -> None:
    with threads(1):
        assert 1 == torch.get_num_threads()
        with threads(3):
            assert 3 == torch.get_num_threads()
        assert 1 == torch.get_num_threads()

    assert 2 == torch.get_num_threads()


def test_a_failure_within_leaves_the_setting_as_it_was() -> None:
    with pytest.raises(KeyError), threads(1):
        raise KeyError

    assert 2 == torch.get_num_threads()


def test_none_leaves_the_setting_alone() -> None:
    with threads(None):
        assert 2 == torch.get_num_threads()


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_thread_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"threads is {count}; give 1 or more"), threads(count):
        pass

    assert 2 == torch.get_num_threads()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has memory of its own")
def test_on_the_cpu_rows_are_read_where_they_lie(tmp_path: Path) -> None:
    rows = noise(4)
    rows.flags.writeable = False
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of what may not be written
        for given in (rows, mapped):
            found = as_tensor(given)
            assert given.ctypes.data == found.data_ptr()
            np.testing.assert_array_equal(rows, found.numpy())


def test_products_are_those_of_numpy() -> None:
    block, centres = noise(50), noise(7)
    expected = centres.astype(np.float64) @ block.T

    np.testing.assert_allclose(expected, inner(as_tensor(centres), block), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        expected.max(axis=0), nearest_products(block, as_tensor(centres)), rtol=1e-5, atol=1e-6
    )
    assert np.float32 == inner(as_tensor(centres), block).dtype


def test_products_are_taken_on_the_cpu_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert "cpu" == products.device().type
