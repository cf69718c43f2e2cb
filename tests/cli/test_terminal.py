import io
import os
import signal
import sys
import warnings

import numpy as np
import pytest

from jax_nst.cli.terminal import (
    fail,
    interrupts,
    items_bar,
    saved_files,
    show_items,
    show_steps,
    steps_bar,
    tell,
    warnings_in_a_line,
)
from jax_nst.transfer.outcome import Progress


def progress(step=0, *, items=(0,), items_done=0, num_items=1, num_steps=10):
    entry = {"step": step, "size": 64, "seconds": 0.5, "total": 12.5, "content": 1.25, "moments": 0.5}
    return Progress(
        items,
        items_done,
        num_items,
        step,
        num_steps,
        64,
        {item: [entry] for item in items},
        lambda: np.zeros(0),
    )


def test_the_steps_bar_shows_the_size_the_loss_and_each_term(capsys):
    with steps_bar(10, quiet=False) as bar:
        show_steps(bar, progress(0))
        show_steps(bar, progress(10))
        assert bar.n == 10
    err = capsys.readouterr().err
    assert "64 px, loss 12.5 = content 1.25, moments 0.5" in err
    assert "100%" in err
    assert "10/10" in err


def test_the_steps_of_all_levels_count():
    """The bar begins with the steps of the last level; the first progress knows them all."""
    with steps_bar(10, quiet=True) as bar:
        show_steps(bar, progress(0, num_steps=14))
        assert bar.total == 14


def test_the_items_bar_counts_items_at_work_by_their_steps():
    with items_bar(6, quiet=False) as bar:
        show_items(bar, progress(5, items=(0, 1), num_items=6), 6)
        assert bar.n == 1
        show_items(bar, progress(10, items=(2, 3), items_done=2, num_items=6), 6)
        assert bar.n == 4
        assert "2/6 items, 2 at work: step 10/10" in bar.postfix


def test_the_items_bar_of_a_resumed_sweep_begins_where_it_was():
    with items_bar(6, quiet=False) as bar:
        show_items(bar, progress(0, items=(4,), num_items=2), 6)
        assert (bar.n, bar.initial) == (4, 4)
        assert "4/6 items" in bar.postfix


def test_quiet_bars_print_nothing(capsys):
    for make in (items_bar, steps_bar):
        with make(6, True) as bar:
            bar.update(6)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_is_kept_and_the_second_ends(number, capsys):
    before = signal.getsignal(number)
    with interrupts() as received:
        assert received == []
        os.kill(os.getpid(), number)
        assert received == [number]
        assert "stopping after this step; press Ctrl-C again to quit at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("paths", "told"), [(["a.png", "b.png"], ("b.png is saved",)), ([], ())])
def test_an_interrupt_tells_of_the_saved_file(paths, told):
    def interrupted():
        with saved_files() as saved:
            saved += paths
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        interrupted()
    assert raised.value.args == told


def test_a_warning_is_one_line(capsys):
    with warnings_in_a_line():
        warnings.warn("painting with VGG19-lite", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "jax_nst: warning: painting with VGG19-lite\n"


def test_fail_prints_one_line_and_returns_the_status(capsys):
    assert fail(ValueError("two\n  lines"), status=2) == 2
    assert capsys.readouterr() == ("", "jax_nst: two lines\n")


def test_tell_needs_no_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    tell("nobody hears it")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    tell("heard")
    assert sys.stderr.getvalue() == "heard\n"
