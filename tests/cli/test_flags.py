"""Flags -> what they ask for, and the flags that would do nothing."""

import dataclasses
from pathlib import Path

import pytest
from absl import flags

from jax_nst import Config, Grid, Range
from jax_nst.cli.flags import check_together, define_flags, parse_batch, to_job
from jax_nst.sweeps.grid import SETTINGS

PICTURES = ("--content=c.png", "--style=s.png")


def parse(*arguments):
    parser = flags.FlagValues()
    define_flags(parser)
    parser(["main.py", *arguments])
    return parser.flag_values_dict()


def test_defaults_are_those_of_config():
    job = to_job(parse("--content=c.png", "--style=s.png"))
    assert (job.config, len(job.items)) == (Config(), 1)


def test_every_setting_is_read_from_its_flag():
    config = Config(
        size=100, style_scale=0.5, features="vgg16", weights="w.h5", recipe="sushant097", optimizer="adam",
        steps=7, learning_rate=0.5, content_weight=2.0, style_weight=3.0, tv_weight=4.0,
        content_layers=("relu1_1",), style_layers=("relu1_2", "relu2_1"), style_layer_weights=(0.25, 0.75),
        pooling="average", init="noise", seed=5, save_every=6, scales="3", tolerance=0.1,
        padding="replicate", precision="tf32", remat="all", style_loss=("gram:2", "moments"), crop=("4:3",),
        style_angle=(0.0, 45.0), noise=0.1, mask=("a.png:b.png:weight=2", "c.png"),
        color="keep", color_amount=0.25, content_loss=("features", "self_similarity:3"),
        memory="8GB",
    )  # fmt: skip
    # Those that contradict others of these.
    alone = {
        "style_size": 7,
        "lbfgs_pairs": "bfloat16",
        "num_pairs": 7,
        "tile_size": 64,
        "init_blur": 3.0,
        "init_noise": 0.1,
    }
    apart = (*alone, "style_sizes")
    changed = {name: value for name, value in dataclasses.asdict(config).items() if name not in apart}
    assert all(changed[name] != getattr(Config(), name) for name in changed)
    for name, value in alone.items():
        found = to_job(parse("--content=c.png", "--style=s.png", f"--{name}={value}")).config
        assert getattr(found, name) == value
    assert to_job(parse(*PICTURES, "--style_sizes=7")).config.style_sizes == (7,)
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in changed.items()}
    pictures = ("--content=c.png", "--style=s.png")
    job = to_job(parse(*pictures, *(f"--{name}={text}" for name, text in texts.items())))
    assert job.config == job.items[0].config == config
    spaced = [part for name, text in texts.items() for part in (f"--{name}", text)]
    assert to_job(parse(*pictures, *spaced)).config == config


def test_several_values_make_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.png",
        "b.jpg",
        "with,comma.png",
        "paintings/x.webp",
        "paintings/y.PNG",
        "paintings/z.txt",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    job = to_job(
        parse(
            "--content=a.png,b.jpg", "--style=paintings", "--style=with,comma.png", "--style=?.jpg",
            "--style_weight=1,1e3", "--style_weight=5", "--seed=1,2", "--init=noise,a.png",
            "--style_layer_weights=1,2,3,4,5", "--style_layer_weights=5,4,3,2,1", "--tv_weight=7",
        )
    )  # fmt: skip
    assert job.contents == ("a.png", "b.jpg")
    assert job.styles == ("paintings/x.webp", "paintings/y.PNG", "with,comma.png", "b.jpg")
    assert job.grid == Grid(
        style_weight=(1.0, 1000.0, 5.0),
        seed=(1, 2),
        init=("noise", "a.png"),
        style_layer_weights=((1, 2, 3, 4, 5), (5, 4, 3, 2, 1)),
    )
    assert job.config.tv_weight == 7
    assert len(job.items) == 2 * 4 * 3 * 2 * 2 * 2


