"""Sweeps on disk for tests: tiny ones, run and read."""

import contextlib
import csv
import dataclasses
import json
import os
import re

import numpy as np
from conftest import picture

from jax_nst import Config, Grid, save_image
from jax_nst.runtime import files as files_module
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.job import make_job
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import load_network

CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    steps=3,
    size=24,
    optimizer="adam",
    init="noise",
)
GRID = Grid(style_weight=(10.0, 1000.0))


class Killed(BaseException):
    """Nothing catches it, like SIGKILL."""


@contextlib.contextmanager
def killed_before_rename(monkeypatch, moment):
    """Ends what is within before the `moment`-th time, from 0, that a file takes its place.

    Gives a list, which is empty if that moment did not come.
    """
    replace, left, killed = os.replace, [moment], []

    def die(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(files_module.os, "replace", die)
        try:
            yield killed
        except Killed:
            killed.append(moment)


def save_inputs(folder):
    """Saves four pictures of one shape; returns their paths."""
    paths = [str(folder / f"p{index}.png") for index in range(4)]
    for index, path in enumerate(paths):
        save_image(path, picture(24, 20, index))
    return paths


def job_of(inputs, grid=GRID, contents=(0,), styles=(1,), **settings):
    config = dataclasses.replace(CONFIG, **settings)
    return make_job([inputs[i] for i in contents], [inputs[i] for i in styles], grid, config)


def run(folder, job, *, stop=lambda progress: False, resume=True):
    """Runs, and returns the rows and the numbers of the items that were painted."""
    painted = set()

    def callback(progress):
        painted.update(progress.items)
        return stop(progress)

    network = load_network(job.config)
    rows = run_in_folder(folder, job, network, batch=2, resume=resume, hooks=Hooks(callback))
    return rows, painted


def table(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def pictures_of(folder):
    """Name -> bytes and time of the last change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*=*.png")}


def by_key(folder):
    """Key -> picture, losses of every step, and what the table says, but the name and the time."""
    with np.load(folder / "history.npz") as arrays:
        curves = {key: arrays["total"][row] for row, key in enumerate(arrays["key"].tolist())}
    return {
        row["key"]: (
            (folder / row["file"]).read_bytes(),
            curves[row["key"]].tobytes(),
            {name: text for name, text in row.items() if name not in ("seconds", "file")},
        )
        for row in table(folder)
    }


def data_of(folder):
    text = (folder / "index.html").read_text()
    return json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[0])
