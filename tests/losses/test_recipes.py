"""Each recipe against its published formula, written out slowly, on random features and real pictures."""

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import EXAMPLES, vgg_params

from jax_nst import Config, load_image, stylize
from jax_nst.losses.recipes import RECIPES
from jax_nst.losses.terms import content_loss, gram_matrix, style_loss
from jax_nst.models.vgg import extract_features, vgg16, vgg19
from jax_nst.transfer.network import Network
from jax_nst.transfer.problem import make_problem


def raw_gram(features):
    """F F^T of Gatys et al., undivided: `[C, C]`, summed position by position, in float64."""
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    gram = np.zeros((flat.shape[1], flat.shape[1]))
    for row in flat:
        gram += np.outer(row, row)
    return gram


def positions(features):
    return features.shape[0] * features.shape[1]


def squares(f, p):
    return float(np.sum((np.asarray(f, np.float64) - np.asarray(p, np.float64)) ** 2))


# The formulas as published; f and s are features of the picture and of the style, of the same size.
CONTENT = {
    "normalized": lambda f, p: np.mean((f - p) ** 2) / np.mean(p**2),
    "gatys2015": lambda f, p: 0.5 * squares(f, p),
    "coursera": lambda f, p: squares(f, p) / (4 * f.size),
    "nazianafis": lambda f, p: squares(f, p) / f.size,
    "udacity": lambda f, p: squares(f, p) / f.size,
    "sushant097": lambda f, p: squares(f, p) / f.size,
}


def _style_normalized(f, s):
    g, a = raw_gram(f) / positions(f), raw_gram(s) / positions(s)
    return np.mean((g - a) ** 2) / np.mean(a**2)


def _style_gatys(f, s):
    n, m = f.shape[-1], positions(f)
    return squares(raw_gram(f), raw_gram(s)) / (4 * n**2 * m**2)


def _style_coursera(f, s):
    h, w, c = f.shape
    return squares(raw_gram(f), raw_gram(s)) / (4 * c**2 * (h * w) ** 2)


def _style_nazianafis(f, s):
    return squares(raw_gram(f) / f.size, raw_gram(s) / s.size)


def _style_udacity(f, s):
    return np.mean((raw_gram(f) - raw_gram(s)) ** 2) / f.size


STYLE = {
    "normalized": _style_normalized,
    "gatys2015": _style_gatys,
    "coursera": _style_coursera,
    "nazianafis": _style_nazianafis,
    "udacity": _style_udacity,
    "sushant097": _style_udacity,
}
LAYER_WEIGHTS = {
    "normalized": (0.2,) * 5,
    "gatys2015": (0.2,) * 5,
    "coursera": (0.2,) * 5,
    "nazianafis": (0.2,) * 5,
    "udacity": (1.0, 0.75, 0.2, 0.2, 0.2),
    "sushant097": (1.0,) * 4,
}
STYLE_LAYERS = {
    name: ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    for name in RECIPES
    if name != "sushant097"
} | {"sushant097": ("relu1_2", "relu2_2", "relu3_3", "relu4_3")}
CONTENT_LAYER = dict.fromkeys(RECIPES, "relu4_2") | {"sushant097": "relu4_3"}


def variation(name, pixels):
    down, across = np.diff(pixels, axis=0), np.diff(pixels, axis=1)
    if name == "nazianafis":
        return 255 * (np.abs(down).sum() + np.abs(across).sum())
    return np.mean(down**2) + np.mean(across**2)


def test_every_recipe_is_tested():
    assert set(CONTENT) == set(STYLE) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_formulas_on_random_features(name, rng):
    recipe = RECIPES[name]
    f, p, s = rng.random((3, 6, 5, 7)).astype(np.float32)
    content = content_loss(f, p, recipe.content_scale(jnp.asarray(p)))
    assert float(content) == pytest.approx(CONTENT[name](f, p), rel=1e-4)
    gram, target = gram_matrix(f), gram_matrix(s)
    style = style_loss(gram, target, recipe.style_scale(target, positions(f), False))
    assert float(style) == pytest.approx(STYLE[name](f, s), rel=1e-4)