def test_blend_and_zip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.png").touch()
    pictures = ("--content=c.png", "--style=s.png,t.png")
    job = to_job(parse(*pictures, "--blend=0.7,0.3", "--style_sizes=256,512"))
    assert job.config.style_sizes == (256, 512)
    with pytest.raises(ValueError, match="style_sizes has 2 sizes, but the number of styles"):
        to_job(parse(*pictures, "--style_sizes=256,512"))
    with pytest.raises(ValueError, match="style_sizes takes whole numbers separated by commas"):
        to_job(parse(*pictures, "--blend=0.7,0.3", "--style_sizes=256,large"))
    assert (len(job.items), job.items[0].shares) == (1, (0.7, 0.3))
    assert len(to_job(parse(*pictures, "--blend=0.7,0.3", "--blend=1,1")).items) == 2
    assert len(to_job(parse(*pictures, "--seed=1,2", "--zip")).items) == 2


def test_style_loss_is_a_list_of_words():
    job = to_job(parse(*PICTURES, "--style_loss=gram:2,moments", "--tv_weight=1,2"))
    assert job.config.style_loss == ("gram:2", "moments")
    assert {item.config.style_loss for item in job.items} == {("gram:2", "moments")}


def test_colours_make_a_sweep():
    job = to_job(parse(*PICTURES, "--color=keep,match", "--color_amount=0,0.5", "--color_amount=1"))
    assert job.grid == Grid(color=("keep", "match"), color_amount=(0.0, 0.5, 1.0))
    assert len(job.items) == 6
    assert job.files[1] == "color=keep__color_amount=0.5.png"
    with pytest.raises(ValueError, match="color_amount has no effect with color style"):
        to_job(parse(*PICTURES, "--color=keep,style", "--color_amount=0.5"))


def test_a_missing_picture_is_refused():
    with pytest.raises(ValueError, match="--content is missing; name the content image, see --help"):
        to_job(parse("--style=s.png"))


