"""`--plan` on the command line."""

from pathlib import Path

import pytest

from jax_nst.cli import main as cli

QUICK = ("--features=wavelet", "--content_layers=luma1", "--style_layers=scale1", "--size=16", "--steps=7")


def run(*arguments):
    return cli.main(["main.py", *arguments])


def test_one_picture_is_planned_and_nothing_is_written(pair, capsys):
    before = sorted(Path().iterdir())
    assert run(*pair, *QUICK, "--plan") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "1 picture"
    assert lines[1] == "sizes: 1 picture with 7 steps at 16 x 12 pixels"
    found = [line.partition(":")[0] for line in lines[2:]]
    assert found[:4] == ["programs", "batches", "memory", "time"]
    assert found[4].startswith("ways to compute it, the fastest first, with ")
    assert found[5:] == ["  whole"]
    assert err == ""
    assert [path for path in sorted(Path().iterdir()) if path.name != "cache"] == before


def test_a_file_that_cannot_be_read_has_a_line_and_status_1(pair, capsys):
    Path("bad.png").write_text("no picture")
    assert run(*pair, *QUICK, "--style=bad.png", "--tv_weight=1,2", "--plan") == 1
    out, err = capsys.readouterr()
    assert out.startswith("4 pictures, style (2) x tv_weight (2)\nsizes: 2 pictures with ")
    assert err.startswith("jax_nst: bad.png: is not a JPEG")
    assert err.endswith("(2 pictures)\n")
    assert err.count("\n") == 1


def test_with_resume_it_says_what_is_left(pair, capsys):
    sweep = ("--style_weight=10,1000", "--optimizer=adam", "--output=out")
    assert run(*pair, *QUICK, *sweep, "--quiet") == 0
    capsys.readouterr()
    arguments = (*pair, *QUICK, "--style_weight=10,1000", "--optimizer=adam", "--resume=out", "--plan")
    assert run(*arguments) == 0
    assert capsys.readouterr().out == "2 pictures, style_weight (2); 2 done, 0 left\n"
    Path("out", "style_weight=10.png").unlink()
    assert run(*arguments) == 0
    assert "; 1 done, 1 left\nsizes: 1 picture with " in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--tv_weight=1,2", "--distributed"), ("--style_weight=-1",)])
def test_what_the_run_refuses_the_plan_refuses(more, pair, capsys):
    assert run(*pair, *QUICK, *more, "--plan") == 2
    assert capsys.readouterr().out == ""


def test_it_says_when_early_halving_ends_runs(pair, capsys):
    assert run(*pair, *QUICK, "--style_weight=1,2,3", "--keep_best=1/2", "--keep_at=2", "--plan") == 0
    line = (
        "early halving: runs end after step 2 (1 picture), step 7 (2 pictures); 19 of 24 evaluations remain"
    )
    assert line in capsys.readouterr().out.splitlines()
