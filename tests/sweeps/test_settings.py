import json

import pytest
from conftest import picture

from jax_nst import Config, Grid, save_image
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.settings import (
    changed_picture,
    describe_job,
    difference,
    known_digests,
    read_settings,
    with_known_digests,
    write_settings,
    written_by_sweep,
)
from jax_nst.transfer.network import load_network

CONFIG = Config(features="wavelet", steps=3, size=24, init="noise")


@pytest.fixture(scope="module")
def network():
    return load_network(CONFIG)


@pytest.fixture
def styles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for index in range(300):
        (tmp_path / f"s{index}.png").write_bytes(b"")
    for index in range(2):
        save_image(tmp_path / f"s{index}.png", picture(20, 24, index))
    return [f"s{index}.png" for index in range(300)]


def described(network, styles, grid=Grid()):
    return describe_job(make_job(styles[:1], styles, grid, CONFIG), network)


def test_settings_are_read_as_they_were_written(network, styles, tmp_path):
    assert read_settings(tmp_path) is None
    description = described(network, styles[:2])
    write_settings(tmp_path, description)
    assert read_settings(tmp_path) == description == json.loads((tmp_path / "settings.json").read_text())


@pytest.mark.parametrize("damage", ["", '{"config": {"si', "{}", "[]", "\0"])
@pytest.mark.parametrize("name", ["settings.json", "batches/settings.json"])
def test_damaged_settings_are_made_again_from_their_copy(name, damage, network, styles, tmp_path):
    description = described(network, styles[:2])
    write_settings(tmp_path, description)
    path = tmp_path / name
    before = path.read_text()
    path.write_text(damage)
    found = read_settings(tmp_path)
    assert found == description
    with pytest.warns(UserWarning, match=r"was damaged or changed; kept as settings\.json\.old"):
        write_settings(tmp_path, found)
    assert path.read_text() == before
    assert path.with_name("settings.json.old").read_text() == damage


def test_settings_of_another_program_are_not_ours(tmp_path):
    (tmp_path / "settings.json").write_text('{"editor.fontSize": 14}')
    assert read_settings(tmp_path) is None
    assert not written_by_sweep(tmp_path)(str(tmp_path / "settings.json"))


def test_files_of_a_sweep_are_told_from_those_beside_it(network, styles, tmp_path, monkeypatch):
    write_settings(tmp_path, described(network, styles[:2]))
    is_written = written_by_sweep(".")
    ours = "style=s0.png contact_sheet.png inputs/content_0.png batches/00001.npz ./index.html"
    ours += f" checkpoint/state.npz results.csv.old style=s1.png.old2 {tmp_path}/style=s0.png"
    ours += " contact_sheet_2.png thumbnails/x.jpg progress.js"
    for name in ours.split():
        assert is_written(name), name
    for name in ("s0.png", "style=s9.png", "../style=s0.png", "inputs.png", "deep/contact_sheet.png", "."):
        assert not is_written(name), name


def test_a_link_to_itself_is_no_file_of_a_sweep(network, styles, tmp_path):
    write_settings(tmp_path, described(network, styles[:2]))
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert not written_by_sweep(tmp_path)(str(tmp_path / "loop.png"))


def test_equal_jobs_have_no_difference(network, styles):
    assert difference(described(network, styles), described(network, styles)) == ""


@pytest.mark.parametrize(
    ("there", "now", "expected"),
    [
        (Grid(seed=(0, 1)), Grid(seed=(0, 2)), "grid.seed[1]: 1 there, 2 now"),
        (Grid(seed=(0, 1)), Grid(), "grid.seed: [0, 1] there, [] now"),
        (Grid(seed=tuple(range(300))), Grid(seed=(5,)), "grid.seed: 300 values there, [5] now"),
        (Grid(zip=True), Grid(), "grid.zip: true there, false now"),
        (
            Grid(style_layer_weights=((1.0, 2.0), (3.0, 4.0))),
            Grid(style_layer_weights=((1.0, 2.0), (3.0, 5.0))),
            "grid.style_layer_weights[1][1]: 4.0 there, 5.0 now",
        ),
    ],
)
def test_a_difference_names_the_setting(there, now, expected, network, styles):
    assert (
        difference(described(network, styles[:1], there), described(network, styles[:1], now)) == expected
    )


