import pytest

from jax_nst.sweeps.commands import read_command, write_command


def test_a_command_is_kept_until_the_sweep_is_finished(tmp_path):
    assert read_command(tmp_path) == {}
    write_command(tmp_path, {"steps": ["12"], "output": "sweep"})
    assert read_command(tmp_path) == {"steps": ["12"], "output": "sweep"}
    write_command(tmp_path, None)
    assert read_command(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_beside_the_command_stays(tmp_path):
    write_command(tmp_path, {})
    (tmp_path / "checkpoint" / "state.npz").touch()
    write_command(tmp_path, None)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["state.npz"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_damaged_command_counts_as_none(tmp_path, text):
    write_command(tmp_path, {"steps": ["12"]})
    (tmp_path / "checkpoint" / "command.json").write_text(text)
    assert read_command(tmp_path) == {}
