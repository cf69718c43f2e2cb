"""Sweeps from Python."""

import csv
import dataclasses
import itertools
import os
import signal

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from jax_nst import Config, Grid, Status, iterate_sweep, load_image, save_image, stylize, sweep
from jax_nst.images import quantize

WAVELET = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=20, optimizer="adam"
)
CONTENT, STYLES = picture(24, 32, 1), [picture(28, 20, 3), picture(20, 36, 4)]
GRID = Grid(style_weight=(1, 10, 100, 1000))
OK, STOPPED = Status.FINISHED, Status.STOPPED


def test_every_style_loss_is_named():
    """As fields of the losses and of the history."""
    config = dataclasses.replace(WAVELET, style_loss=("gram:2", "moments"), steps=3)
    result = sweep(CONTENT, STYLES, config=config)
    for losses in (result.losses, result.history):
        assert list(losses.as_dict()) == ["total", "content", "gram", "moments", "tv"]
    assert np.isfinite(result.losses["moments"]).all()
    np.testing.assert_array_equal(result.losses.total, result.history.total.min(axis=1))


@pytest.mark.parametrize("losses", [("nnfm",), ("moments", "cross_layer", "sliced", "sorted")])
@pytest.mark.parametrize("grid", [Grid(), Grid(blend=((1, 3), (3, 1)))], ids=["styles", "blends"])
def test_losses_are_the_same_in_a_batch(grid, losses):
    """The styles are of different sizes."""
    layers = WAVELET.style_layers if len(losses) == 1 else ("scale1", "scale2")
    given = {"style_loss": losses, "style_layers": layers, "content_loss": ("self_similarity",)}
    config = dataclasses.replace(WAVELET, **given, steps=2)
    together, alone = (sweep(CONTENT, STYLES, grid=grid, config=config, batch=size) for size in (2, 1))
    names = ["style"] if len(losses) == 1 else losses
    assert list(together.losses.as_dict()) == ["total", "content", *names, "tv"]
    assert all(together.losses[name][0] != together.losses[name][1] for name in names)
    found, expected = (result.history.as_dict() for result in (together, alone))
    for name, losses in found.items():
        np.testing.assert_allclose(losses, expected[name], rtol=1e-3, atol=1e-6)


def test_a_callback_sees_every_chunk_and_may_stop():
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.items_done >= 2 and progress.step >= 1

    grid = Grid(style_weight=(1, 2, 3, 4, 5, 6))
    result = sweep(CONTENT, STYLES[0], grid=grid, config=WAVELET, batch=2, callback=callback)
    first = seen[0]
    assert (first.items, first.items_done, first.num_items) == ((0, 1), 0, 6)
    assert (first.step, first.num_steps, first.size) == (0, 20, 32)
    assert max(progress.step for progress in seen if progress.items_done == 0) == 20
    assert result.status == [OK] * 2 + [STOPPED] * 4
    assert all(message.startswith("stopped after step") for message in result.messages[2:4])
    assert result.messages[4:] == ["not reached"] * 2
    assert np.isfinite(result.losses.total[:4]).all()


def test_a_sweep_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"contents must be a picture, .* not an empty list"):
        sweep([], STYLES, config=WAVELET)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch must be 1 or more, .* not 0"),
        ({"batch": 1.5}, "batch must be .* not 1.5"),
        ({"contents": None}, "contents must be a picture, or a list of pictures, not NoneType"),
        ({"styles": None}, "styles must be a picture, or a list of pictures, not NoneType"),
        ({"resume": True}, "resume goes on with the sweep in a folder; pass that as folder"),
    ],
)
def test_what_cannot_be_swept_is_refused(changes, message):
    given = {"contents": CONTENT, "styles": STYLES, "config": WAVELET, **changes}
    with pytest.raises(ValueError, match=message):
        sweep(given.pop("contents"), given.pop("styles"), **given)


# Into a folder.


