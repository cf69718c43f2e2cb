"""One engine for a picture and for a sweep: how levels, callbacks and bad items end."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from conftest import count_compilations, picture
from jax.sharding import AxisType, Mesh

from jax_nst import Config, Grid, stylize, sweep
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import engine
from jax_nst.transfer.item import Item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.outcome import FEATURES_NOT_FINITE, NOT_FINITE, Progress, Status
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import plan_many, plan_one
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.snapshot import RunState
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation

# Of one layer, and without the memory of L-BFGS: it compiles in a second.
CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    optimizer="adam",
    steps=10,
    size=48,
)
TWO_LEVELS = dataclasses.replace(CONFIG, scales="2")
NETWORK = load_network(CONFIG, platform=CPU)
CONTENT, STYLE = picture(48, 40, 1), picture(48, 48, 2)
ONE_DEVICE = Mesh(np.asarray(jax.devices()[:1]), (ITEMS,), axis_types=(AxisType.Auto,))


def run(config, *, contents=(CONTENT,), style=STYLE, style_weights=(None,), mesh=None, callback=None):
    """The spec and the outcomes of one batch; through the layout of a picture if `mesh` is None."""
    spec = resolve(config, NETWORK.extractor, CONTENT.shape, CPU)
    items = [
        Item(
            index,
            (0,),
            (1.0,),
            resolve_level_weights(dataclasses.replace(config, style_weight=weight), spec),
            Start(config.init, config.seed),
        )
        for index in range(len(contents))
        for weight in style_weights
    ]
    sources = [Source(x.shape, lambda x=x: x) for x in contents], [Source(None, lambda: style)]
    preparations = [Preparation(NETWORK, level, CPU, *sources) for level in spec.levels]
    if mesh is None:
        plan = functools.partial(plan_one, NETWORK, spec, item=items[0])
    else:
        plan = functools.partial(plan_many, NETWORK, spec, mesh=mesh, items=items, batch=len(items))
    plans = {
        level: plan(level=level, preparation=preparation)
        for level, preparation in zip(spec.levels, preparations, strict=True)
    }
    outcomes, interrupted = engine.run(
        spec, plans.__getitem__, list(enumerate(items)), hooks=engine.Hooks(callback)
    )
    return spec, outcomes, interrupted


def joined(outcome):
    return np.concatenate([trace.losses for trace in outcome.traces])


@pytest.mark.parametrize("optimizer", [pytest.param("lbfgs", marks=pytest.mark.slow), "adam"])
def test_a_picture_and_a_batch_of_one_have_the_same_losses(optimizer):
    """To float32 rounding, which L-BFGS magnifies after some steps."""
    config = dataclasses.replace(TWO_LEVELS, optimizer=optimizer)
    _, (alone,), _ = run(config)
    _, (in_batch,), _ = run(config, mesh=ONE_DEVICE)
    same, tolerance = (9, 1e-2) if optimizer == "lbfgs" else (15, 2e-3)
    assert joined(alone).shape == joined(in_batch).shape == (4 + 11, 4)
    np.testing.assert_allclose(joined(alone)[:same], joined(in_batch)[:same], rtol=tolerance, atol=1e-6)
    assert (alone.status, alone.message) == (in_batch.status, in_batch.message) == (Status.FINISHED, "ok")
    assert [trace.size for trace in alone.traces] == [trace.size for trace in in_batch.traces] == [24, 48]
    assert float(np.abs(alone.pixels - in_batch.pixels).mean()) < 0.01
    np.testing.assert_array_equal(alone.losses, alone.traces[-1].losses)


@pytest.mark.parametrize("mesh", [None, ONE_DEVICE], ids=["picture", "batch"])
@pytest.mark.parametrize(
    ("at", "message"),
    [(1, "stopped at 24 pixels, after step {}"), (6, "stopped after step {}")],
    ids=["coarse level", "last level"],
)
def test_a_true_answer_of_the_callback_stops_with_the_best_so_far(at, message, mesh):
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.step >= at

    spec, (outcome,), interrupted = run(TWO_LEVELS, mesh=mesh, callback=callback)
    assert interrupted
    assert outcome.status is Status.STOPPED
    last = outcome.traces[-1]
    assert outcome.message == message.format(len(last.losses) - 1)
    assert len(joined(outcome)) == seen[-1].step + 1 < 15
    assert outcome.pixels.shape == (48, 40, 3)
    np.testing.assert_array_equal(outcome.pixels, seen[-1].best_pixels())
    if at == 1:
        assert len(outcome.losses) == 0  # those of a smaller size do not compare
        assert np.isnan(outcome.best).all()
    else:
        assert outcome.best[0] == last.losses[:, 0].min()
        assert len(outcome.traces) == len(spec.levels)


def test_a_run_stopped_at_its_last_step_is_finished():
    _, (outcome,), interrupted = run(CONFIG, callback=lambda progress: progress.step == progress.num_steps)
    assert interrupted
    assert (outcome.status, outcome.message) == (Status.FINISHED, "ok")


@pytest.mark.parametrize("config", [CONFIG, pytest.param(TWO_LEVELS, marks=pytest.mark.slow)])
def test_a_start_that_is_not_finite_fails_alone(config):
    """The style weight overflows float32; the others in the batch are painted as without it."""
    weights = (1e3, 1e38, 10.0)
    _, outcomes, _ = run(config, style=STYLE * 0.1, style_weights=weights, mesh=ONE_DEVICE)
    assert [outcome.status for outcome in outcomes] == [Status.FINISHED, Status.FAILED, Status.FINISHED]
    assert outcomes[1].message == f"failed: {NOT_FINITE}"
    assert outcomes[1].pixels is None
    assert np.isnan(outcomes[1].best).all()
    _, others, _ = run(config, style=STYLE * 0.1, style_weights=(1e3, 1.0, 10.0), mesh=ONE_DEVICE)
    for index in (0, 2):
        np.testing.assert_array_equal(joined(outcomes[index]), joined(others[index]))
        np.testing.assert_array_equal(outcomes[index].pixels, others[index].pixels)


def test_a_run_without_any_finite_start_ends_at_once():
    sizes = []
    _, (outcome,), _ = run(
        TWO_LEVELS,
        style=STYLE * 0.1,
        style_weights=(1e38,),
        callback=lambda progress: sizes.append(progress.size),
    )
    assert outcome.status is Status.FAILED
    assert sizes == [24]  # after one chunk of the coarse level


def test_a_picture_that_will_not_do_fails_alone():
    contents = (CONTENT, np.full_like(CONTENT, np.nan), CONTENT[::-1])
    seen = []
    _, outcomes, _ = run(CONFIG, contents=contents, mesh=ONE_DEVICE, callback=seen.append)
    assert [outcome.status for outcome in outcomes] == [Status.FINISHED, Status.FAILED, Status.FINISHED]
    assert (
        outcomes[1].message == "failed: content must be finite and lie in [0, 1], but has NaN or infinity"
    )
    assert outcomes[1].traces == ()
    assert all(set(progress.entries) == {0, 2} for progress in seen)


def outcome_of(config, losses, interrupted=False):
    """The outcome of a run whose losses at its last level are these, by way of a plan that replays them."""
    losses = np.asarray(losses, np.float32)
    config = dataclasses.replace(config, steps=len(losses) - 1)
    spec = resolve(config, NETWORK.extractor, CONTENT.shape, CPU)
    (level,) = spec.levels
    weights = resolve_level_weights(config, spec)
    item = Item(0, (0,), (1.0,), weights, Start("content", 0))
    preparation = Preparation(
        NETWORK, level, CPU, [Source(CONTENT.shape, lambda: CONTENT)], [Source(None, lambda: STYLE)]
    )
    plan = plan_one(NETWORK, spec, level, preparation, item)
    done = [0]

    def replay(state, *arguments):
        count = arguments[-1]
        rows = losses[done[0] : done[0] + count]
        done[0] += count
        return state, [np.repeat(rows[:, None], 4, axis=1)]

    answer = (lambda progress: True) if interrupted else None
    (outcome,), _ = engine.run(
        spec, lambda level: plan._replace(advance=replay), [(0, item)], hooks=engine.Hooks(answer)
    )
    return outcome


@pytest.mark.parametrize(
    ("losses", "status", "message"),
    [
        ([3, 2, 1], Status.FINISHED, "ok"),
        ([3, np.inf, 1], Status.FINISHED, "ok"),
        ([3, 2, np.nan], Status.FINISHED, "ok"),  # the guard goes back to where it was finite
        ([3, 2, 1, np.nan, np.nan], Status.DIVERGED, "diverged at step 3; the best before is kept"),
        (
            [3, np.inf, 1, np.inf, np.nan, np.nan],
            Status.DIVERGED,
            "diverged at step 3; the best before is kept",
        ),
        ([np.nan, 1, 1], Status.FAILED, f"failed: {FEATURES_NOT_FINITE}"),
    ],
)
def test_status_and_message_follow_from_the_losses(losses, status, message):
    outcome = outcome_of(CONFIG, losses)
    assert (outcome.status, outcome.message) == (status, message)
    assert (outcome.pixels is None) == (status is Status.FAILED)
    assert Status.of(outcome.message) is status


def test_what_goes_from_step_to_step_is_a_pytree():
    spec = resolve(CONFIG, NETWORK.extractor, CONTENT.shape, CPU)
    weights = resolve_level_weights(CONFIG, spec)
    item = Item(0, (0,), (1.0,), weights, Start("content", 0))
    sources = [Source(CONTENT.shape, lambda: CONTENT)], [Source(None, lambda: STYLE)]
    preparation = Preparation(NETWORK, spec.levels[-1], CPU, *sources)
    prepared = preparation.prepare(item)
    plan = plan_one(NETWORK, spec, spec.levels[-1], preparation, item)
    steps = plan.init(prepared.start)
    state = RunState(steps, np.ones((3, 1, 4)), np.arange(3.0), {0: (CONTENT, np.ones((3, 4)))})
    for tree in (prepared, state):
        leaves, structure = jax.tree.flatten(tree)
        assert all(isinstance(leaf, np.ndarray | np.generic | jax.Array) for leaf in leaves)
        again = jax.tree.unflatten(structure, leaves)
        assert type(again) is type(tree)
        jax.tree.map(np.testing.assert_array_equal, again, tree)


def seen_by_callback(function):
    """Every progress, and the best picture of the item at that time."""
    seen: list[tuple[Progress, np.ndarray]] = []
    function(lambda progress: seen.append((progress, progress.best_pixels())))
    return [progress for progress, _ in seen], [pixels for _, pixels in seen]


def test_a_callback_is_told_the_same_of_a_picture_and_of_a_sweep():
    config = TWO_LEVELS
    runs = [
        seen_by_callback(lambda callback: stylize(CONTENT, STYLE, config=config, callback=callback)),
        seen_by_callback(lambda callback: sweep(CONTENT, STYLE, config=config, callback=callback)),
    ]
    for seen, pixels in runs:
        assert {(x.items, x.items_done, x.num_items, x.num_steps) for x in seen} == {((0,), 0, 1, 14)}
        assert seen[-1].step == 14
        assert {x.shape for x in pixels} == {(48, 40, 3)}
        assert all(set(progress.entries) == {0} for progress in seen)
        assert all(progress.entries[0][-1]["step"] == progress.step for progress in seen)
        assert all(progress.entries[0][-1]["size"] == progress.size for progress in seen)
    of_picture, of_sweep = ([entry for x in seen for entry in x.entries[0]] for seen, _ in runs)
    assert [entry["step"] for entry in of_picture] == list(range(15))
    for one, other in zip(of_picture, of_sweep, strict=True):
        assert list(one) == list(other) == ["step", "size", "seconds", "total", "content", "style", "tv"]
        assert (one["step"], one["size"]) == (other["step"], other["size"])
        for name in ("total", "content", "style", "tv"):
            assert one[name] == pytest.approx(other[name], rel=2e-3, abs=1e-6)
    np.testing.assert_allclose(runs[0][1][-1], runs[1][1][-1], atol=0.02)


def test_progress_says_the_step_at_each_level_and_the_share_of_the_work():
    seen = []
    config = dataclasses.replace(TWO_LEVELS, save_every=1)
    run(config, callback=lambda progress: seen.append(progress))
    assert [(p.size, p.level_step, p.level_steps) for p in seen] == [
        *((24, step, 3) for step in range(4)),
        *((48, step, 10) for step in range(11)),
    ]
    pixels = [24 * 20 if p.size == 24 else 48 * 40 for p in seen]
    np.testing.assert_allclose([p.work for p in seen], np.cumsum(pixels) / sum(pixels))


def test_the_callback_may_look_at_any_item_at_work():
    seen = []

    def callback(progress):
        seen.append({item: progress.best_pixels(item) for item in progress.items})
        np.testing.assert_array_equal(progress.best_pixels(), seen[-1][progress.items[0]])

    grid = Grid(style_weight=(10.0, 1e4))
    result = sweep(CONTENT, STYLE, grid=grid, config=CONFIG, batch=2, callback=callback)
    for index in range(2):
        np.testing.assert_array_equal(seen[-1][index], result.pixels[index])
    assert not np.array_equal(*result.pixels)


@pytest.mark.parametrize("function", [stylize, sweep])
def test_a_second_call_compiles_nothing(function):
    """Other pictures, loss weights, starts and numbers of steps are arguments."""
    # At sizes that no other test has.
    config = dataclasses.replace(CONFIG, size=44 if function is sweep else 46)
    first, _ = count_compilations(lambda: function(CONTENT, STYLE, config=config))
    assert first
    changed = dataclasses.replace(config, content_weight=3.0, style_weight=7.0, tv_weight=0.5, steps=5)
    second, _ = count_compilations(lambda: function(CONTENT[::-1], STYLE[::-1], config=changed))
    assert second == 0
    function(CONTENT, STYLE, config=dataclasses.replace(changed, init="noise"))  # compiles what draws it
    changed = dataclasses.replace(changed, init="noise", seed=3, steps=6)
    third, _ = count_compilations(lambda: function(CONTENT, STYLE, config=changed))
    assert third == 0


def test_best_pixels_of_a_step_that_has_passed_say_so():
    kept = []
    stylize(CONTENT, STYLE, config=CONFIG, callback=kept.append)
    assert kept[-1].best_pixels().shape == (48, 40, 3)
    with pytest.raises(
        RuntimeError, match="the run has gone on since; call best_pixels within the callback"
    ):
        kept[0].best_pixels()


def test_a_plan_is_told_with_the_seconds_of_a_step_and_whether_it_is_the_most_wanted():
    spec = resolve(TWO_LEVELS, NETWORK.extractor, CONTENT.shape, CPU)
    item = Item(0, (0,), (1.0,), resolve_level_weights(TWO_LEVELS, spec), Start("content", 0))
    second = dataclasses.replace(spec, choices=spec.choices[1:2])  # the first does not fit, say
    sources = [Source(CONTENT.shape, lambda: CONTENT)], [Source(None, lambda: STYLE)]
    told = []

    def plan_for(level):
        preparation = Preparation(NETWORK, level, CPU, *sources, fetch=lambda x: x)
        return plan_one(NETWORK, second, level, preparation, item)

    (outcome,), _ = engine.run(spec, plan_for, [(0, item)], hooks=engine.Hooks(on_plan=told.append))
    assert [plan.level for plan in told] == list(spec.levels)
    assert not any(plan.is_usual for plan in told)
    before = outcome.traces[0]
    four_times = (told[1].level.size / told[0].level.size) ** 2
    a_step = told[1].choice.time * four_times * before.share / len(before.losses)
    assert [plan.seconds for plan in told] == [None, pytest.approx(a_step)]
