import dataclasses

import jax
import numpy as np
import pytest
from conftest import count_compilations, picture
from jax.sharding import AxisType, Mesh

from jax_nst import Config
from jax_nst.runtime.memory import OutOfMemoryError
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import needs
from jax_nst.transfer import plan as plan_module
from jax_nst.transfer.item import Item
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import evenly, plan_many, plan_one
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation

CONFIG = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1",), steps=4, optimizer="adam"
)
NETWORK = load_network(CONFIG, platform=CPU)
FILLING = dataclasses.replace(CPU, fill_memory=True)
MESH = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))


def many(contents, *, batch=None, platform=CPU, size=32, config=CONFIG, network=NETWORK):
    """The plan of a sweep with an item for each number in `contents`."""
    shape = (size, size, 3)
    spec = resolve(dataclasses.replace(config, size=size), network.extractor, shape, platform)
    weights = resolve_level_weights(config, spec)
    items = [Item(content, (0,), (1.0,), weights, Start("content", 0)) for content in contents]
    sources = [Source(shape, lambda: picture(*shape[:2]))], [Source(None, lambda: picture(20, 20))]
    preparation = Preparation(network, spec.levels[-1], platform, *sources)
    return plan_many(network, spec, spec.levels[-1], preparation, mesh=MESH, items=items, batch=batch)


@pytest.fixture
def partitions(monkeypatch):
    """The partitions that programs are made with, in order."""
    made, step_programs = [], plan_module.step_programs

    def noted(objects, partition, *rest):
        made.append(str(partition))
        return step_programs(objects, partition, *rest)

    monkeypatch.setattr(plan_module, "step_programs", noted)
    return made


@pytest.mark.parametrize(
    ("num_items", "most", "num_devices", "expected"),
    [(16, 4, 1, 4), (5, 4, 1, 3), (9, 8, 1, 5), (3, 8, 1, 3), (1, 4, 4, 1), (6, 4, 4, 1), (6, 8, 4, 2)],
)
def test_batches_are_of_about_one_size(num_items, most, num_devices, expected):
    assert evenly(num_items, most, num_devices) == expected


def test_one_picture_is_planned_for_one_device(partitions):
    spec = resolve(CONFIG, NETWORK.extractor, (24, 32, 3), CPU)
    weights = resolve_level_weights(CONFIG, spec)
    sources = [Source((24, 32, 3), lambda: picture(24, 32))], [Source(None, lambda: picture(20, 20))]
    preparation = Preparation(NETWORK, spec.levels[-1], CPU, *sources)
    plan = plan_one(
        NETWORK, spec, spec.levels[-1], preparation, Item(0, (0,), (1.0,), weights, Start("content", 0))
    )
    assert (plan.layout, plan.level, partitions) == (OnePicture(), spec.levels[-1], ["none"])


def test_what_items_share_is_in_the_tables_once():
    one, eight = many([0] * 8, batch=8).layout, many(range(8), batch=8).layout
    assert (one.size, eight.size) == (8, 8)
    assert (one.content_rows, one.style_rows) == (1, 1)
    assert (eight.content_rows, eight.style_rows) == (8, 1)


def test_a_given_batch_is_about_obeyed():
    assert many(range(5), batch=4).layout.size == 3
    assert many(range(5), batch=100).layout.size == 5


@pytest.mark.parametrize(("pixels", "expected"), [(1, 1), (2 * 32**2, 2), (2**16, 6)])
def test_a_cpu_takes_so_many_pixels_at_once_and_an_accelerator_all_that_fit(pixels, expected):
    extractor = dataclasses.replace(NETWORK.extractor, cpu_pixels=pixels)
    network = NETWORK._replace(extractor=extractor)
    assert many(range(6), network=network).layout.size == expected
    assert many(range(6), network=network, platform=FILLING).layout.size == 6


def test_batches_of_the_same_items_in_another_order_compile_nothing():
    contents = [0, 0, 0, 1, 1, 2]
    first = many(contents, batch=3)
    count, second = count_compilations(lambda: many([2, 0, 1, 0, 1, 0], batch=3))
    assert count == 0
    assert first.layout.size == second.layout.size == 3


def test_batches_shrink_before_anything_is_rematerialised(monkeypatch, partitions):
    """With memory for about three items, six make two batches."""
    need = []
    largest = plan_module.largest_that_fits
    monkeypatch.setattr(
        plan_module,
        "largest_that_fits",
        lambda most, limit, num_bytes, guess: need.append(num_bytes(3)) or most,
    )
    many(range(6), platform=FILLING)
    monkeypatch.setattr(plan_module, "largest_that_fits", largest)
    monkeypatch.setattr(needs, "memory_limit", lambda device, most: need[0])
    partitions.clear()
    assert many(range(6), platform=FILLING).layout.size == 3
    assert partitions == ["none"]


def report_bytes(monkeypatch, num_bytes):
    """Makes programs say that they take these bytes, by what they rematerialise."""
    step_programs = plan_module.step_programs

    def reporting(objects, partition, *rest):
        programs = step_programs(objects, partition, *rest)

        def compile_advance(*arguments):
            advance, _ = programs.compile_advance(*arguments)
            return advance, num_bytes[str(partition)]

        return programs._replace(compile_advance=compile_advance)

    monkeypatch.setattr(plan_module, "step_programs", reporting)
    monkeypatch.setattr(needs, "memory_limit", lambda device, most: 10)
    monkeypatch.setattr(needs, "estimate_of", lambda *arguments: lambda choice: 0)


def test_where_not_one_item_fits_all_is_rematerialised(monkeypatch, partitions):
    report_bytes(monkeypatch, {"none": 30, "block1": 20, "all": 10})
    assert many(range(6), platform=FILLING).layout.size == 1
    assert partitions == ["none", "block1", "all"]


def test_what_cannot_fit_is_refused(monkeypatch, partitions):
    report_bytes(monkeypatch, {"none": 30, "block1": 20, "all": 10})
    with pytest.raises(OutOfMemoryError):
        many(range(6), platform=FILLING, config=dataclasses.replace(CONFIG, remat="block1"))
    assert partitions == ["block1"]
