"""The Python API, misused: a sentence in ValueError or TypeError names the argument."""

import io
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_nst
from hostile_cases.case import raising
from hostile_cases.running import picture
from jax_nst import (
    Checkpoint,
    Config,
    Grid,
    extract_features,
    gram_matrix,
    load_image,
    load_params,
    save_image,
)

_CONFIG = Config(features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=3)
_CONTENT, _STYLE = picture(24, 32, 1), picture(28, 20, 2)


def _stylize(content: Any = _CONTENT, style: Any = _STYLE, config: Any = _CONFIG, **named: Any) -> Any:
    return jax_nst.stylize(content, style, config=config, **named)


def _sweep(contents: Any = _CONTENT, styles: Any = _STYLE, config: Any = _CONFIG, **named: Any) -> Any:
    return jax_nst.sweep(contents, styles, config=config, **named)


def _first_message(result: Any) -> None:
    """A sweep tells what is wrong with an item in its result."""
    assert all(status.name == "FAILED" for status in result.status), result.status
    raise ValueError(result.messages[0])


class _Odd:
    """Raises where it is looked at."""

    def __array__(self, *rest: Any, **named: Any) -> Any:
        raise RuntimeError("looked at")

    def __repr__(self) -> str:
        return "odd\n" * 1000


def _score(value: Any) -> Any:
    return _stylize().score(value)


def _stop(progress: Any) -> bool:
    return progress.step >= 1


def _held() -> None:
    """Leaves the checkpoint of a run that was stopped."""
    _stylize(checkpoint="k", callback=_stop)


def _raise(progress: Any) -> None:
    raise ValueError(f"callback at {progress.step}")


def _callback_keeps_the_picture() -> None:
    def at_the_second(progress: Any) -> None:
        if progress.step >= 2:
            _raise(progress)

    with pytest.raises(ValueError, match="callback") as caught:
        _stylize(callback=at_the_second)
    assert caught.value.result.pixels.shape == _CONTENT.shape
    raise caught.value


