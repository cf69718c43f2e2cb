"""What early halving has decided, kept in a folder."""

import math

import numpy as np
import pytest

from jax_nst.sweeps.decisions import (
    join_decisions,
    of_values,
    read_decisions,
    to_values,
    write_decisions,
)
from jax_nst.sweeps.job import BATCHES


def test_decisions_are_kept_beside_the_records(tmp_path):
    (tmp_path / BATCHES).mkdir()
    assert read_decisions(tmp_path) == {}
    decisions = {"total": {"a": {3: 0.1, 5: 1 / 3}, "b": {3: math.nan}}, "clipped": {}}
    write_decisions(tmp_path, decisions)
    np.testing.assert_equal(read_decisions(tmp_path), decisions)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"total": 3}', '{"total": {"a": 3}}', '{"total": {"a": {"x": 1}}}'],
)
def test_a_damaged_file_counts_as_none(text, tmp_path):
    (tmp_path / BATCHES).mkdir()
    (tmp_path / BATCHES / "halving.json").write_text(text)
    assert read_decisions(tmp_path) == {}


def test_values_are_those_of_the_items_with_these_keys():
    decided = {"a": {3: 0.1, 5: 0.2}, "b": {3: 0.3}, "c": {3: 0.4}}
    values = to_values(decided, {0: "b", 7: "a", 8: "new"})
    assert values == {3: {0: 0.3, 7: 0.1}, 5: {7: 0.2}}
    assert of_values(values, {0: "b", 7: "a"}) == {"a": decided["a"], "b": decided["b"]}


def test_of_an_item_that_both_have_the_values_count_that_went_further():
    first = {"total": {"a": {3: 0.1}, "b": {3: 0.2, 9: 0.3}, "c": {3: 0.5}}}
    other = {
        "total": {"a": {3: 0.4, 9: 0.5}, "b": {3: 0.6}, "c": {3: 0.7}, "d": {3: 0.8}},
        "clipped": {"a": {1: 1}},
    }
    assert join_decisions(first, other) == {
        "total": {"a": {3: 0.4, 9: 0.5}, "b": {3: 0.2, 9: 0.3}, "c": {3: 0.5}, "d": {3: 0.8}},
        "clipped": {"a": {1: 1}},
    }
    assert first == {"total": {"a": {3: 0.1}, "b": {3: 0.2, 9: 0.3}, "c": {3: 0.5}}}
