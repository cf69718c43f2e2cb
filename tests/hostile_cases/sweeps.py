"""Sweeps: odd axes, odd folders, and whatever happens to their files."""

import csv
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hostile_cases.case import Case, refused, swept
from hostile_cases.running import picture, run_here
from jax_nst import save_image

_TWO = ("--tv_weight=1,2", "--output=sweep")


@functools.cache
def _finished_sweep() -> dict[str, bytes]:
    """The files of the sweep of `_TWO`, which are the same at any place."""
    done = run_here(*Case("", _TWO).command_line)
    assert done.status == 0, done
    files = {str(path): path.read_bytes() for path in Path("sweep").rglob("*") if path.is_file()}
    shutil.rmtree("sweep")
    return files


def _finished(then: Callable[[], object] = lambda: None) -> Callable[[], None]:
    def setup() -> None:
        for name, content in _finished_sweep().items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        then()

    return setup


def _repaired(name: str, then: Callable[[], object], *says: str, **named: Any) -> Case:
    """A finished sweep of which something is damaged, and which is resumed."""
    return swept(f"sweeps: {name}", *_TWO, "--resume=sweep", setup=_finished(then), says=says,
                 **{"changes": ("sweep/**",), **named})  # fmt: skip


def _extended(name: str, *arguments: str) -> Case:
    """A finished sweep that is resumed with another grid, which shares items with it."""
    return swept(f"sweeps: resumed with {name}", *arguments, "--resume=sweep", setup=_finished(),
                 changes=("sweep/**",))  # fmt: skip