CASES = [
    raising("python: content None", lambda: _stylize(None), "content"),
    raising("python: content a number", lambda: _stylize(3), "content"),
    raising("python: content bytes", lambda: _stylize(b"c.png"), "content"),
    raising("python: content a file that is open", lambda: _stylize(io.BytesIO(b"")), "content"),
    raising("python: content missing", lambda: _stylize("none.png"), "none.png: no such image file"),
    raising("python: content empty path", lambda: _stylize(""), "path"),
    raising("python: content a dict", lambda: _stylize({"pixels": _CONTENT}), "content"),
    raising("python: content an object array", lambda: _stylize(np.array([None, 1])), "content"),
    raising("python: content strings", lambda: _stylize(np.array([["a"]])), "content"),
    raising("python: content complex", lambda: _stylize(_CONTENT.astype(np.complex64)), "content"),
    raising("python: content integers", lambda: _stylize((_CONTENT * 255).astype(np.int64)), "content"),
    raising("python: content booleans", lambda: _stylize(_CONTENT > 0.5), "content"),
    raising("python: content to 255", lambda: _stylize(_CONTENT * 255), "content", "divide them by 255"),
    raising("python: content with NaN", lambda: _stylize(_CONTENT * np.nan), "content", "NaN"),
    raising("python: content grey", lambda: _stylize(_CONTENT[..., 0]), "content", "[H, W, 3]"),
    raising("python: content with four channels", lambda: _stylize(np.zeros((24, 32, 4))), "content"),
    raising("python: content with channels first", lambda: _stylize(np.zeros((3, 24, 32))), "content"),
    raising("python: content a batch", lambda: _stylize(_CONTENT[None]), "content", "batch"),
    raising("python: content without rows", lambda: _stylize(_CONTENT[:0]), "content"),
    raising("python: content without axes", lambda: _stylize(np.float32(0.5)), "content"),
    raising(
        "python: content that raises", lambda: _stylize(_Odd()), "content", raises=(ValueError, TypeError)
    ),
    raising("python: content deleted by JAX", lambda: _stylize(_deleted()), "content"),
    raising("python: style None", lambda: _stylize(style=None), "style"),
    raising("python: style an empty list", lambda: _stylize(style=[]), "style"),
    raising("python: style a list with None", lambda: _stylize(style=[_STYLE, None]), "style"),
    raising("python: style a set", lambda: _stylize(style={"s.png"}), "style"),
    raising("python: style a generator", lambda: _stylize(style=(x for x in [_STYLE])), "style"),
    raising("python: style nested lists", lambda: _stylize(style=[[_STYLE]]), "style"),
    raising("python: blend a string", lambda: _stylize(blend="1"), "blend"),
    raising("python: blend a number", lambda: _stylize(blend=1.0), "blend"),
    raising("python: blend strings", lambda: _stylize(style=[_STYLE, _STYLE], blend=["a", "b"]), "blend"),
    raising("python: blend nan", lambda: _stylize(style=[_STYLE, _STYLE], blend=[np.nan, 1]), "blend"),
    raising("python: blend of another count", lambda: _stylize(blend=[1, 1]), "blend"),
    raising("python: config None", lambda: _stylize(config=None), "config"),
    raising("python: config a dict", lambda: _stylize(config={"steps": 3}), "config"),
    raising("python: config the class", lambda: _stylize(config=Config), "config"),
    raising("python: callback no function", lambda: _stylize(callback=5), "callback"),
    raising("python: callback that raises", _callback_keeps_the_picture, "callback at 2"),
    raising("python: params with wavelets", lambda: _stylize(params={"a": 1}), "params"),
    raising(
        "python: params a path", lambda: _stylize(config=Config(features="vgg19"), params="w.h5"), "params"
    ),
    raising("python: params empty", lambda: _stylize(config=Config(features="vgg19"), params={}), ""),
    raising("python: checkpoint a number", lambda: _stylize(checkpoint=5), "checkpoint"),
    raising("python: checkpoint True", lambda: _stylize(checkpoint=True), "checkpoint"),
    raising("python: checkpoint empty", lambda: _stylize(checkpoint=""), "checkpoint"),
    raising("python: checkpoint of a number", lambda: Checkpoint(5), "folder"),
    raising("python: checkpoint of bytes", lambda: Checkpoint(b"k"), "folder"),
    raising("python: checkpoint every text", lambda: Checkpoint("k", every="often"), "every"),
    raising("python: checkpoint every nan", lambda: Checkpoint("k", every=float("nan")), "every"),
    raising("python: checkpoint every negative", lambda: Checkpoint("k", every=-1), "every"),
    raising("python: checkpoint after text", lambda: Checkpoint("k", after="a"), "after"),
    raising("python: resume without a checkpoint", lambda: _stylize(resume=True), "checkpoint"),
    raising(
        "python: a checkpoint there already",
        lambda: _stylize(checkpoint="k"),
        "k: holds the checkpoint",
        setup=_held,
        writes=("k/*?",),
    ),
    raising(
        "python: resume with other settings",
        lambda: _stylize(
            checkpoint="k",
            resume=True,
            config=Config(features="wavelet", content_layers="luma1", style_layers="scale1", steps=9),
        ),
        "holds the state of another run",
        setup=_held,
    ),
    raising(
        "python: resume with another content",
        lambda: _stylize(_CONTENT[::-1], checkpoint="k", resume=True),
        "holds the state of another run",
        setup=_held,
    ),
    raising("python: stylize in jit", lambda: jax.jit(_stylize)(_CONTENT, _STYLE), "stylize"),
    raising("python: stylize in vmap", lambda: jax.vmap(_stylize)(_CONTENT[None], _STYLE[None]), "stylize"),
    raising(
        "python: stylize in grad",
        lambda: jax.grad(lambda x: _stylize(x).pixels.sum())(jnp.array(_CONTENT)),
        "stylize",
    ),
    raising("python: score of None", lambda: _score(None), "pixels"),
    raising("python: score of another shape", lambda: _score(_CONTENT[:9]), "pixels"),
    raising("python: score of a missing file", lambda: _score("none.png"), "none.png"),
    # Sweeps.
    raising("python: sweep of None", lambda: _sweep(None), "contents"),
    raising("python: sweep of nothing", lambda: _sweep([]), "content"),
    raising("python: sweep of styles that are a number", lambda: _sweep(styles=5), "styles"),
    raising("python: sweep of a content that is None", lambda: _first_message(_sweep([None])), "picture"),
    raising("python: sweep of a missing file", lambda: _first_message(_sweep("none.png")), "none.png"),
    raising("python: sweep of contents to 255", lambda: _first_message(_sweep(_CONTENT * 255)), "divide"),
    raising("python: grid None", lambda: _sweep(grid=None), "grid"),
    raising("python: grid a dict", lambda: _sweep(grid={"tv_weight": [1]}), "grid"),
    raising("python: sweep config None", lambda: _sweep(config=None), "config"),
    raising("python: batch zero", lambda: _sweep(batch=0), "batch"),
    raising("python: batch negative", lambda: _sweep(batch=-1), "batch"),
    raising("python: batch a string", lambda: _sweep(batch="2"), "batch"),
    raising("python: batch a fraction", lambda: _sweep(batch=2.5), "batch"),
    raising("python: batch True", lambda: _sweep(batch=True), "batch"),
    raising("python: batch huge of nothing", lambda: _sweep(batch=10**30), "batch"),
    raising("python: sweep callback no function", lambda: _sweep(callback="show"), "callback"),
    raising("python: grid of text", lambda: Grid(tv_weight="heavy"), "tv_weight"),
    raising("python: grid of nothing", lambda: Grid(style_weight=[]), "style_weight is empty"),
    raising("python: grid of a dict", lambda: Grid(style_weight={1: 2}), "style_weight"),
    raising("python: grid of a set", lambda: Grid(tv_weight={1, 2}), "tv_weight"),
    raising("python: grid of booleans", lambda: Grid(seed=True), "seed"),
    raising("python: grid of fractions for seeds", lambda: Grid(seed=1.5), "seed"),
    raising("python: grid of None", lambda: Grid(seed=[None]), "seed"),
    raising("python: grid of complex numbers", lambda: Grid(tv_weight=[1j]), "tv_weight"),
    raising("python: grid of arrays of two axes", lambda: Grid(tv_weight=np.ones((2, 2))), "tv_weight"),
    raising("python: grid of a number no float holds", lambda: Grid(tv_weight=10**400), "tv_weight"),
    raising("python: grid with mixtures of text", lambda: Grid(blend=[["a", "b"]]), "blend"),
    raising("python: grid with zip of text", lambda: Grid(zip="yes"), "zip"),
    raising(
        "python: grid of weights nan", lambda: _sweep(grid=Grid(tv_weight=[float("nan")])), "tv_weight"
    ),
    raising("python: grid of starts that are numbers", lambda: Grid(init=[5]), "init"),
    raising("python: grid of endless values", lambda: Grid(tv_weight=object()), "tv_weight"),
    # Config.
    raising("python: config size a string", lambda: Config(size="512"), "size"),
    raising("python: config size True", lambda: Config(size=True), "size"),
    raising("python: config size an array", lambda: Config(size=np.array([1, 2])), "size"),
    raising("python: config steps nan", lambda: Config(steps=float("nan")), "steps"),
    raising("python: config steps None", lambda: Config(steps=None), "steps"),
    raising("python: config layers numbers", lambda: Config(style_layers=(1, 2)), "style_layers"),
    raising("python: config layers empty", lambda: Config(style_layers=()), "style_layers"),
    raising("python: config weight a list", lambda: Config(style_weight=[1.0]), "style_weight"),
    raising("python: config features a number", lambda: Config(features=5), "features"),
    raising("python: config optimizer a class", lambda: Config(optimizer=dict), "optimizer"),
    raising("python: config odd value", lambda: Config(recipe=_Odd()), "recipe"),
    raising("python: config init None", lambda: Config(init=None), "init"),
    raising("python: config unknown setting", lambda: Config(stepz=3), "stepz"),
    raising(
        "python: config changed", lambda: setattr(_CONFIG, "steps", 5), "steps", raises=(AttributeError,)
    ),
    # Pictures.
    raising("python: save None", lambda: save_image("o.png", None), "pixels"),
    raising("python: save nowhere", lambda: save_image(None, _CONTENT), "path"),
    raising("python: save to an empty path", lambda: save_image("", _CONTENT), "format"),
    raising("python: save bytes for a path", lambda: save_image(b"o.png", _CONTENT), "path"),
    raising("python: save NaN", lambda: save_image("o.png", _CONTENT * np.nan), "pixels"),
    raising("python: save out of range", lambda: save_image("o.png", _CONTENT * 300), "pixels"),
    raising("python: save another format", lambda: save_image("o.bmp", _CONTENT), "o.bmp"),
    raising(
        "python: save with another alpha", lambda: save_image("o.png", _CONTENT, alpha=_CONTENT), "alpha"
    ),
    raising(
        "python: save with settings that are no JSON",
        lambda: save_image("o.png", _CONTENT, settings={"a": object()}),
        "settings",
    ),
    raising(
        "python: save with settings that are no mapping",
        lambda: save_image("o.png", _CONTENT, settings=5),
        "settings",
    ),
    raising(
        "python: save with settings in circles",
        lambda: save_image("o.png", _CONTENT, settings=_circle()),
        "settings",
    ),
    raising(
        "python: save JPEG of 70,000 columns",
        lambda: save_image("o.jpg", np.zeros((1, 70_000, 3), np.uint8)),
        "o.jpg",
    ),
    raising(
        "python: save WebP of 17,000 rows",
        lambda: save_image("o.webp", np.zeros((17_000, 1, 3), np.uint8)),
        "o.webp",
    ),
    raising(
        "python: save onto a folder",
        lambda: save_image("d.png", _CONTENT),
        "d.png",
        setup=lambda: os.mkdir("d.png"),
    ),
    raising(
        "python: save JPEG with settings of 100 KB",
        lambda: save_image("o.jpg", _CONTENT, settings={"a": "x" * 100_000}),
        "o.jpg",
    ),
    raising("python: load None", lambda: load_image(None), "path"),
    raising("python: load a number, that of a stream", lambda: load_image(0), "path"),
    raising("python: load bytes", lambda: load_image(b"c.png"), "path"),
    raising("python: load at size zero", lambda: load_image("c.png", 0), "size"),
    raising("python: load at a size of text", lambda: load_image("c.png", "9"), "size"),
    raising("python: load at size True", lambda: load_image("c.png", True), "size"),
    raising("python: load at a billion pixels", lambda: load_image("c.png", 1e9), "size"),
    # Networks.
    raising("python: params of None", lambda: load_params(None), "path"),
    raising("python: params of a picture", lambda: load_params("c.png"), "c.png"),
    raising("python: params of a number of layers", lambda: load_params("c.png", 5), "layers"),
    raising("python: params of an unknown network", lambda: load_params("c.png", network="vgg11"), "vgg11"),
    raising(
        "python: params of a network that is None", lambda: load_params("c.png", network=None), "network"
    ),
    raising("python: features of None", lambda: extract_features(None, ["relu1_1"], {}), ""),
    raising("python: Gram matrix of a vector", lambda: gram_matrix(np.ones(3)), ""),
    raising("python: wavelet of text", lambda: jax_nst.wavelet("x"), ""),
    raising("python: VGG of another depth", lambda: jax_nst.vgg("vgg99"), "vgg99"),
    raising("python: progress of no width", lambda: jax_nst.show_progress(width=0), "width"),
    raising("python: progress of a width of text", lambda: jax_nst.show_progress(width="x"), "width"),
]


def _deleted() -> Any:
    array = jnp.array(_CONTENT)
    array.delete()
    return array


def _circle() -> dict[str, Any]:
    settings: dict[str, Any] = {}
    settings["self"] = settings
    return settings
