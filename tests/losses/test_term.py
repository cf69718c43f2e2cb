"""`Term`, `Losses` and the targets that several terms share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses import CONTENT_TERMS, STYLE_TERMS
from jax_nst.losses.term import (
    NORMALIZER_FLOOR,
    Losses,
    Target,
    Term,
    at_least_float32,
    group_key,
    nearest_power_of_two,
    relative_to_power,
    squared_difference,
    unit_vectors,
)


def make_losses(*values):
    total, content, style = (jnp.asarray(value, jnp.float32) for value in values)
    return Losses(total, {"content": content, "style": style})


@pytest.mark.parametrize("name", [*STYLE_TERMS, *CONTENT_TERMS])
def test_the_loss_of_the_reference_itself_is_below_a_millionth_of_that_of_another_picture(name, rng):
    """Of every loss that a flag names, in float32, of features with more channels than independent ones."""
    term = (STYLE_TERMS | CONTENT_TERMS)[name]
    picture, reference = np.maximum(rng.normal(size=(2, term.span, 16, 12, 8)), 0).astype(np.float32)
    picture[..., -1], reference[..., -1] = picture[..., 0], reference[..., 0]
    assert term.target is not None
    target = term.target(term.statistic(*reference), 16 * 12)
    own, other = (float(term.distance(term.statistic(*x), target)) for x in (reference, picture))
    assert 0 <= own <= 1e-6 * other


@pytest.mark.parametrize(
    ("layers", "span", "expected"),
    [
        (("a", "b", "c"), 1, (("a",), ("b",), ("c",))),
        (("a", "b", "c"), 2, (("a", "b"), ("b", "c"))),
        (("a", "b", "c"), 3, (("a", "b", "c"),)),
        (("a",), 2, ()),
        ((), 1, ()),
    ],
)
def test_groups_are_runs_of_neighbouring_layers(layers, span, expected):
    assert Term("t", jnp.sum, squared_difference, layers=layers, span=span).groups == expected


def test_group_key_joins_the_layers():
    assert group_key(("relu1_1",)) == "relu1_1"
    assert group_key(("relu1_1", "relu2_1")) == "relu1_1+relu2_1"


def test_equal_terms_are_equal_and_hashable():
    """Programs are cached by them."""
    one, other = (Term("t", jnp.sum, squared_difference, layers=("a",)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Term("t", jnp.sum, squared_difference, layers=("b",))


def test_losses_are_a_mapping_of_the_terms():
    losses = make_losses(5, 1, 2)
    assert list(losses) == ["content", "style"]
    assert len(losses) == 2
    assert "style" in losses
    assert "total" not in losses
    assert float(losses["style"]) == 2
    assert float(losses.total) == 5
    assert losses.get("tv") is None
    with pytest.raises(KeyError):
        losses["total"]
    assert {name: float(value) for name, value in losses.items()} == {"content": 1, "style": 2}
    assert {name: float(value) for name, value in losses.as_dict().items()} == {
        "total": 5,
        "content": 1,
        "style": 2,
    }


def test_losses_are_a_pytree_under_jit_and_vmap():
    losses = make_losses(5, 1, 2)
    leaves, structure = jax.tree.flatten(losses)
    assert sorted(map(float, leaves)) == [1, 2, 5]
    again = jax.tree.unflatten(structure, leaves)
    assert isinstance(again, Losses)
    assert again.as_dict() == losses.as_dict()
    doubled = jax.jit(lambda x: jax.tree.map(lambda leaf: 2 * leaf, x))(losses)
    assert isinstance(doubled, Losses)
    assert {name: float(value) for name, value in doubled.as_dict().items()} == {
        "total": 10,
        "content": 2,
        "style": 4,
    }

    def of_one(x):
        return Losses(x, {"content": 2 * x, "style": 3 * x})

    mapped = jax.jit(jax.vmap(of_one))(jnp.arange(3.0))
    np.testing.assert_array_equal(mapped.total, [0, 1, 2])
    np.testing.assert_array_equal(mapped["style"], [0, 3, 6])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), losses, doubled)
    np.testing.assert_array_equal(stacked["content"], [1, 2])
    np.testing.assert_array_equal(jax.vmap(lambda x: x.total - x["style"])(stacked), [3, 6])


def test_at_least_float32_raises_only_lower_precisions():
    assert at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    assert at_least_float32(jnp.ones(2, jnp.float16)).dtype == jnp.float32
    assert at_least_float32(jnp.ones(2, jnp.float32)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert at_least_float32(jnp.ones(2, jnp.float64)).dtype == jnp.float64


def test_the_nearest_power_of_two_is_one_at_any_size():
    x = np.float32([1, 3.1, -0.7, 5e-20, 1e30, 0, 1e-45, np.inf, -1e38])
    expected = [1, 4, 0.5, 2.0**-64, 2.0**100, *[2.0**-100] * 2, *[2.0**100] * 2]
    for function in (nearest_power_of_two, jax.jit(nearest_power_of_two)):
        np.testing.assert_array_equal(function(x), np.float32(expected))


def test_relative_to_power_makes_a_mean_relative_to_the_mean_square(rng):
    x, t = rng.normal(size=(2, 4, 5)).astype(np.float32)
    slow = np.mean((x.astype(float) - t) ** 2) / np.mean(t.astype(float) ** 2)
    assert float(squared_difference(x, relative_to_power(t, 7))) == pytest.approx(slow, rel=1e-5)
    assert float(squared_difference(t, relative_to_power(t, 7))) == 0


def test_relative_to_power_has_a_floor():
    target = relative_to_power(jnp.zeros((4, 5)), 7)
    assert float(target.coefficient) == pytest.approx(1 / (20 * NORMALIZER_FLOOR), rel=1e-6)


def test_squared_difference_takes_a_coefficient_for_each_entry(rng):
    x, t, k = rng.normal(size=(3, 4, 5)).astype(np.float32)
    slow = sum(c * (a - b) ** 2 for a, b, c in zip(x.ravel(), t.ravel(), k.ravel(), strict=True))
    assert float(squared_difference(x, Target(t, k))) == pytest.approx(slow, rel=1e-4)
    mapped = jax.jit(jax.vmap(squared_difference))(
        jnp.stack([x, x]), Target(np.stack([t, x]), np.stack([k, k]))
    )
    np.testing.assert_allclose(mapped, [slow, 0], rtol=1e-4)


def test_unit_vectors_have_length_one_and_a_bounded_gradient(rng):
    features = rng.normal(size=(50, 3)).astype(np.float32)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    for scale in (1, 2.0**10, 2.0**-4):
        np.testing.assert_allclose(unit_vectors(scale * features), expected, rtol=1e-6)
    assert unit_vectors(jnp.asarray(features, jnp.bfloat16)).dtype == jnp.float32
    features[7], features[8] = 0, 1e-6
    found = np.linalg.norm(unit_vectors(features), axis=1)
    assert found[7] == 0 < found[8] < 1e-3
    gradient = np.abs(jax.jit(jax.grad(lambda x: jnp.sum(unit_vectors(x))))(features))
    assert gradient.max() < 100  # 1 over a hundredth of the root mean square, which is sqrt(3)


def test_features_of_more_than_2_to_the_31_entries():
    large = jax.ShapeDtypeStruct((2**13, 2**13, 64), np.float32)
    target = jax.eval_shape(lambda x: relative_to_power(x, float(2**26)), large)
    assert target.coefficient.shape == ()
