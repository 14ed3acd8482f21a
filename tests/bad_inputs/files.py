"""CSV and Parquet files: contents, or the query that makes them, and the code of the error; None without one."""

FILES = [
    ("bom", b"\xef\xbb\xbfsymbol,weight\nSPY,1\n", None),
    ("blank lines", b"symbol,weight\n\nSPY,1\n\n", None),
    ("semicolons", b"symbol;weight\nSPY;0,5\n", "csv_format"),
    ("tabs", b"symbol\tweight\nSPY\t0.5\n", "csv_format"),
    ("decimal comma", b'symbol,weight\nSPY,"0,5"\n', "csv_format"),
    ("day and month", b"symbol,weight\n1-Mar,0.5\n", "csv_format"),
    ("month and year", b"symbol,weight\nMar-01,0.5\n", "csv_format"),
    ("date", b"symbol,weight\n2026-03-01,0.5\n", "csv_format"),
    ("percent", b"symbol,weight\nSPY,50%\n", "weight_dtype"),
    ("true", b"symbol,weight\nSPY,TRUE\n", "weight_dtype"),
    ("infinite", b"symbol,weight\nSPY,1e400\n", "weight_not_finite"),
    ("no weight", b"symbol,weight\nSPY,\n", "weight_missing"),
    ("no symbol", b"symbol,weight\n,0.5\n", "symbol_missing"),
    ("header twice", b"symbol,weight,weight\nSPY,0.5,0.6\n", "duplicate_column"),
    ("a cell too many", b"symbol,weight\nSPY,0.5,\n", "csv_format"),
    ("a cell too few", b"symbol,weight,tif\nSPY,0.5\n", "csv_format"),
    ("lines above", b"Fund\n\nsymbol,weight\nSPY,1\n", "csv_preamble"),
    ("empty", b"", "csv_format"),
    ("binary", b"PAR1\x00\xff\xfe", "csv_format"),
    ("utf-16", "symbol,weight\nSPY,1\n".encode("utf-16"), "csv_format"),
    ("open quote", b'symbol,weight\n"SPY,0.5\n', "csv_format"),
    ("header only", b"symbol,weight\n", "empty_targets"),
    ("too many rows", b"symbol,weight\n" + b"SPY,0\n" * 20_001, "too_many_rows"),
]

PARQUET = [
    ("one row too many", "SELECT 'A' || i AS symbol, 0.0 AS weight FROM range(20_001) r(i)", "too_many_rows"),
    ("as many rows as are allowed", "SELECT 'A' || i AS symbol, 1e-5 AS weight FROM range(20_000) r(i)", None),
    (
        "too many columns",
        "SELECT 'A' AS symbol, 0.5 AS weight, " + ", ".join(f"{number} AS c{number}" for number in range(999)),
        "too_many_columns",
    ),
    (
        "as many columns as are allowed",
        "SELECT 'A' AS symbol, 0.5 AS weight, " + ", ".join(f"{number} AS c{number}" for number in range(998)),
        None,
    ),
]
