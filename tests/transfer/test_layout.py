import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture
from jax.sharding import AxisType, Mesh

from jax_nst import Config
from jax_nst.optim import to_pixels
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.colors import Color
from jax_nst.transfer.item import Item
from jax_nst.transfer.layout import OnePicture, Sharded, in_batches, rows_needed, with_shardings
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.programs import step_programs
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.targets import Preparation
from jax_nst.transfer.terms import resolve_weights

CONFIG = Config(features="wavelet", content_layers=("luma1",), style_layers=("scale1",), optimizer="adam")
NETWORK = load_network(CONFIG, platform=CPU)
SPEC = resolve(CONFIG, NETWORK.extractor, (16, 20, 3), CPU)
(LEVEL,) = SPEC.levels
WEIGHTS = resolve_weights(CONFIG, NETWORK.extractor, LEVEL.terms)
CONTENTS = [picture(16, 20, seed) for seed in range(3)]
STYLES = [picture(16, 16, seed) for seed in range(3, 5)]
MESH = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))


@pytest.fixture(scope="module")
def preparation():
    sources = ([Source(x.shape, lambda x=x: x) for x in pictures] for pictures in (CONTENTS, STYLES))
    return Preparation(NETWORK, LEVEL, CPU, *sources)


def item(content=0, styles=(0,), shares=(1.0,)):
    rate = np.asarray(0.5, np.float32)
    return Item(content, styles, shares, {LEVEL: WEIGHTS}, Start("content", 0), learning_rate=rate)


def sharded(preparation, slots, content_rows=2, style_rows=2):
    programs = step_programs(objects_of(SPEC, LEVEL), mesh=MESH)
    controls, rows = item().controls(LEVEL), (content_rows, style_rows)
    return Sharded(MESH, programs, preparation.abstract(), controls, LEVEL.shape, slots, *rows)


def test_in_batches():
    assert in_batches(range(5), 2) == [range(0, 2), range(2, 4), range(4, 5)]


def test_rows_needed_whatever_items_share_a_batch():
    items = [item(0), item(0), item(1), item(0, (1,)), item(2, (0, 1), (0.5, 0.5)), item(2)]
    assert rows_needed(items, 6) == (3, 3)
    assert rows_needed(items, 2) == rows_needed(items[::-1], 2) == (2, 2)
    assert rows_needed(items[:2], 2) == (1, 1)
    matched = [x._replace(color=Color("match")) for x in items[:3]]
    assert rows_needed(matched, 3) == (2, 2)  # the style depends on the content
    assert rows_needed([*matched, items[0], items[0]._replace(color=Color("keep"))], 5) == (3, 4)


def test_with_shardings_takes_one_for_a_subtree():
    found = with_shardings(lambda leaf, sharding: (leaf, sharding), ({"a": 1, "b": 2}, 3), ("x", "y"))
    assert found == ({"a": (1, "x"), "b": (2, "x")}, (3, "y"))


def test_one_picture_has_no_leading_axis(preparation):
    layout = OnePicture()
    batch = [(7, item(1))]
    assert (layout.size, layout.slots(batch)) == (1, batch)
    start, targets, controls = layout.place([(item(1), preparation.prepare(item(1)))])
    np.testing.assert_array_equal(start, CONTENTS[1])
    assert set(targets) == {"content", "style"}
    scalars = [*controls.loss_weights.terms.values(), controls.learning_rate]
    assert {np.shape(leaf) for leaf in scalars} == {()}
    assert layout.losses(jnp.zeros((5, 4))).shape == (5, 1, 4)
    state = step_programs(objects_of(SPEC, LEVEL)).init(start)
    (best,) = layout.best_pixels(state, [0])
    np.testing.assert_allclose(best, np.clip(CONTENTS[1], 4 / 255, 1 - 4 / 255), atol=1e-5)
    assert layout.best_pixels(state, []) == []


def test_an_empty_slot_is_grey_and_weighs_nothing(preparation):
    layout = sharded(preparation, 3)
    batch = [(4, item(1)), (5, item(2))]
    slots = layout.slots(batch)
    assert (layout.size, slots) == (3, [*batch, None])
    prepared = [slot and (slot[1], preparation.prepare(slot[1])) for slot in slots]
    starts, _, controls = layout.place(prepared)
    np.testing.assert_array_equal(starts, np.stack([CONTENTS[1], CONTENTS[2], np.full((16, 20, 3), 0.5)]))
    of_item = item().controls(LEVEL)
    for leaf, of_one in zip(jax.tree.leaves(controls), jax.tree.leaves(of_item), strict=True):
        np.testing.assert_array_equal(leaf, np.stack([of_one, of_one, np.zeros_like(of_one)]))


def test_targets_that_items_share_are_placed_once(preparation):
    layout = sharded(preparation, 4)
    items = [item(1), item(0, (1,)), item(1, (1,)), item(0)]
    prepared = [(x, preparation.prepare(x)) for x in items]
    _, tables, _ = layout.place(prepared)
    assert tables.content_row.tolist() == [0, 1, 0, 1]
    assert tables.style_row.tolist() == [0, 1, 1, 0]
    assert {len(leaf) for leaf in jax.tree.leaves((tables.content, tables.style))} == {2}
    for row, (_, made) in zip((0, 1, 0, 1), prepared, strict=True):
        placed = jax.tree.map(lambda table, row=row: table[row], tables.content)
        jax.tree.map(np.testing.assert_array_equal, placed, made.content)


def test_abstract_arguments_have_the_shapes_of_placed_ones(preparation):
    layout = sharded(preparation, 2)
    prepared = [(item(x), preparation.prepare(item(x))) for x in (0, 1)]
    starts, *placed = layout.place(prepared)
    state, _, *abstract = layout.abstract(NETWORK.params)

    def shapes(tree):
        return jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), tree)

    assert shapes(abstract) == shapes(placed)
    made = layout.programs.init(starts)
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(lambda x: x.shape, state)


def test_best_pixels_of_some_slots(preparation):
    layout = sharded(preparation, 3, content_rows=3)
    prepared = [(item(x), preparation.prepare(item(x))) for x in (2, 0, 1)]
    state = layout.programs.init(layout.place(prepared)[0])
    found = layout.best_pixels(state, [2, 0])
    np.testing.assert_array_equal(found, np.asarray(to_pixels(state.best_angles))[[2, 0]])
    assert layout.losses(jnp.zeros((5, 3, 4))).shape == (5, 3, 4)