def test_parse_batch():
    assert (parse_batch("auto"), parse_batch("3")) == (None, 3)
    for text in ("0", "-1", "1.5", "many", ""):
        with pytest.raises(ValueError, match="batch must be auto, or a number from 1"):
            parse_batch(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--zip",), "--zip has no use here: there is only one picture to make"),
        (
            ("--distributed", "--checkpoint=a"),
            "--checkpoint has no use here: one picture of several processes",
        ),
        (("--distributed", "--resume=a"), "--resume has no use here: one picture of several processes"),
        (("--batch=3",), "--batch has no use here"),
        (("--tv_weight=1,2", "--history=h.json"), "--history has no use here: a sweep writes history.npz"),
        (("--tv_weight=1,2", "--save_every=3"), "--save_every has no use here: a sweep saves"),
        (("--tv_weight=1,2", "--coordinator_address=a:1"), "--coordinator_address has no use without"),
        (("--num_processes=2",), "--num_processes has no use without --distributed"),
        (("--process_id=1",), "--process_id has no use without --distributed"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(arguments, message):
    values = parse(*PICTURES, *arguments)
    with pytest.raises(ValueError, match=message):
        check_together(values, to_job(values))


def test_flags_that_go_together():
    for arguments in (
        ("--history=h.json", "--save_every=3"),
        ("--tv_weight=1,2", "--zip", "--batch=3", "--resume=out", "--distributed", "--process_id=0"),
    ):
        values = parse(*PICTURES, *arguments)
        check_together(values, to_job(values))


def test_every_setting_of_the_grid_is_a_flag_of_several_values():
    """Lists by repetition, others by commas."""
    texts = {
        "pooling": "max,average", "padding": "zeros,replicate", "precision": "float32,bfloat16",
        "recipe": "normalized,gatys2015", "style_loss": ("gram", "gram:2,moments"),
        "content_loss": ("features", "self_similarity"), "content_layers": ("a,b", "c"),
        "style_layers": ("a", "b,c"), "optimizer": "lbfgs,adam", "learning_rate": "0.5,1",
        "lbfgs_pairs": "float32,bfloat16", "num_pairs": "5,0x10", "size": "64,0x80", "scales": "auto,2",
        "style_size": "64,128",
        "style_scale": "0.5,1", "style_sizes": ("64", "128"), "steps": "20,80", "tolerance": "0,0.1",
        "content_weight": "0,1", "style_weight": "1e2,1e3", "tv_weight": "0,1", "mask": ("a.png", "b.png"),
        "style_layer_weights": ("1,2", "2,1"), "style_angle": ("0", "0,90"), "color": "keep,match",
        "color_amount": "0.5,1", "init": "content,noise", "init_blur": "0,1", "init_noise": "0,0.1",
        "noise": "0,0.1", "seed": "0,1",
    }  # fmt: skip
    assert sorted(texts) == sorted(SETTINGS)
    more = {"color_amount": ("--color=keep",), "seed": ("--noise=0.1",)}
    for name, given in texts.items():
        given = (given,) if isinstance(given, str) else given
        job = to_job(parse(*PICTURES, *more.get(name, ()), *(f"--{name}={text}" for text in given)))
        values = [getattr(item.config, name) for item in job.items]
        assert values == list(getattr(job.grid, name)), name
        assert len(set(values)) == 2
        assert job.config == job.items[0].config


def test_ranges_are_drawn_the_same_each_time():
    given = ("--style_weight=10..1e3:log:3,5", "--size=16..32:uniform:2")
    jobs = [to_job(parse(*PICTURES, *given)) for _ in range(2)]
    assert jobs[0].items == jobs[1].items
    weights = (*Range(10, 1000, 3, log=True).draw("style_weight"), 5.0)
    assert jobs[0].grid == Grid(style_weight=weights, size=Range(16, 32, 2))
    paired = ("--style_weight=1..9:log:4", "--tv_weight=0..1:uniform:4", "--zip")
    assert len(to_job(parse(*PICTURES, *paired)).items) == 4
    for flag, message in (
        (
            "--style_weight=10..1000:log",
            r"10\.\.1000:log lacks its number of values; write 10\.\.1000:log:",
        ),
        ("--pooling=1..2:log:3", r"unknown pooling '1\.\.2:log:3'"),
    ):
        with pytest.raises(ValueError, match=message):
            to_job(parse(*PICTURES, flag))


# A table of points.


def table(text):
    Path("points.csv").write_text(text)
    return "--points=points.csv"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
def test_a_table_names_pictures_and_settings():
    """Each picture once; an empty cell takes the value of the flag."""
    points = table(
        'content,style,steps,style_layers\nc.png,s.png,5,\nc.png,t.png,,"a,b"\nd.png,s.png,7,a\n'
    )
    job = to_job(parse(points, "--steps=3", "--size=64", "--style_layers=z"))
    assert (job.contents, job.styles) == (("c.png", "d.png"), ("s.png", "t.png"))
    assert [(item.content, *item.styles) for item in job.items] == [(0, 0), (0, 1), (1, 0)]
    found = [(item.config.steps, item.config.style_layers, item.config.size) for item in job.items]
    assert found == [(5, ("z",), 64), (3, ("a", "b"), 64), (7, ("a",), 64)]


@pytest.mark.usefixtures("folder")
def test_a_table_without_pictures_takes_those_of_the_flags():
    points = table('steps,blend\n5,"1,2"\n6,"2,1"\n')
    job = to_job(parse(points, "--content=c.png", "--style=s.png", "--style=t.png"))
    assert [item.shares for item in job.items] == [(1 / 3, 2 / 3), (2 / 3, 1 / 3)]
    job = to_job(parse(table("steps\n5\n6\n"), *PICTURES, "--style=t.png"))
    assert [item.styles for item in job.items] == [(0,), (1,)]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (
            "steps\n5\n",
            ("--tv_weight=1,2",),
            "--points lists all that varies; give one --tv_weight",
        ),
        ("content,steps\nc.png,5\n", (), "--content and the column content of --points name pictures"),
        ("stops\n5\n", (), "points.csv, line 2: unknown column 'stops'; did you mean steps"),
        ("remat\nall\n", (), "points.csv, line 2: remat is the same for all items"),
        ("steps\n5\n0\n", (), "points.csv, line 3: steps must be 1 or more"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(text, arguments, message):
    with pytest.raises(ValueError, match=message):
        to_job(parse(table(text), *PICTURES, *arguments))
    with pytest.raises(ValueError, match="--points is empty; name a CSV file"):
        to_job(parse(*PICTURES, "--points="))