def test_a_stopped_sweep_in_a_folder_goes_on_bit_for_bit(tmp_path):
    """Of arrays, in the batch that was at work; the result is that of the files."""
    options = {"grid": GRID, "config": WAVELET, "batch": 2}
    whole = sweep(CONTENT, STYLES[0], folder=tmp_path / "whole", **options)
    np.testing.assert_allclose(whole.pixels, sweep(CONTENT, STYLES[0], **options).pixels, atol=0.6 / 255)

    def stop(progress):
        return progress.items_done == 2 and progress.step >= 5

    stopped = sweep(CONTENT, STYLES[0], folder=tmp_path / "sweep", callback=stop, **options)
    assert stopped.status == [OK, OK, STOPPED, STOPPED]
    assert (tmp_path / "sweep" / "index.html").exists()
    seen = []
    again = sweep(
        CONTENT, STYLES[0], folder=tmp_path / "sweep", resume=True,
        callback=lambda progress: seen.append((progress.items, progress.step)), **options,
    )  # fmt: skip
    assert seen[0][0] == (2, 3)
    assert 5 <= seen[0][1] < 20
    assert again.status == [OK] * 4
    np.testing.assert_array_equal(again.pixels, whole.pixels)
    np.testing.assert_array_equal(again.history.total, whole.history.total)
    np.testing.assert_array_equal(again.losses["style"], whole.losses["style"])
    with (tmp_path / "sweep" / "results.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok"] * 4


def test_a_folder_with_a_sweep_needs_resume_and_the_same_inputs(tmp_path):
    options = {"grid": Grid(style_weight=(1, 10)), "config": dataclasses.replace(WAVELET, steps=2)}
    result = sweep(CONTENT, STYLES[0], folder=tmp_path, **options)
    with pytest.raises(ValueError, match=r"holds a sweep already; .* in Python resume=True"):
        sweep(CONTENT, STYLES[0], folder=tmp_path, **options)
    with pytest.raises(ValueError, match=r"other settings \(styles: the contents of style_0 differ\)"):
        sweep(CONTENT, STYLES[1], folder=tmp_path, resume=True, **options)
    again = sweep(CONTENT, STYLES[0], folder=str(tmp_path), resume=True, **options)
    np.testing.assert_array_equal(again.pixels, result.pixels)


def test_items_that_failed_are_in_the_result_of_a_folder(tmp_path):
    grid, config = Grid(style_weight=(1e3, 1e38)), dataclasses.replace(WAVELET, steps=2)
    result = sweep(CONTENT, STYLES[0] * 0.1, grid=grid, config=config, folder=tmp_path)
    assert result.status == [OK, Status.FAILED]
    assert not result.pixels[1].any()
    assert np.isnan(result.losses.total[1])


# Pictures as what they are.


def test_pictures_are_taken_as_what_they_are(tmp_path):
    """Paths, images of Pillow and 8-bit levels, into a folder too."""
    levels = quantize(CONTENT)
    save_image(tmp_path / "c.png", levels)
    contents = [tmp_path / "c.png", str(tmp_path / "c.png"), levels, Image.fromarray(levels)]
    config = dataclasses.replace(WAVELET, steps=2)
    result = sweep(contents, STYLES[0], config=config, batch=1, folder=tmp_path / "sweep")
    assert result.messages == ["ok"] * 3  # the path was given twice
    for pixels in result.pixels:
        np.testing.assert_array_equal(pixels, result.pixels[0])
    assert load_image(tmp_path / "sweep" / "inputs" / "content_1_content_2.png").shape == (24, 32, 3)


# Interruptions.


def test_ctrl_c_leaves_the_results_so_far_in_the_exception():
    def interrupt(progress):
        if progress.items_done == 2 and progress.step >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        sweep(CONTENT, STYLES[0], grid=GRID, config=WAVELET, batch=2, callback=interrupt)
    result = caught.value.result
    assert result.status == [OK, OK, STOPPED, STOPPED]
    assert all(message.startswith("stopped after step ") for message in result.messages[2:])
    assert len({pixels.tobytes() for pixels in result.pixels}) == 4


def test_a_callback_that_raises_leaves_the_results_so_far_in_the_exception():
    def fail(progress):
        if progress.items_done == 1 and progress.step >= 3:
            raise RuntimeError("a mistake of the caller")

    with pytest.raises(RuntimeError, match="a mistake of the caller") as caught:
        sweep(CONTENT, STYLES[0], grid=GRID, config=WAVELET, batch=1, callback=fail)
    result = caught.value.result
    assert result.status == [OK, STOPPED, STOPPED, STOPPED]
    assert result.messages[2:] == ["not reached"] * 2
    assert result.pixels[1].any()
    assert not result.pixels[2].any()
    assert caught.value.__notes__ == ["The results so far are in the `result` of this exception."]


# One after the other.


