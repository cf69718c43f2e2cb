import dataclasses
import functools

import jax
import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid
from jax_nst.images import resize, rotate
from jax_nst.runtime.platform import CPU
from jax_nst.sweeps.grid import make_items
from jax_nst.transfer import target_programs, targets
from jax_nst.transfer.colors import Color, finish_picture, seen_picture, seen_style
from jax_nst.transfer.item import Item
from jax_nst.transfer.masks import Region
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Grain, Source, Start, fit_content
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.targets import Preparation
from jax_nst.transfer.terms import resolve_weights

CONFIG = Config(
    features="wavelet",
    content_layers=("luma2",),
    style_layers=("scale1", "scale2"),
    style_loss=("gram", "moments"),
)
NETWORK = load_network(CONFIG, platform=CPU)
SPEC = resolve(CONFIG, NETWORK.extractor, (24, 32, 3), CPU)
(LEVEL,) = SPEC.levels
WEIGHTS = resolve_weights(CONFIG, NETWORK.extractor, LEVEL.terms)


def source(pixels, loads=None):
    def load():
        if loads is not None:
            loads.append(id(pixels))
        return pixels

    return Source(pixels.shape, load)


CONTENTS = [picture(24, 32, seed) for seed in (1, 2)]
STYLES = [picture(28, 28, seed) for seed in (3, 4, 5)]
prepare = functools.partial(
    Preparation, NETWORK, LEVEL, CPU, [source(x) for x in CONTENTS], [source(x) for x in STYLES]
)


def item(content=0, styles=(0,), shares=(1.0,), init="content", color=Color()):
    return Item(content, styles, shares, {LEVEL: WEIGHTS}, Start(init, 0), color)


def test_targets_of_every_term_and_layer():
    made = prepare().prepare(item())
    assert {name: list(layers) for name, layers in made.content.items()} == {"content": ["luma2"]}
    assert {name: list(layers) for name, layers in made.style.items()} == {
        "gram": ["scale1", "scale2"],
        "moments": ["scale1", "scale2"],
    }
    assert made.controls.loss_weights is WEIGHTS
    np.testing.assert_array_equal(made.start, CONTENTS[0])


TOO_LARGE = r"the style image at \d+ x \d+ pixels takes .* GB or more of memory, but .*; give a smaller"


def test_a_style_that_is_too_large_fails_its_item(monkeypatch):
    monkeypatch.setattr(target_programs, "memory_limit", lambda device: 1000)
    with pytest.raises(ValueError, match=TOO_LARGE):
        prepare().prepare(item())


def test_a_blend_is_the_mixture_of_the_gram_matrices():
    preparation = prepare()
    alone = [preparation.prepare(item(styles=(index,))).style["gram"] for index in range(2)]
    mixed = preparation.prepare(item(styles=(0, 1), shares=(0.75, 0.25))).style["gram"]
    for layer, target in mixed.items():
        expected = 0.75 * alone[0][layer].value + 0.25 * alone[1][layer].value
        np.testing.assert_allclose(target.value, expected, rtol=1e-5, atol=1e-7)
        assert float(np.abs(target.value - alone[0][layer].value).max()) > 1e-3


def test_several_angles_are_a_mixture_of_rotated_copies():
    """Against a blend of pictures that NumPy rotated, and of those that `rotate` did."""
    copies = [turned for x in STYLES[:2] for turned in (x, np.rot90(x), rotate(x, 30.0))]
    sources = [source(x) for x in CONTENTS], [source(x) for x in copies]
    preparation = Preparation(NETWORK, LEVEL, CPU, *sources)
    alone = preparation.prepare(item(styles=(0,))).style
    rotated = item(styles=(0, 3), shares=(0.6, 0.4))._replace(angles=(0.0, 90.0, 30.0))
    shares = (0.2,) * 3 + (0.4 / 3,) * 3
    of_copies = preparation.prepare(item(styles=tuple(range(6)), shares=shares)).style
    found = preparation.prepare(rotated).style
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, found, of_copies)
    with pytest.raises(AssertionError):
        jax.tree.map(close, found, alone)
    of_zero = preparation.prepare(item(styles=(0,))._replace(angles=(0.0,))).style
    jax.tree.map(np.testing.assert_array_equal, of_zero, alone)