def test_differences_of_many_files_are_short(network, styles):
    one, two = described(network, styles), described(network, styles[:299])
    assert difference(one, two) == "styles: 300 there, 299 now"
    two = described(network, [*styles[:10], *styles[12:], *styles[10:12]])
    assert difference(one, two) == "styles: s10.png there, s12.png now"


def test_another_file_of_the_same_name_is_a_difference(network, styles, tmp_path):
    before = described(network, styles[:3])
    save_image(tmp_path / "s1.png", picture(20, 24, 77))
    words = "styles: the contents of s1.png differ"
    assert difference(before, described(network, styles[:3])) == words
    assert difference(before, described(network, styles[:3]), words=("in 0", "here")) == words


def test_a_file_that_was_mended_is_a_difference_only_between_processes(network, styles, tmp_path):
    before = described(network, styles[:3])
    assert before["styles"][2]["sha256"] is None
    save_image(tmp_path / "s2.png", picture(20, 24, 3))
    now = described(network, styles[:3])
    assert difference(before, now) == difference(now, before) == ""
    assert difference(before, now, unread=True) == "styles: the contents of s2.png differ"


def test_long_texts_are_cut_in_a_difference(network, styles):
    one, two = described(network, styles[:1]), described(network, styles[:1])
    two["config"]["weights"] = "w" * 200
    found = difference(one, two)
    assert found.startswith("config.weights: null there, ")
    assert len(found) < 120


def test_descriptions_name_no_folders(network, styles, tmp_path):
    grid = Grid(init=("noise", str(tmp_path / "s1.png")))
    description = described(network, [str(tmp_path / "s0.png")], grid)
    assert str(tmp_path) not in json.dumps(description)
    assert [file["name"] for file in description["inits"] + description["styles"]] == ["s1.png", "s0.png"]


def test_settings_are_replaced_by_those_of_a_larger_grid(network, styles, tmp_path):
    """What was there is expected, and not set aside."""
    before, now = (described(network, styles[:2], Grid(seed=seeds)) for seeds in ((0,), (0, 1)))
    write_settings(tmp_path, before)
    write_settings(tmp_path, now, instead_of=before)
    assert read_settings(tmp_path) == now
    assert not list(tmp_path.rglob("*.old"))


def test_a_changed_file_is_told_from_others_of_its_name(network, styles, tmp_path):
    """Two files of one name are not changed as long as one of them is as before."""
    (tmp_path / "other").mkdir()
    save_image(tmp_path / "other" / "s0.png", picture(20, 24, 77))
    one, both = (described(network, paths) for paths in (styles[:1], [styles[0], "other/s0.png"]))
    other = {**one, "styles": both["styles"][1:]}
    assert changed_picture(one, both) == changed_picture(both, one) == changed_picture(one, one) == ""
    assert changed_picture(one, other) == "styles: the contents of s0.png differ"
    unread = described(network, styles[2:3])
    assert changed_picture(unread, {**unread, "styles": [{"name": "s2.png", "sha256": "1"}]}) == ""


def test_a_file_that_is_gone_counts_as_it_was(network, styles):
    before = described(network, styles[:2])
    fill = known_digests(before)
    assert fill({"name": "s1.png", "sha256": None}) == before["styles"][1]
    for identity in ({"name": "new.png", "sha256": None}, {"name": "s1.png", "sha256": "1"}):
        assert fill(identity) == identity
    gone = {"name": "s1.png", "sha256": None}
    now = {**before, "styles": [before["styles"][0], gone], "masks": [gone]}
    expected = {**before, "masks": [before["styles"][1]]}
    assert with_known_digests(now, before) == expected
