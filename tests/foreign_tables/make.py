"""Makes the tables of this folder with delta-spark on Apache Spark: `python -m tests.foreign_tables.make [name...]`.

Each becomes `<name>.zip`: the folder of the table, and `rows.arrow`, the rows that Spark reads from it. It needs the
JVM and the Delta jar that the setting `spark=local` needs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa

FOLDER = Path(__file__).parent
_WITH = "USING delta TBLPROPERTIES"

TABLES: dict[str, list[str]] = {
    "partitions": [
        "CREATE TABLE {t} (id INT, x DOUBLE, p STRING) USING delta PARTITIONED BY (p)",
        r"""INSERT INTO {t} VALUES (1, double('NaN'), 'R&D'), (2, 2, 'a b'), (3, 3, 'Zürich'), (4, 4, '12:30'),
        (5, 5, 'a/b'), (6, null, '50%'), (7, null, '%20'), (8, 8, 'it\'s'), (9, 9, 'say "x"'), (10, 10, 'a\nb'),
        (11, 11, ''), (12, 12, null), (13, 13, 'a=b'), (14, 14, '__HIVE_DEFAULT_PARTITION__'), (15, 15, 'a\\b'),
        (16, 16, '日本'), (17, 17, '#?'), (18, 18, '+'), (19, 19, '😀')""",
    ],
    "partition_types": [
        (
            "CREATE TABLE {t} (id INT, x DOUBLE, d DATE, ts TIMESTAMP, b BOOLEAN, c DECIMAL(10,2), i BIGINT, f DOUBLE, "
            "n TIMESTAMP_NTZ) USING delta PARTITIONED BY (d, ts, b, c, i, f, n)"
        ),
        (
            "INSERT INTO {t} VALUES (1, double('NaN'), DATE'2024-02-29', TIMESTAMP'2024-02-29 12:30:00.123456', true, "
            "1.50, -9223372036854775807, 1.5, TIMESTAMP_NTZ'2024-01-01 00:00:00.5'), "
            "(2, 1, null, null, null, null, null, null, null)"
        ),
    ],
    "column_mapping_name": [
        (
            "CREATE TABLE {t} (id INT, `a b` STRING, s STRUCT<x: INT, `y z`: STRING>, p STRING) USING delta "
            "PARTITIONED BY (p) TBLPROPERTIES('delta.columnMapping.mode'='name')"
        ),
        "INSERT INTO {t} VALUES (1, 'one', named_struct('x', 1, 'y z', 'q'), 'R&D'), (2, null, null, null)",
        "ALTER TABLE {t} RENAME COLUMN id TO number",
        "INSERT INTO {t} VALUES (3, 'three', named_struct('x', 3, 'y z', 'r'), 'p 3')",
        "ALTER TABLE {t} DROP COLUMN `a b`",
        "ALTER TABLE {t} ADD COLUMN (`a b` STRING)",
        "ALTER TABLE {t} RENAME COLUMN s.x TO `X x`",
    ],
    "column_mapping_id": [
        f"CREATE TABLE {{t}} (id INT, v STRING) {_WITH}('delta.columnMapping.mode'='id')",
        "INSERT INTO {t} VALUES (1, 'one'), (2, null)",
    ],
    "column_mapping_upgraded": [
        "CREATE TABLE {t} (id INT, v STRING) USING delta",
        "INSERT INTO {t} VALUES (1, 'one')",
        (
            "ALTER TABLE {t} SET TBLPROPERTIES('delta.columnMapping.mode'='name', 'delta.minReaderVersion'='2', "
            "'delta.minWriterVersion'='5')"
        ),
        "ALTER TABLE {t} RENAME COLUMN v TO w",
        "INSERT INTO {t} VALUES (2, 'two')",
    ],
    "int96": [
        "CREATE TABLE {t} (id INT, at TIMESTAMP, s STRUCT<u: TIMESTAMP>, l ARRAY<TIMESTAMP>) USING delta",
        (
            "INSERT INTO {t} SELECT id, at, named_struct('u', at), array(at) FROM VALUES "
            "(1, TIMESTAMP'2024-01-01 12:00:00.123456'), (2, TIMESTAMP'9999-12-31 23:59:59'), "
            "(3, TIMESTAMP'0001-01-01 00:00:00'), (4, null), (5, TIMESTAMP'1677-01-01 00:00:00') AS v(id, at)"
        ),
    ],
    "int96_with_deletions_and_mapping": [
        (
            f"CREATE TABLE {{t}} (id INT, at TIMESTAMP) {_WITH}('delta.columnMapping.mode'='name', "
            "'delta.enableDeletionVectors'='true')"
        ),
        (
            "INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (1, TIMESTAMP'9999-12-31 23:59:59'), "
            "(2, TIMESTAMP'0001-01-01 00:00:00'), (3, null) AS v(id, at)"
        ),
        "DELETE FROM {t} WHERE id = 2",
        "ALTER TABLE {t} RENAME COLUMN at TO until",
    ],
    "type_widening": [
        (
            f"CREATE TABLE {{t}} (id INT, b BYTE, i INT, f FLOAT, d DATE, c DECIMAL(6,2), ii INT) {_WITH}("
            "'delta.enableTypeWidening'='true', 'delta.feature.timestampNtz'='supported')"
        ),
        "INSERT INTO {t} VALUES (1, 1, 1, 1.5, DATE'2024-01-01', 1.25, 7)",
        *(
            f"ALTER TABLE {{t}} CHANGE COLUMN {change}"
            for change in (
                "b TYPE INT",
                "i TYPE BIGINT",
                "f TYPE DOUBLE",
                "d TYPE TIMESTAMP_NTZ",
                "c TYPE DECIMAL(10,3)",
                "ii TYPE DOUBLE",
            )
        ),
        "INSERT INTO {t} VALUES (2, 100000, 10000000000, 1e300, TIMESTAMP_NTZ'2024-01-01 12:00:00', 123456.125, 0.5)",
    ],
    "v2_checkpoint": [
        f"CREATE TABLE {{t}} (id INT, v STRING) {_WITH}('delta.checkpointPolicy'='v2', 'delta.checkpointInterval'='2')",
        *(f"INSERT INTO {{t}} VALUES ({number}, 'v{number}')" for number in range(4)),
    ],
    "row_tracking": [
        f"CREATE TABLE {{t}} (id INT, v STRING) {_WITH}('delta.enableRowTracking'='true')",
        "INSERT INTO {t} VALUES (1, 'a'), (2, 'b')",
        "UPDATE {t} SET v = 'c' WHERE id = 2",
    ],
    "deletion_vectors": [
        (
            "CREATE TABLE {t} (id INT, v STRING, p STRING) USING delta PARTITIONED BY (p) "
            "TBLPROPERTIES('delta.enableDeletionVectors'='true')"
        ),
        (
            "INSERT INTO {t} SELECT /*+ REPARTITION(1) */ CAST(id AS INT), concat('v', id), "
            "CASE WHEN id % 2 = 0 THEN 'R&D' ELSE 'a b' END FROM range(20)"
        ),
        "DELETE FROM {t} WHERE id IN (3, 4, 11)",
    ],
    "identity": [
        "CREATE TABLE {t} (id BIGINT GENERATED ALWAYS AS IDENTITY, v STRING) USING delta",
        "INSERT INTO {t} (v) VALUES ('a'), ('b')",
    ],
    "clustered": [
        "CREATE TABLE {t} (id INT, v STRING) USING delta CLUSTER BY (id)",
        "INSERT INTO {t} VALUES (1, 'a'), (2, null)",
    ],
    "generated": [
        "CREATE TABLE {t} (id INT, at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE))) USING delta",
        "INSERT INTO {t} (id, at) VALUES (1, TIMESTAMP'2024-01-01 12:00:00')",
    ],
    "constraints": [
        "CREATE TABLE {t} (id INT NOT NULL, v STRING) USING delta",
        "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)",
        "INSERT INTO {t} VALUES (1, 'a'), (2, null)",
    ],
    "defaults": [
        (
            f"CREATE TABLE {{t}} (id INT, v STRING DEFAULT 'none') {_WITH}("
            "'delta.feature.allowColumnDefaults'='supported')"
        ),
        "INSERT INTO {t} (id) VALUES (1), (2)",
    ],
    "in_commit_timestamps": [
        f"CREATE TABLE {{t}} (id INT) {_WITH}('delta.enableInCommitTimestamps'='true')",
        "INSERT INTO {t} VALUES (1)",
    ],
    "variant": [
        "CREATE TABLE {t} (id INT, v VARIANT) USING delta",
        "INSERT INTO {t} SELECT 1, parse_json('{{\"a\": 1}}')",
    ],
    "variant_shredding": [
        f"CREATE TABLE {{t}} (id INT, v VARIANT) {_WITH}('delta.enableVariantShredding'='true')",
        "INSERT INTO {t} SELECT 1, parse_json('{{\"a\": 1}}')",
    ],
    "vacuum_protocol_check": [
        f"CREATE TABLE {{t}} (id INT) {_WITH}('delta.feature.vacuumProtocolCheck'='supported')",
        "INSERT INTO {t} VALUES (1)",
    ],
    "change_data_feed": [
        f"CREATE TABLE {{t}} (id INT, v STRING) {_WITH}('delta.enableChangeDataFeed'='true')",
        "INSERT INTO {t} VALUES (1, 'a'), (2, 'b')",
        "UPDATE {t} SET v = 'c' WHERE id = 2",
    ],
    "timestamp_ntz": [
        "CREATE TABLE {t} (id INT, at TIMESTAMP_NTZ, u TIMESTAMP) USING delta",
        (
            "INSERT INTO {t} VALUES (1, TIMESTAMP_NTZ'2024-01-01 12:00:00.123456', TIMESTAMP'2024-01-01 12:00:00'), "
            "(2, TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', TIMESTAMP'0001-01-01 00:00:00'), (3, null, null)"
        ),
    ],
    "years": [
        "CREATE TABLE {t} (id INT, d DATE, at TIMESTAMP) USING delta",
        (
            "INSERT INTO {t} VALUES (1, DATE'2024-01-01', TIMESTAMP'2024-01-01 00:00:00'), "
            "(2, DATE'0001-01-01', TIMESTAMP'9999-12-31 23:59:59.999999')"
        ),
        "INSERT INTO {t} SELECT 3, date_add(DATE'9999-12-31', 1), timestamp_micros(253402300800000000)",
        "INSERT INTO {t} SELECT 4, date_add(DATE'0001-01-01', -400), timestamp_micros(-62135596800000001)",
    ],
    "struct_stats": [
        (
            f"CREATE TABLE {{t}} (id INT, v STRING, x DOUBLE) {_WITH}('delta.checkpoint.writeStatsAsJson'='false', "
            "'delta.checkpoint.writeStatsAsStruct'='true', 'delta.checkpointInterval'='2')"
        ),
        *(f"INSERT INTO {{t}} VALUES ({n}, 'v{n}', {n}), ({n} + 10, null, double('NaN'))" for n in range(3)),
    ],
    "long_texts": [
        "CREATE TABLE {t} (id INT, v STRING) USING delta",
        "INSERT INTO {t} VALUES (1, repeat('😀', 40)), (2, repeat('z', 100)), (3, repeat('\uffff', 40))",
    ],
    "nested": [
        "CREATE TABLE {t} (id INT, a ARRAY<STRUCT<x: INT, y: ARRAY<STRING>>>, m MAP<STRING, INT>) USING delta",
        (
            "INSERT INTO {t} VALUES (1, array(named_struct('x', 1, 'y', array('a', null))), map('k', 1, 'n', null)), "
            "(2, array(), map()), (3, null, null)"
        ),
    ],
    "iceberg_compat": [
        (
            "CREATE TABLE {t} (id INT, p STRING) USING delta PARTITIONED BY (p) "
            "TBLPROPERTIES('delta.columnMapping.mode'='name', 'delta.enableIcebergCompatV2'='true')"
        ),
        "INSERT INTO {t} VALUES (1, 'R&D')",
    ],
    "shallow_clone": [
        "CREATE TABLE {t}_of (id INT, p STRING) USING delta PARTITIONED BY (p)",
        "INSERT INTO {t}_of VALUES (1, 'R&D')",
        "CREATE TABLE {t} SHALLOW CLONE {t}_of",
        "INSERT INTO {t} VALUES (2, 'b')",
    ],
}
"""Name to statements; `{t}` stands for the table."""

_READ = dict.fromkeys(("variant", "variant_shredding"), "SELECT id, to_json(v) AS v FROM {t}")


def main(names: list[str]) -> None:
    """Makes the tables of these names, or all."""
    from resources.spark.resource import Spark

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HEADWATER_HOME": f"{folder}/home", "HEADWATER_SPARK": "local"}
        spark = Spark()
        session = spark.session()
        for name in names or list(TABLES):
            _make(session, name, Path(folder))
        spark.close()


def _make(session: Any, name: str, folder: Path) -> None:
    def text(statement: str) -> str:
        of = statement.replace("{t}_of", f"delta.`{folder / name}_of`").replace("{t}", f"delta.`{folder / name}`")
        return of.replace("{{", "{").replace("}}", "}")

    for statement in TABLES[name]:
        session.sql(text(statement)).collect()
    rows = session.sql(text(_READ.get(name, "SELECT * FROM {t}"))).toArrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    with zipfile.ZipFile(FOLDER / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.arrow", sink.getvalue().to_pybytes())
        for path in sorted((folder / name).rglob("*")):
            if path.is_file() and not path.name.endswith(".parquet.crc"):
                archive.write(path, f"table/{path.relative_to(folder / name)}")
    print(name, (FOLDER / f"{name}.zip").stat().st_size, rows.num_rows)


if __name__ == "__main__":
    main(sys.argv[1:])
