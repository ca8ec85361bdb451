"""Numbers, truth values, dates, timestamps and missing values, declared and not."""

# One case a line, with the characters that it is about.
# ruff: noqa: E501, RUF001

from __future__ import annotations

from datetime import UTC, date, datetime

from tests.file_corpus.case import Case


def instant(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def column(kind: str, good: dict[str, object], bad: list[str], name: str, **options: object) -> Case:
    """One value a line: what each is, and which are none."""
    lines = [*good, *bad]
    text = "v,n\n" + "".join(f'"{value}",{number}\n' for number, value in enumerate(lines, 2))
    rows = [(value, number) for number, value in enumerate(good.values(), 2)]
    rejected = dict.fromkeys(range(2 + len(good), 2 + len(lines)), f"is not a valid {kind}")
    return Case(name, text.encode(), rows, f"v:{kind} n:int64", rejected, options=options)


def as_text(name: str, *values: str, types: str = "string", **options: object) -> Case:
    """Values that stay as they are in a file without declared types."""
    return Case(
        name, "\n".join(["v", *values, ""]).encode(), [(value,) for value in values], types=types, options=options
    )


CASES = [
    # Declared numbers.
    column("int64", {"0": 0, "-1": -1, "+1": 1, "007": 7, " 5 ": 5, "9223372036854775807": 2**63 - 1,
                     "-9223372036854775808": -(2**63), "-0": 0},
           ["9223372036854775808", "-9223372036854775809", "1.0", "1e3", "0x10", "1_000", "1,000", "\u0661\u0662", "\uff11",
            "--1", "+-1", "1 2", "NaN", "inf", "true", "x", "1\u00a0000", "\u22121"], "64-bit integers"),
    column("int32", {"2147483647": 2**31 - 1, "-2147483648": -(2**31)}, ["2147483648", "-2147483649"], "32-bit integers"),
    column("float64", {"1": 1.0, "-0.5": -0.5, ".5": 0.5, "5.": 5.0, "1e3": 1000.0, "1E-2": 0.01, "+2.5": 2.5,
                       "1.7976931348623157e308": 1.7976931348623157e308, "5e-324": 5e-324, "0e400": 0.0, "-0": -0.0,
                       "0.1": 0.1, "9007199254740993": 9007199254740992.0},
           ["1e400", "-1e400", "1e-400", "inf", "-Infinity", "nan", "NaN", "0x1p3", "1_0", "1,5", "1e", "e5", ".", "-",
            "\u0661", "1d3", "1.2.3"], "floats"),
    column("float64", {"1,5": 1.5, "-0,25": -0.25, "7": 7.0, "1e3": 1000.0}, ["1.5", "1,2,3", "1.234,5"],
           "a decimal comma", decimal=","),
    column("float64", {"1.234.567,5": 1234567.5, "1234,5": 1234.5, "-1.000": -1000.0, "999": 999.0},
           ["1.23,5", "1234.567", ".123", "1.2345", "1.234.56", "1..234", "1,234.5"], "German numbers",
           decimal=",", thousands="."),
    column("int64", {"1,234,567": 1234567, "-1,000": -1000, "5": 5, "1234": 1234},
           ["1,23", "12,34,567", ",123", "1,2345", "1,234,", "1,,234"], "commas between thousands", thousands=","),
    column("float64", {"1\u202f234,5": 1234.5}, ["1 234,5"], "French numbers", decimal=",", thousands="\u202f"),
    column("bool", {"true": True, "FALSE": False, "t": True, "F": False, "1": True, "0": False},
           ["yes", "no", "2", "on", "truee", "-1", "Y"], "truth values"),
    # Declared dates.
    column("date", {"2013-01-31": date(2013, 1, 31), "2012-02-29": date(2012, 2, 29), "2000-02-29": date(2000, 2, 29),
                    "0001-01-01": date(1, 1, 1), "9999-12-31": date(9999, 12, 31), "1582-10-10": date(1582, 10, 10)},
           ["13-01-31", "2013-02-29", "1900-02-29", "2013-13-01", "2013-00-10", "2013-01-00", "2013-1-3", "20130131",
            "0000-01-01", "10000-01-01", "-0001-01-01", "+2013-01-31", "31.01.2013", "01/31/2013", "2013-01-31T00:00",
            "2013-01-31x", "2013-04-31", "02013-01-31", "\u0662\u0660\u0661\u0663-01-31", "today", "2013-W05"], "dates"),
    column("date", {"31.01.2013": date(2013, 1, 31), "01.12.0099": date(99, 12, 1)},
           ["31.01.13", "1.2.2013", "2013-01-31", "32.01.2013", "31.01.02013", "29.02.2013"], "German dates",
           date_format="%d.%m.%Y"),
    column("date", {"12/31/2013": date(2013, 12, 31)}, ["31/12/2013", "12/31/13", "1/2/2013"], "American dates",
           date_format="%m/%d/%Y"),
    # Declared timestamps.
    column("timestamp", {"2013-01-01T00:00:00Z": instant(2013, 1, 1), "2013-01-01T00:00:00+02:00": instant(2012, 12, 31, 22),
                         "2013-01-01 00:00:00-0500": instant(2013, 1, 1, 5), "2013-01-01t00:00:00z": instant(2013, 1, 1),
                         "2013-01-01T00:00:00.123456Z": instant(2013, 1, 1, 0, 0, 0, 123456),
                         "2013-01-01T00:00:00.123456000Z": instant(2013, 1, 1, 0, 0, 0, 123456),
                         "0001-01-01T00:00:00Z": instant(1, 1, 1),
                         "9999-12-31T23:59:59.999999Z": instant(9999, 12, 31, 23, 59, 59, 999999)},
           ["2013-01-01T00:00:00", "2013-01-01", "13-01-01T00:00:00Z", "2013-01-01T24:00:00Z", "2016-12-31T23:59:60Z",
            "2013-01-01T00:00:00.1234567Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0000-06-01T00:00:00Z",
            "10000-01-01T00:00:00Z", "+12013-01-01T00:00:00Z", "2013-1-1T0:0:0Z", "2013-01-01T00:00:00+25:00",
            "2013-02-30T00:00:00Z", "1357000000", "2013-01-01T00:00:00 Europe/Berlin", "2013-01-01T00:60:00Z"], "ISO timestamps"),
    column("timestamp", {"10.03.2013 12:00": instant(2013, 3, 10, 16), "01.01.2013 12:00": instant(2013, 1, 1, 17)},
           ["10.03.2013 02:30", "03.11.2013 01:30", "01.01.13 12:00", "01.01.2013 24:00", "2013-01-01T00:00:00Z"],
           "local times: a skipped and a repeated hour", timestamp_format="%d.%m.%Y %H:%M", time_zone="America/New_York"),
    column("timestamp", {"01.01.2013 12:00 +0200": instant(2013, 1, 1, 10)}, ["01.01.13 12:00 +0200", "01.01.2013 12:00"],
           "a format with an offset", timestamp_format="%d.%m.%Y %H:%M %z"),
    column("timestamp", {"2013-01-31 01:05:59.123456+02:00": instant(2013, 1, 30, 23, 5, 59, 123456)},
           ["2013-01-31 01:05:59.1234567+02:00", "2013-01-31 01:05:60.5+02:00", "13-01-31 01:05:59.5+02:00"],
           "a format with fractions and an offset", timestamp_format="%Y-%m-%d %H:%M:%S%.f%:z"),
    column("timestamp", {"2013-01-31 01:05:59.5": instant(2013, 1, 31, 1, 5, 59, 500000)},
           ["2013-01-31 01:05:59.1234567", "2013-01-31 01:05:60.5", "2013-1-31 01:05:59.5"],
           "a local format with fractions", timestamp_format="%Y-%m-%d %H:%M:%S%.f", time_zone="UTC"),
    # Missing values.
    Case("bare and quoted empty texts", b'a,b\n1,\n2,""\n', [(1, None), (2, "")], "a:int64 b:string"),
    Case("quoted empty texts are missing if declared", b'a,b\n1,\n2,""\n', [(1, None), (2, None)], "a:int64 b:string",
         options={"quoted_nulls": True}),
    Case("an empty number", b'a,b\n,x\n"",y\n', [(None, "x"), (None, "y")], "a:int64 b:string"),
    Case("an empty number that is needed", b'a,b\n,x\n1,y\n"",z\n', [(1, "y")], "a:int64! b:string",
         {2: "a is missing", 4: "a is missing"}),
    Case("an empty text that is needed", b'a,b\n1,\n2,""\n3,x\n', [(2, ""), (3, "x")], "a:int64 b:string!",
         {2: "b is missing"}),
    Case("NA is Namibia", b"a,b\n1,NA\n2,null\n3,None\n4,nan\n", [(1, "NA"), (2, "null"), (3, "None"), (4, "nan")],
         "a:int64 b:string"),
    Case("NA is Namibia, untyped", b"c,n\nNA,1\nDE,2\n", [("NA", 1), ("DE", 2)], types="string int64"),
    Case("NA in a column of numbers, untyped", b"v\n1\nNA\n", [("1",), ("NA",)], types="string"),
    Case("NA is no number", b"a,b\nNA,x\n1,y\n", [(1, "y")], "a:int64 b:string", {2: "a: 'NA' is not a valid int64"}),
    Case("a null word, bare and in quotes", b'a,b\n1,NA\n2,"NA"\n', [(1, None), (2, "NA")], "a:int64 b:string", nulls=["NA"]),
    Case("a null word in quotes is missing if declared", b'a,b\n1,NA\n2,"NA"\n', [(1, None), (2, None)],
         "a:int64 b:string", nulls=["NA"], options={"quoted_nulls": True}),
    Case("a null word in a number's place, in quotes", b'a,b\n"NA",x\n', [(None, "x")], "a:int64 b:string", nulls=["NA"]),
    Case("a null word is matched whole and by case", b"a,b\n1,na\n2,NAN\n3, NA\n", [(1, "na"), (2, "NAN"), (3, " NA")],
         "a:int64 b:string", nulls=["NA"]),
    Case("several null words", b"a,b\n-,n/a\n2,-\n", [(None, None), (2, None)], "a:int64 b:string", nulls=["-", "n/a"]),
    Case("a null word, untyped", b"v,w\n1,NA\nNA,x\n", [(1, None), (None, "x")], types="int64 string", nulls=["NA"]),
    Case("a null word in quotes, untyped", b'v,w\n1,"NA"\nNA,x\n', [(1, "NA"), (None, "x")], types="int64 string",
         nulls=["NA"]),
    Case("nothing but missing values, untyped", b"v,w\n1,\n2,\n", [(1, None), (2, None)], types="int64 string"),
    # Not declared: what stays text.
    as_text("leading zeros", "02134", "90210"),
    as_text("a leading zero after 5,000 numbers", *["1"] * 5000, "01"),
    as_text("telephone numbers", "+4930123", "+1555"),
    as_text("16 digits", "1234567890123456", "1"),
    as_text("the borders of 64 bits", "9223372036854775807", "-9223372036854775808", "9223372036854775808"),
    as_text("exponents", "1e5", "2E3", "3d1"),
    as_text("not a number", "nan", "1.5"),
    as_text("infinities", "inf", "1"),
    as_text("versions", "3.10", "3.9"),
    as_text("trailing zeros", "2.50", "1.25"),
    as_text("a point at an end", "5.", ".5"),
    as_text("minus zero", "-0", "1"),
    as_text("minus zero point zero", "-0.0", "1.5"),
    as_text("hexadecimal", "0x10", "0b1"),
    as_text("underscores", "1_000", "2_000"),
    as_text("Arabic digits", "١", "٢"),
    as_text("thousands", "1 000", "2 000"),
    as_text("spaces around numbers", " 1", "2 "),
    as_text("17 digits after the point", "0.12345678901234567", "1.5"),
    as_text("a number that vanishes", "0." + "0" * 400 + "1", "1.5"),
    as_text("whole numbers written in two ways", "1", "1.0", "2.5"),
    as_text("truth values in capitals", "True", "False"),
    as_text("truth values in two forms", "true", "TRUE"),
    as_text("yes and no", "yes", "no"),
    as_text("T and F", "T", "F"),
    as_text("two-digit years", "13-01-31", "13-02-01"),
    as_text("dates with one digit", "2013-1-3", "2013-01-04"),
    as_text("a day that does not exist", "2013-02-29", "2013-03-01"),
    as_text("the year 0", "0000-01-01", "2013-01-01"),
    as_text("dates of other forms", "01/02/2013", "03/04/2013"),
    as_text("timestamps", "2013-01-01T00:00:00Z", "2013-01-01T01:00:00Z"),
    as_text("months", "2013-01", "2013-02"),
    as_text("gene names", "MARCH1", "SEPT2"),
    Case("a decimal comma that is not declared", b'v\n"1,5"\n', [("1,5",)], types="string"),
    Case("a text after 20,000 numbers", b"v\n" + b"1\n" * 20_000 + b"x\n", [("1",)] * 20_000 + [("x",)], types="string"),
    # Not declared: what has another type.
    Case("whole numbers", b"v\n0\n-5\n999999999999999\n", [(0,), (-5,), (999999999999999,)], types="int64"),
    Case("numbers with a point", b"v\n0.5\n-1.25\n10\n", [(0.5,), (-1.25,), (10.0,)], types="double"),
    Case("a point after 5,000 whole numbers", b"v\n" + b"1\n" * 5000 + b"2.5\n", [(1.0,)] * 5000 + [(2.5,)], types="double"),
    Case("points everywhere", b"v\n0.0\n5.0\n1.5\n", [(0.0,), (5.0,), (1.5,)], types="double"),
    Case("small numbers", b"v\n0.00001\n0.1\n", [(0.00001,), (0.1,)], types="double"),
    Case("plain truth values", b"v\ntrue\nfalse\n", [(True,), (False,)], types="bool"),
    Case("ISO dates", b"v\n2013-01-31\n2012-02-29\n", [(date(2013, 1, 31),), (date(2012, 2, 29),)], types="date32[day]"),
    Case("numbers in quotes", b'v\n"1"\n"2"\n', [(1,), (2,)], types="int64"),
    Case("a quoted empty text keeps a column text", b'v,w\n1,a\n"",b\n', [("1", "a"), ("", "b")], types="string string"),
    Case("a declared decimal comma", b"v;w\n1,5;1\n2,25;2\n", [(1.5, 1), (2.25, 2)], types="double int64",
         options={"delimiter": ";", "decimal": ","}),
    Case("declared thousands", b"v\n1'000\n25\n", [(1000,), (25,)], types="int64", options={"thousands": "'"}),
]  # fmt: skip