def test_styles_of_a_blend_may_have_their_own_sizes():
    """Against styles that were resized before; as with `style_size`, relative to the picture."""
    resized = resize(STYLES[0], (20, 20)), resize(STYLES[1], (40, 40))
    sources = [source(x) for x in CONTENTS], [source(x) for x in resized]
    made = []
    for index, level in enumerate((LEVEL, dataclasses.replace(LEVEL, style_scale=40 / 32))):
        alone = item(styles=(index,))._replace(loss_weights={level: WEIGHTS})
        made.append(Preparation(NETWORK, level, CPU, *sources).prepare(alone).style["gram"])
    blend = item(styles=(0, 1), shares=(0.75, 0.25))._replace(scales=(20 / 32, 40 / 32))
    mixed = prepare().prepare(blend).style["gram"]
    for layer, target in mixed.items():
        expected = 0.75 * made[0][layer].value + 0.25 * made[1][layer].value
        np.testing.assert_allclose(target.value, expected, rtol=1e-4, atol=1e-6)
    other = prepare().prepare(item(styles=(0, 1), shares=(0.75, 0.25))).style["gram"]
    assert any(np.abs(other[x].value - mixed[x].value).max() > 1e-3 for x in mixed)


def test_the_mask_of_a_style_is_rotated_with_it():
    top = np.zeros((28, 28), np.float32)
    top[:10] = 1
    sources = [source(x) for x in CONTENTS], [source(STYLES[0]), source(np.rot90(STYLES[0]))]
    preparation = Preparation(NETWORK, LEVEL, CPU, *sources)
    regions = [(Region(np.ones((24, 32), np.float32), mask),) for mask in (top, np.rot90(top))]
    rotated = item()._replace(angles=(90.0,), regions=regions[0])
    expected = item(styles=(1,))._replace(regions=regions[1])
    found, expected = (preparation.prepare(x).style for x in (rotated, expected))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    corner = np.zeros((28, 28), np.float32)
    corner[:4, :4] = 1
    lost = Region(np.ones((24, 32), np.float32), corner, name="corner.png")
    message = (
        "corner.png: what it marks of the style is cut off .* rotated by 45 degrees; give other angles"
    )
    with pytest.raises(ValueError, match=message):
        preparation.prepare(item()._replace(angles=(45.0,), regions=(lost,)))


def test_contents_with_other_grain_have_other_targets_and_starts():
    preparation = prepare()
    added = [None, Grain((24, 32), 0.1, 0), Grain((24, 32), 0.1, 1), Grain((24, 32), 0.1, 0)]
    items = [item()._replace(grain=grain) for grain in added]
    made = [preparation.prepare(x) for x in items]
    assert made[1].content is made[3].content
    assert len({x.start.tobytes() for x in made}) == 3
    assert len({x.content_key for x in items}) == 3
    np.testing.assert_array_equal(made[1].start, fit_content(LEVEL, CONTENTS[0], added[1]))
    alone = prepare().prepare(items[2])
    jax.tree.map(np.testing.assert_array_equal, alone.content, made[2].content)


def test_what_items_share_is_read_and_computed_once():
    loads, computed = [], []

    def fetch(value):
        computed.append(value)
        return jax.device_get(value)

    sources = ([source(pixels, loads) for pixels in pictures] for pictures in (CONTENTS, STYLES))
    preparation = Preparation(NETWORK, LEVEL, CPU, *sources, fetch=fetch)
    grid = make_items(Grid(style_weight=(1, 2), blend=((1, 2, 3), (3, 2, 1))), 2, 3, CONFIG)
    assert len(grid) == 8
    made = [preparation.prepare(item(content, styles, shares)) for content, styles, shares, *_ in grid]
    assert len(loads) == len(set(loads)) == 5
    assert len(computed) == 2 + 3 + 2  # contents, statistics of styles, mixtures
    assert made[0].content is made[3].content
    assert made[0].style is made[1].style is made[4].style
    assert made[0].style is not made[2].style


KEEP, MATCH = Color("keep", 1.0), Color("match", 0.5)


def test_colours_are_those_that_the_run_is_to_see():
    preparation = prepare()
    for color in (KEEP, MATCH):
        made = preparation.prepare(item(1, color=color))
        content = seen_picture(color, CONTENTS[1])
        style = seen_style(color, STYLES[0], CONTENTS[1])
        seen = Preparation(NETWORK, LEVEL, CPU, [source(content)], [source(style)]).prepare(item())
        for part in ("content", "style"):
            jax.tree.map(np.testing.assert_array_equal, getattr(made, part), getattr(seen, part))
        np.testing.assert_array_equal(made.start, content)
        finished = finish_picture(color, CONTENTS[0], CONTENTS[1])
        finish = preparation.finish(item(1, color=color))
        np.testing.assert_array_equal(finish(CONTENTS[0]), finished)
    start = preparation.prepare(item(styles=(2,), init="style", color=KEEP)).start
    assert np.ptp(start, axis=-1).max() < 1e-6