def test_results_come_in_order_as_batches_end():
    seen = []
    items = iterate_sweep(
        CONTENT, STYLES[0], grid=GRID, config=WAVELET, batch=2,
        callback=lambda progress: seen.append(progress.items),
    )  # fmt: skip
    first = list(itertools.islice(items, 2))
    assert set(seen) == {(0, 1)}
    rest = list(items)
    assert set(seen) == {(0, 1), (2, 3)}
    assert [item.item for item in (*first, *rest)] == [0, 1, 2, 3]
    assert [item.values for item in (*first, *rest)] == [{"style_weight": x} for x in (1, 10, 100, 1000)]
    expected = sweep(CONTENT, STYLES[0], grid=GRID, config=WAVELET, batch=2)
    for item in (*first, *rest):
        np.testing.assert_array_equal(item.pixels, expected.pixels[item.item])
        np.testing.assert_array_equal(item.history.total, expected.history.total[item.item])
        assert item.losses.total == expected.losses.total[item.item]
        assert (item.status, item.message) == (OK, "ok")


def test_a_true_callback_ends_the_iteration():
    items = iterate_sweep(
        CONTENT, STYLES[0], grid=GRID, config=WAVELET, batch=1,
        callback=lambda progress: progress.items_done == 1 and progress.step >= 3,
    )  # fmt: skip
    assert [(item.item, item.status) for item in items] == [(0, OK), (1, STOPPED)]


def test_an_item_that_cannot_begin_comes_first_without_a_picture():
    config = dataclasses.replace(WAVELET, steps=2)
    items = list(iterate_sweep([CONTENT, CONTENT[0], None], STYLES[0], config=config))
    assert [(item.item, item.status, item.pixels is None) for item in items] == [
        (1, Status.FAILED, True), (2, Status.FAILED, True), (0, OK, False),
    ]  # fmt: skip
    assert "must have shape [H, W, 3], not [32, 3]" in items[0].message
    assert "a picture must be a path" in items[1].message
    assert np.isnan(items[0].losses.total)
    assert items[0].history.total.shape == (0,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": {"tv_weight": [1]}}, "grid must be a Grid"),
        ({"config": None}, "config must be a Config"),
        ({"callback": "show"}, "callback must be a function"),
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_refused_by_name(given, message):
    with pytest.raises(TypeError, match=message):
        sweep(picture(16, 16), picture(16, 16), **given)


def test_strokes_and_starts_vary_and_equal_single_runs():
    """One by one to the bit; at once by their first losses, which need each item's own targets."""
    config = dataclasses.replace(WAVELET, steps=2, scales="2", content_layers=("luma1",))
    varied = {
        "style_angle": ((0.0,), (90.0,), (0.0, 45.0), (0.0,)),
        "init_blur": (0.0, 1.0, 0.0, 2.0),
        "init_noise": (0.0, 0.0, 0.2, 0.1),
        "noise": (0.0, 0.1, 0.1, 0.1),
        "seed": (0, 1, 1, 2),
    }
    contents, style = [CONTENT], STYLES[0]
    grid = Grid(**varied, zip=True)
    singly, at_once = (sweep(contents, style, grid=grid, config=config, batch=n) for n in (1, 4))
    assert [list(values) for values in singly.values] == [list(varied)] * 4
    for index in range(4):
        values = {name: value[index] for name, value in varied.items()}
        single = stylize(CONTENT, style, config=dataclasses.replace(config, **values))
        np.testing.assert_array_equal(singly.pixels[index], single.pixels)
        totals = [step["total"] for step in single.history["steps"]][-3:]
        np.testing.assert_allclose(at_once.history.total[index], totals, rtol=1e-3)
    assert len({pixels.tobytes() for pixels in singly.pixels}) == 4
    first = at_once.history.total[:, 0]
    assert np.abs(np.subtract.outer(first, first))[~np.eye(4, dtype=bool)].min() > 0.03 * first.min()


def test_a_blend_of_styles_with_their_own_sizes_equals_a_single_run():
    config = dataclasses.replace(WAVELET, steps=2, style_sizes=(20, 40))
    result = sweep(CONTENT, STYLES, grid=Grid(blend=(0.7, 0.3)), config=config, batch=1)
    single = stylize(CONTENT, STYLES, config=config, blend=(0.7, 0.3))
    np.testing.assert_array_equal(result.pixels[0], single.pixels)
    plain = stylize(CONTENT, STYLES, config=dataclasses.replace(config, style_sizes=None), blend=(0.7, 0.3))
    assert not np.array_equal(single.pixels, plain.pixels)
    for grid, sizes in ((Grid(), (20, 40)), (Grid(blend=(1, 1)), (20, 30, 40))):
        other = dataclasses.replace(config, style_sizes=sizes)
        with pytest.raises(ValueError, match=r"style_sizes has . sizes, but the number of styles"):
            sweep(CONTENT, STYLES, grid=grid, config=other)
    with pytest.raises(ValueError, match="style_sizes has 2 sizes, but the number of styles"):
        stylize(CONTENT, STYLES[0], config=config)