def test_relative_to_entries_is_relative_to_the_power_of_both_channels(rng):
    f, s = rng.random((2, 6, 5, 7)).astype(np.float32) * np.logspace(-1, 2, 7, dtype=np.float32)
    g, a = (np.asarray(gram_matrix(x), np.float64) for x in (f, s))
    slow = np.mean(
        [((g[i, j] - a[i, j]) / np.sqrt(a[i, i] * a[j, j])) ** 2 for i in range(7) for j in range(7)]
    )
    coefficient = RECIPES["normalized"].style_scale(gram_matrix(s), 30, True)
    assert float(style_loss(gram_matrix(f), gram_matrix(s), coefficient)) == pytest.approx(slow, rel=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_whole_loss_on_a_real_pair(name):
    """The examples, through the network, all terms, the published layers and weights."""
    content, style = (load_image(EXAMPLES / f"{name}.jpg", 40) for name in ("cat", "cypresses"))
    style = style[: content.shape[0]]  # at one size the published formula needs no reading
    content = content[: style.shape[0]]
    network = "vgg16" if name == "sushant097" else "vgg19"
    params = vgg_params(network, ("relu5_1",))
    start = np.clip(content + 0.1 * (style - content), 0, 1)
    config = Config(recipe=name, features=network, size=40)
    extractor = {"vgg19": vgg19, "vgg16": vgg16}[network]()
    problem = make_problem(Network(extractor, params, None), content, [style], config=config)
    actual = problem.score(start)

    layers = (*STYLE_LAYERS[name], CONTENT_LAYER[name])
    f, p, s = (
        {k: np.asarray(v) for k, v in extract_features(params, jnp.asarray(x), layers).items()}
        for x in (start, content, style)
    )
    layer = CONTENT_LAYER[name]
    assert float(actual.content) == pytest.approx(CONTENT[name](f[layer], p[layer]), rel=1e-3)
    slow = sum(
        weight * STYLE[name](f[layer], s[layer])
        for layer, weight in zip(STYLE_LAYERS[name], LAYER_WEIGHTS[name], strict=True)
    )
    assert float(actual.style) == pytest.approx(slow, rel=1e-3)
    assert float(actual.tv) == pytest.approx(variation(name, start), rel=1e-3)
    recipe = RECIPES[name]
    tv_weight = 65 if name == "normalized" else recipe.tv_weight
    total = (
        recipe.content_weight * actual.content + recipe.style_weight * actual.style + tv_weight * actual.tv
    )
    assert float(actual.total) == pytest.approx(float(total), rel=1e-5)


def test_published_weights_are_kept_beside_the_calibrated_ones():
    assert RECIPES["gatys2015"].published == (1, 1000, 0)
    assert RECIPES["udacity"].published == (1, 1e6, 0)
    assert RECIPES["sushant097"].published == (10, 1e4, 0)
    coursera, nazianafis = RECIPES["coursera"], RECIPES["nazianafis"]
    assert (coursera.content_weight, coursera.style_weight) == (10, 40)
    assert (nazianafis.content_weight, nazianafis.style_weight, nazianafis.tv_weight) == (1e5, 3e4, 1)
    assert all(recipe.published is None for recipe in (coursera, nazianafis, RECIPES["normalized"]))


def test_a_recipe_paints(shared):
    """One published recipe end to end on the real kernels: the loss falls far."""
    from jax_nst import load_params

    params = load_params(shared / "weights" / "vgg19_blocks1-3.h5")
    config = Config(
        recipe="coursera",
        steps=15,
        size=64,
        content_layers=("relu3_1",),
        style_layers=("relu1_1", "relu2_1"),
    )
    content, style = load_image(EXAMPLES / "cat.jpg"), load_image(EXAMPLES / "cypresses.jpg")
    steps = stylize(content, style, config=config, params=params).history["steps"]
    assert min(step["total"] for step in steps) < 0.2 * steps[0]["total"]
