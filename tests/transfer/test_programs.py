import jax
import jax.numpy as jnp
import numpy as np
from conftest import picture, vgg_params
from jax.sharding import AxisType, Mesh

from jax_nst import Config
from jax_nst.models import vgg, winograd
from jax_nst.sweeps.batch import make_plan
from jax_nst.sweeps.grid import Grid, make_items
from jax_nst.transfer.network import load_network
from jax_nst.transfer.problem import make_problem
from jax_nst.transfer.programs import ITEMS, _num_bytes, on_all_devices, step_programs

WAVELET = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1",), steps=4, remat="none"
)


def bytes_of_a_plan(num_contents, weights):
    """What the program of one batch of 8 items takes, by XLA's own account."""
    network = load_network(WAVELET)
    grid = Grid(style_weight=weights)
    items = make_items(grid, num_contents, 1, WAVELET)
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    return make_plan(network, mesh, (64, 64), items, items, 8)


def test_what_items_share_is_there_once():
    one, eight = bytes_of_a_plan(1, tuple(range(1, 9))), bytes_of_a_plan(8, (1.0,))
    assert (one.size, eight.size) == (8, 8)
    assert (one.slots.content_rows, one.slots.style_rows) == (1, 1)
    assert (eight.slots.content_rows, eight.slots.style_rows) == (8, 1)


def test_what_is_on_all_devices_is_not_copied_again():
    """Else each size of a sweep had weights of its own."""
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    once = on_all_devices({"kernel": jnp.ones(1000)}, mesh)["kernel"]
    twice = on_all_devices({"kernel": once}, mesh)["kernel"]
    pointers = [
        [shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards] for x in (once, twice)
    ]
    assert pointers[0] == pointers[1]
    assert once.sharding.is_fully_replicated


def test_the_bytes_of_a_program_are_its_arguments_results_and_buffers_less_what_is_donated():
    compiled = (
        jax.jit(lambda x, y: (x + 1, jnp.sort(y)), donate_argnums=0)
        .lower(jnp.zeros(1000), jnp.zeros(500))
        .compile()
    )
    assert 8000 <= _num_bytes(compiled.memory_analysis()) <= 12000


def test_what_runs_once_convolves_directly(monkeypatch):
    """Winograd's algorithm would take longer to compile than it saves."""
    calls, convolve = [], winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *args: calls.append(args) or convolve(*args))
    monkeypatch.setattr(vgg, "_WINOGRAD_POSITIONS", 0)
    layers = ("relu2_2",)
    config = Config(features="vgg19", content_layers=layers, style_layers=layers, size=32, remat="none")
    network = load_network(config, params=vgg_params("vgg19", layers))
    content = 0.2 + 0.6 * picture(24, 32)  # no angle at its end
    problem = make_problem(network, content, [picture(20, 20)], config=config)
    score = problem.score(problem.start)
    assert not calls
    programs = step_programs(config, network.extractor)
    state = programs.init(problem.start)
    advance, _ = programs.compile_advance(state, *problem.arguments)
    assert calls
    (losses,) = advance(state, *problem.arguments, 1)[1]
    np.testing.assert_allclose(losses[0], score, rtol=1e-3, atol=1e-5)


def test_one_step_is_compiled_once_for_arguments_of_one_shape():
    network = load_network(WAVELET)
    problems = [
        make_problem(network, picture(24, 32, s), [picture(20, 20, 9)], config=WAVELET) for s in (1, 2)
    ]
    programs = step_programs(WAVELET, network.extractor)
    compiled = [
        programs.compile_advance(programs.init(problem.start), *problem.arguments)[1]
        for problem in problems
    ]
    assert compiled[0] == compiled[1] > 0