def test_items_share_targets_where_colours_allow():
    """The style of one content is another's where its colours are matched."""
    items = [item(c, color=color) for color in (Color(), MATCH, KEEP) for c in (0, 1)]
    assert len({x.content_key for x in items}) == 4  # matching leaves the content as it is
    assert len({x.style_key for x in items}) == 5
    preparation = prepare()
    made = [preparation.prepare(x) for x in items]
    assert made[0].content is made[2].content
    assert made[0].style is made[1].style
    assert made[2].style is not made[3].style
    assert made[2].style is preparation.prepare(item(color=MATCH)).style


def test_forget_keeps_the_contents_still_needed():
    loads = []
    sources = ([source(pixels, loads) for pixels in pictures] for pictures in (CONTENTS, STYLES))
    preparation = Preparation(NETWORK, LEVEL, CPU, *sources)
    for content in (0, 1):
        preparation.prepare(item(content))
    loads.clear()
    preparation.forget(but={item(1).pixels_key})
    preparation.prepare(item(1))
    assert loads == []  # nor are styles read again
    preparation.prepare(item(0))
    assert loads == [id(CONTENTS[0])]


def test_abstract_targets_have_the_shapes_of_real_ones():
    preparation = prepare()
    made = preparation.prepare(item(styles=(0, 1), shares=(0.5, 0.5)))

    def shapes(tree):
        return jax.tree.map(lambda x: (np.shape(x), np.result_type(x)), tree)

    assert shapes(preparation.abstract()) == shapes((made.content, made.style))


def test_targets_stay_where_fetch_leaves_them():
    def are(kind, made):
        return {isinstance(leaf, kind) for leaf in jax.tree.leaves((made.content, made.style))}

    assert are(np.ndarray, prepare().prepare(item())) == {True}
    assert are(jax.Array, prepare(fetch=lambda x: x).prepare(item())) == {True}


def test_the_start_is_that_of_the_item_or_the_one_given_at_the_size_of_the_level():
    preparation = prepare()
    style = preparation.prepare(item(styles=(2,), init="style")).start
    assert style.shape == (24, 32, 3)
    assert not np.array_equal(style, CONTENTS[0])
    assert preparation.prepare(item(), np.ones((12, 16, 3), np.float32)).start.shape == (24, 32, 3)


def test_a_picture_that_cannot_be_read_is_an_error():
    unreadable = Source(None, lambda: CONTENTS[0], "p.png: is damaged")
    preparation = Preparation(NETWORK, LEVEL, CPU, [unreadable], [source(STYLES[0])])
    with pytest.raises(ValueError, match=r"p\.png: is damaged"):
        preparation.prepare(item())


def test_a_picture_that_changed_its_shape_is_an_error():
    changed = Source((24, 33, 3), lambda: CONTENTS[0])
    preparation = Preparation(NETWORK, LEVEL, CPU, [changed], [source(STYLES[0])])
    with pytest.raises(ValueError, match="not of the size that its file says"):
        preparation.prepare(item())


@pytest.mark.parametrize("most", [0, 2**28])
def test_statistics_beyond_a_bound_are_computed_anew(most, monkeypatch):
    monkeypatch.setattr(targets, "_MOST_KEPT", most)
    loads = []
    styles = [source(x, loads) for x in STYLES]
    preparation = Preparation(NETWORK, LEVEL, CPU, [source(x) for x in CONTENTS], styles)
    made = [preparation.prepare(item(content=c, styles=(s,))) for c in (0, 1) for s in (0, 1, 2)]
    preparation.forget(but=set())
    again = [preparation.prepare(item(styles=(s,))) for s in (0, 1, 2)]
    for one, other in zip(made, again, strict=False):
        jax.tree.map(np.testing.assert_array_equal, one.style, other.style)
    assert len(loads) == (3 if most else 6)


def test_grain_is_not_in_what_is_kept_of_the_content():
    """Neither where nothing is painted, nor in the colours that are kept or matched."""
    left = np.zeros((24, 32), np.float32)
    left[:, :10] = 1
    noisy = item()._replace(grain=Grain((24, 32), 0.2, 1), regions=(Region(left),))
    preparation = prepare()
    made = preparation.prepare(noisy)
    assert np.abs(made.start - CONTENTS[0]).max() > 0.2
    np.testing.assert_array_equal(
        preparation.finish(noisy)(np.zeros((24, 32, 3), np.float32))[:, 20:], CONTENTS[0][:, 20:]
    )
    for mode in ("keep", "match"):
        pair = [item()._replace(color=Color(mode), grain=grain) for grain in (None, noisy.grain)]
        plain, grainy = (prepare().prepare(x) for x in pair)
        jax.tree.map(np.testing.assert_array_equal, plain.style, grainy.style)
        np.testing.assert_array_equal(*(preparation.finish(x)(CONTENTS[1]) for x in pair))
