"""`results.parquet`: the same table with types."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

from jax_nst.sweeps.parquet import write_parquet

TABLE = """\
item,style,style_weight,blend,total_loss,steps,best_step,seconds,batch,devices,file,status
0,1,300.0,"0.5,0.5",2.5,3,1,0.25,2,1,a.png,ok
1,2,,"1,0",,0,,0.0,,,,"failed: no such image, s.png"
"""


def test_columns_have_types_units_and_nulls(tmp_path):
    (tmp_path / "results.csv").write_text(TABLE)
    write_parquet(tmp_path)
    table = pq.read_table(tmp_path / "results.parquet")
    assert table.column_names == TABLE.splitlines()[0].split(",")
    category = pa.dictionary(pa.int32(), pa.string())
    kinds = {"item": pa.int64(), "style": category, "style_weight": pa.float64(), "blend": category}
    kinds |= {"total_loss": pa.float64(), "best_step": pa.int64(), "status": pa.string()}
    assert {name: table.schema.field(name).type for name in kinds} == kinds
    assert table.schema.field("seconds").metadata == {b"unit": b"s"}
    assert table.to_pylist()[0] == {
        **{"item": 0, "style": "1", "style_weight": 300.0, "blend": "0.5,0.5", "total_loss": 2.5},
        **{"steps": 3, "best_step": 1, "seconds": 0.25, "batch": 2, "devices": 1},
        **{"file": "a.png", "status": "ok"},
    }
    empty = {name for name, value in table.to_pylist()[1].items() if value is None}
    assert empty == {"style_weight", "total_loss", "best_step", "batch", "devices", "file"}


def test_without_pyarrow_nothing_is_written(tmp_path, monkeypatch):
    (tmp_path / "results.csv").write_text(TABLE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write_parquet(tmp_path)
    assert not (tmp_path / "results.parquet").exists()
