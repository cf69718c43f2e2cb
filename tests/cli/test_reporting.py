"""`--report` and `--merge`; what a report holds is tested beside `make_report`."""

import csv
from pathlib import Path

import pytest

from jax_nst.cli.main import main

QUICK = ("--features=wavelet", "--content_layers=luma1", "--style_layers=scale1", "--steps=1", "--quiet")


def run(*arguments):
    return main(["main.py", *arguments])


def test_sweeps_are_merged(pair, capsys):
    for name, weights in (("a", "1,10"), ("b", "10,100")):
        assert run(*pair, *QUICK, f"--style_weight={weights}", f"--output={name}") == 0
    capsys.readouterr()
    assert run("--merge=a,b", "--output=c") == 0
    assert capsys.readouterr() == ("c/index.html\n", "")
    with Path("c/results.csv").open(newline="") as file:
        assert [row["style_weight"] for row in csv.DictReader(file)] == ["1.0", "10.0", "100.0"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--merge=", "--output=c"], 2, "--merge and --output name folders of sweeps"),
        (["--merge=a,,b", "--output=c"], 2, "--merge and --output name folders of sweeps"),
        (["--merge=a", "--output="], 2, "--merge and --output name folders of sweeps"),
        (["--merge=a", "--output=c", "--steps=3"], 2, "--steps has no use with --merge"),
        (["--report=a", "--steps=3"], 2, "--steps has no use with --report"),
        (["--merge=nothing", "--output=c"], 1, "nothing: holds no sweep; name the folder of one"),
    ],
)
def test_what_is_wrong_gets_a_sentence(arguments, status, message, pair, capsys):
    assert run(*arguments) == status
    assert message in capsys.readouterr().err
    assert not Path("c").exists()


def test_the_folder_of_a_sweep_is_the_default(monkeypatch, capsys):
    monkeypatch.setattr("jax_nst.cli.reporting.merge_sweeps", lambda *folders: print(*folders))
    assert run("--merge=a") == 0
    assert capsys.readouterr().out == "['a'] sweep\nsweep/index.html\n"
