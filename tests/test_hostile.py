"""Hostile cases: a twelfth every day, a sixteenth in the slow suite; all by `python tests/hostile.py`."""

import subprocess
import sys

import pytest
from conftest import ROOT
from hostile_cases import KINDS, all_cases
from hostile_cases.running import run_case

_EVERY = 12
SAMPLE = [case for case in all_cases() if case.process is None][::_EVERY]


def test_there_are_cases_of_every_kind():
    of_kind = {kind: sum(case.name.startswith(f"{kind}: ") for case in all_cases()) for kind in KINDS}
    assert min(of_kind.values()) >= 15
    assert sum(of_kind.values()) == len(all_cases()) >= 200


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: ascii(case.name))
def test_a_sample_is_handled(case, recwarn):
    assert run_case(case) == []


@pytest.mark.slow
def test_a_sixteenth_are_handled():
    command = [sys.executable, str(ROOT / "tests" / "hostile.py"), "--jobs=2", "--every=16"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