def _write(name: str, content: str | bytes) -> Callable[[], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda: Path(name).write_bytes(data)


def _edited(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[], None]:
    def then() -> None:
        path = Path("sweep/results.csv")
        path.write_bytes(change(path.read_bytes().decode()).encode(encoding))

    return then


def _cut(name: str) -> Callable[[], None]:
    return lambda: os.truncate(name, Path(name).stat().st_size // 2)


def _to_folder(name: str) -> Callable[[], object]:
    return lambda: (os.remove(name), os.mkdir(name), Path(name, "kept").touch())


def _without_column(text: str) -> str:
    rows = list(csv.reader(text.splitlines()))
    return "\n".join(",".join(row[1:]) for row in rows)


def _zeros(name: str) -> Callable[[], None]:
    return lambda: np.savez(name, x=np.zeros(3))


def _styles(*names: str) -> Callable[[], None]:
    def setup() -> None:
        for number, name in enumerate(names):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            save_image("temporary.png", picture(28, 20, number))
            os.rename("temporary.png", name)

    return setup


_RESULTS = {
    "with a column more": lambda text: "\n".join(line + ",note" for line in text.splitlines()),
    "with a column less": _without_column,
    "with semicolons": lambda text: text.replace(",", ";"),
    "with a byte-order mark": lambda text: "\ufeff" + text,
    "with lines of another system": lambda text: text.replace("\n", "\r\n"),
    "cut in half": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "with its rows twice": lambda text: text + text.split("\n", 1)[1],
    "with its rows in another order": lambda text: "\n".join(
        [text.splitlines()[0], *text.splitlines()[:0:-1]]
    ),
    "with other numbers": lambda text: text.replace("1", "7"),
    "with rounded numbers": lambda text: text.replace(".", ","),
    "with a zero byte": lambda text: text[:40] + "\0" + text[40:],
    "with a quote left open": lambda text: text[:40] + '"' + text[40:],
}

CASES = [
    *(_repaired(f"results.csv {kind}", _edited(change)) for kind, change in _RESULTS.items()),
    _repaired("results.csv in another encoding", _edited(lambda text: text, "utf-16")),
    _repaired("results.csv a folder", _to_folder("sweep/results.csv")),
    refused(
        "sweeps: results.csv a link to the style",
        *_TWO,
        "--resume=sweep",
        setup=_finished(
            lambda: (os.remove("sweep/results.csv"), os.symlink("../s.png", "sweep/results.csv"))
        ),
        says="is read or written already",
    ),
    _repaired("results.csv gone", lambda: os.remove("sweep/results.csv")),
    _repaired("settings.json torn", _cut("sweep/settings.json")),
    _repaired("settings.json a folder", _to_folder("sweep/settings.json")),
    _repaired("settings.json somebody else's", _write("sweep/settings.json", '{"editor.fontSize": 12}')),
    _repaired("history.npz torn", _cut("sweep/history.npz")),
    _repaired("history.npz a folder", _to_folder("sweep/history.npz")),
    _repaired("contact_sheet.png a folder", _to_folder("sweep/contact_sheet.png")),
    _repaired("index.html a folder", _to_folder("sweep/index.html")),
    _repaired("a picture cut in half", _cut("sweep/tv_weight=1.png")),
    _repaired("a picture gone", lambda: os.remove("sweep/tv_weight=1.png")),
    _repaired("a picture a folder", _to_folder("sweep/tv_weight=2.png")),
    _repaired(
        "a picture of somebody else", lambda: shutil.copy("s.png", "sweep/tv_weight=2.png"), shape=None
    ),
    _repaired("a batch torn", _cut("sweep/batches/00001.npz")),
    _repaired("a batch of something else", _zeros("sweep/batches/00001.npz")),
    _repaired("a batch a folder", _to_folder("sweep/batches/00001.npz")),
    _repaired("a batch twice", lambda: shutil.copy("sweep/batches/00001.npz", "sweep/batches/00002.npz")),
    _repaired("a file among the batches", _write("sweep/batches/notes.txt", "mine")),
    _repaired("a batch with a name of 500 digits", _write("sweep/batches/" + "9" * 200 + ".npz", "x")),
    _repaired("inputs a file", lambda: (shutil.rmtree("sweep/inputs"), Path("sweep/inputs").touch())),
    _repaired("inputs gone", lambda: shutil.rmtree("sweep/inputs")),
    _repaired(
        "a checkpoint of rubbish",
        lambda: (
            Path("sweep/checkpoint").mkdir(exist_ok=True),
            Path("sweep/checkpoint/checkpoint.json").write_text("{"),
        ),
    ),
    _repaired(
        "checkpoint a file",
        lambda: (shutil.rmtree("sweep/checkpoint", ignore_errors=True), Path("sweep/checkpoint").touch()),
    ),
    _repaired("the lock left by a killed program", _write("sweep/.jax_nst.lock", "99999")),
    _repaired("the lock with rubbish", _write("sweep/.jax_nst.lock", b"\xff\0\xff")),
    _repaired("temporary files of a killed program", _write("sweep/.jax_nst.-.1.x.tmp", "x")),
    refused(
        "sweeps: both settings torn",
        *_TWO,
        "--resume=sweep",
        setup=_finished(lambda: (_cut("sweep/settings.json")(), _cut("sweep/batches/settings.json")())),
        says="sweep",
        status={1, 2},
        writes=("sweep/**?",),
        changes=("sweep/**",),
    ),
    _repaired(
        "batches a file",
        lambda: (shutil.rmtree("sweep/batches"), Path("sweep/batches").touch()),
    ),
    refused(
        "sweeps: the lock a folder",
        *_TWO,
        "--resume=sweep",
        setup=_finished(lambda: os.mkdir("sweep/.jax_nst.lock")),
        says="sweep",
        status=1,
        changes=("sweep/**",),
    ),
    refused(
        "sweeps: without resume in a finished one",
        *_TWO,
        setup=_finished(),
        says="go on with it by --resume sweep",
        status=1,
    ),
    refused(
        "sweeps: resumed with other steps",
        *_TWO,
        "--steps=4",
        "--resume=sweep",
        setup=_finished(),
        says="steps",
        status=1,
    ),
    refused(
        "sweeps: resumed with other values",
        "--tv_weight=4,3",
        "--output=sweep",
        "--resume=sweep",
        setup=_finished(),
        says="tv_weight",
        status=1,
    ),
    _extended("more values", "--tv_weight=3,2,1"),
    _extended("fewer values and another", "--tv_weight=2,3"),
    _extended("one more axis", "--tv_weight=1,2", "--color=style,keep"),
    _extended("one more style", "--tv_weight=1,2", "--style=s.png", "--style=c.png"),
    refused(
        "sweeps: resumed with more values and the entries torn",
        "--tv_weight=1,2,3",
        "--output=sweep",
        "--resume=sweep",
        setup=_finished(_cut("sweep/batches/items.json")),
        says="tv_weight",
        status=1,
        changes=("sweep/**",),
    ),
    swept(
        "sweeps: merged with another",
        "--merge=sweep",
        "--output=both",
        setup=_finished(),
        picture="both",
        is_raw=True,
    ),
    _repaired("the entries torn", _cut("sweep/batches/items.json")),
    _repaired("the entries of something else", _write("sweep/batches/items.json", '{"a": 1}')),
    _repaired("the entries a folder", _to_folder("sweep/batches/items.json")),
    _repaired("the entries gone", lambda: os.remove("sweep/batches/items.json")),
    refused(
        "sweeps: resumed with a changed content",
        *_TWO,
        "--resume=sweep",
        setup=_finished(lambda: shutil.copy("s.png", "c.png")),
        says="the contents of c.png differ",
        status=1,
    ),
    swept(
        "sweeps: resumed with a removed content",
        *_TWO,
        "--resume=sweep",
        setup=_finished(lambda: os.remove("c.png")),
        changes=("sweep/**",),
        status={0, 1},
    ),
    swept(
        "sweeps: resumed where there is none", "--tv_weight=1,2", "--output=d", "--resume=d", picture="d"
    ),
    refused("sweeps: one picture where a sweep is", "--output=sweep", setup=_finished(), says="sweep"),
    # Axes.
    swept(
        "sweeps: one content twice", "--content=c.png", "--content=./c.png", status={0, 2}, may_write=True
    ),
    swept(
        "sweeps: one style by a link, too",
        "--style=s.png",
        "--style=l.png",
        setup=lambda: os.symlink("s.png", "l.png"),
    ),
    swept(
        "sweeps: styles of one name",
        "--style=a/x.png",
        "--style=b/x.png",
        setup=_styles("a/x.png", "b/x.png"),
    ),
    swept(
        "sweeps: styles that differ in capitals",
        "--style=x.png",
        "--style=X.png",
        setup=_styles("x.png", "X.png"),
    ),
    swept(
        "sweeps: styles that differ in the suffix",
        "--style=x.png",
        "--style=x.tif",
        setup=lambda: (save_image("x.png", picture(28, 20, 4)), save_image("x.tif", picture(28, 20, 5))),
    ),
    swept(
        "sweeps: styles with names of markup",
        "--style=d",
        setup=_styles("d/<img src=x onerror=alert(1)>.png", "d/&quot;'\".png", "d/</script>.png"),
    ),
    swept(
        "sweeps: styles with names of spreadsheets",
        "--style=d",
        setup=_styles("d/=cmd|' !A0.png", "d/+1,2.png", "d/@x;y.png"),
    ),
    swept("sweeps: styles with newlines and tabs", "--style=d", setup=_styles("d/a\nb.png", "d/a\tb.png")),
    swept(
        "sweeps: styles with names of bytes", "--style=d", setup=_styles("d/a\udcff.png", "d/b\udcfe.png")
    ),
    swept(
        "sweeps: styles with names of 250 bytes",
        "--style=d",
        setup=_styles(f"d/{'n' * 246}.png", f"d/{'n' * 245}m.png"),
    ),
    swept(
        "sweeps: styles with accents taken apart", "--style=d", setup=_styles("d/é.png", "d/e\u0301.png")
    ),
    swept(
        "sweeps: styles named with percent and hash", "--style=d", setup=_styles("d/50%25.png", "d/#1?.png")
    ),
    swept(
        "sweeps: contents of two shapes", "--content=c.png", "--content=s.png", "--style=s.png", shape=None
    ),
    swept("sweeps: seeds of which two are one", "--init=noise", "--seed=1,01,2"),
    swept("sweeps: 300 values", f"--tv_weight={','.join(map(str, range(300)))}", "--steps=1"),
    swept("sweeps: starts of three kinds", "--init=content,style,noise"),
    swept("sweeps: one start that is missing", "--init=content,none.png", status=1, says="none.png"),
    swept("sweeps: blends", "--style=s.png", "--style=c.png", "--blend=1,0", "--blend=0.5,0.5"),
    refused(
        "sweeps: blends of two counts",
        "--style=s.png",
        "--style=c.png",
        "--blend=1,0",
        "--blend=1",
        says="blend",
        status=2,
    ),
    refused(
        "sweeps: zip of 2 and 3",
        "--tv_weight=1,2",
        "--style_weight=1,2,3",
        "--zip",
        says="zip pairs values",
    ),
    swept(
        "sweeps: layer weights of two counts",
        "--style_layer_weights=1",
        "--style_layer_weights=1,2",
        says="style layer",
        status=1,
    ),
    refused(
        "sweeps: a billion items",
        *(f"--{name}_weight={','.join(map(str, range(1, 1001)))}" for name in ("content", "style", "tv")),
        says="items",
        status={1, 2},
    ),
    refused("sweeps: a glob without a file", "--style=none*.png", says="no file matches", status=1),
    refused(
        "sweeps: a glob of folders", "--style=d*", setup=lambda: os.mkdir("d1"), says="no file", status=1
    ),
    refused(
        "sweeps: a folder without pictures",
        "--style=d",
        setup=lambda: os.mkdir("d"),
        says="contains no images",
        status=1,
    ),
    swept(
        "sweeps: a style among others that is no picture",
        "--style=d",
        status=1,
        says="d/b.png",
        setup=lambda: (_styles("d/a.png")(), Path("d/b.png").write_text("no")),
    ),
    swept(
        "sweeps: a content among others that is too small",
        "--content=d",
        status=1,
        says="give a larger size",
        setup=lambda: (
            os.mkdir("d"),
            save_image("d/a.png", picture(24, 32)),
            save_image("d/b.png", picture(2, 2)),
        ),
    ),
    swept(
        "sweeps: no item can be painted",
        "--style=d",
        status=1,
        says="d/a.png",
        setup=lambda: (os.mkdir("d"), Path("d/a.png").touch(), Path("d/b.png").touch()),
    ),
    # The folder.
    refused(
        "sweeps: output a file",
        "--tv_weight=1,2",
        "--output=f",
        says="f: cannot be made a folder",
        status=1,
        setup=_write("f", "kept"),
    ),
    refused("sweeps: output below a file", "--tv_weight=1,2", "--output=c.png/d", says="c.png", status=1),
    refused(
        "sweeps: output named like a picture", "--tv_weight=1,2", "--output=o.png", says="need a folder"
    ),
    refused(
        "sweeps: output in a folder of the kernel",
        "--tv_weight=1,2",
        "--output=/proc/d",
        says="/proc/d",
        status=1,
    ),
    refused(
        "sweeps: output a link to nothing",
        "--tv_weight=1,2",
        "--output=l",
        says="l: cannot be made a folder",
        status=1,
        setup=lambda: os.symlink("none/none", "l"),
    ),
    refused(
        "sweeps: output a pipe",
        "--tv_weight=1,2",
        "--output=p",
        says="p: cannot be made a folder",
        status=1,
        setup=lambda: os.mkfifo("p"),
    ),
    refused(
        "sweeps: output with a zero byte", "--tv_weight=1,2", "--output=d\0", says="--output", status={1, 2}
    ),
    refused(
        "sweeps: output with a name of 300 bytes",
        "--tv_weight=1,2",
        f"--output={'d' * 300}",
        says="ddd",
        status=1,
    ),
    refused(
        "sweeps: output that holds somebody's table",
        "--tv_weight=1,2",
        "--output=d",
        setup=lambda: (os.mkdir("d"), Path("d/results.csv").write_text("mine")),
        says="d/results.csv: exists but belongs to no sweep",
        status=1,
    ),
    refused(
        "sweeps: output that holds somebody's settings",
        "--tv_weight=1,2",
        "--output=d",
        setup=lambda: (os.mkdir("d"), Path("d/settings.json").write_text("{}")),
        says="d/settings.json: exists but belongs to no sweep",
        status=1,
    ),
    swept(
        "sweeps: output a folder of the content",
        "--content=d",
        "--tv_weight=1,2",
        "--output=d/out",
        setup=lambda: (os.mkdir("d"), shutil.copy("c.png", "d/a.png")),
        picture="d/out",
    ),
    swept(
        "sweeps: output the folder of the content",
        "--content=d",
        "--tv_weight=1,2",
        "--output=d",
        setup=lambda: (os.mkdir("d"), shutil.copy("c.png", "d/a.png")),
        picture="d",
        writes=("d/**",),
    ),
    swept(
        "sweeps: output the working folder", "--tv_weight=1,2", "--output=.", picture=".", writes=("**",)
    ),
    swept(
        "sweeps: output a link to a folder",
        "--tv_weight=1,2",
        "--output=l",
        picture="l",
        setup=lambda: (os.mkdir("d"), os.symlink("d", "l")),
        writes=("d/**",),
    ),
    swept("sweeps: output with braces", "--tv_weight=1,2", "--output={content}", picture="{content}"),
    swept("sweeps: output with a newline", "--tv_weight=1,2", "--output=a\nb", picture="a\nb"),
    swept(
        "sweeps: output in new folders",
        "--tv_weight=1,2",
        "--output=a/b/c",
        picture="a/b/c",
        writes=("a", "a/**"),
    ),
]
