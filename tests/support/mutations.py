"""Damage for files, drawn from a seed: what transfers, editors, programs, people and attackers do to them."""

import contextlib
import csv
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pyarrow.parquet as pq

TEXT = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".xml")

# Each of them leads out of the root of a data set, or would on some system, or looks as if it did.
HOSTILE_PATHS = (
    "/etc/passwd",
    "/",
    "//server/share/x.mp4",
    "../x.mp4",
    "..",
    "a/../../x.mp4",
    "a/b/../../../x",
    "./../x",
    "..\\x.mp4",
    "a\\..\\..\\x",
    "a/..\\../x",
    "\\x.mp4",
    "\\\\server\\share\\x.mp4",
    "C:\\x.mp4",
    "c:x.mp4",
    "C:/x",
    "~/x.mp4",
    "~root/x",
    "$HOME/x",
    "file:///etc/passwd",
    "http://example.org/x.mp4",
    "concat:/etc/passwd|x",
    "%2e%2e/x.mp4",
    "．．/x",
    "a\0/../x",
    "a\r/../x",
    " ../x",
    "../x ",
    "\u00a0../x",
    "\u2028../x",
    ".. /x",
    ".../x",
    "a/",
    ".",
    "",
    "a/" * 3000 + "x",
    "x" * 300,
    "con.mp4",
    "\ud7ff\ufffe",
)
ODD_CELLS = (
    *("", " ", "-1", "-0", "1e3", "1e309", "-1e309", "nan", "inf", "0x10", "1_000", "1,5", "١٢", "²", "½", "0.5"),
    *(
        "99999999999999999999",
        "9" * 400,
        "9" * 5000,
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
    ),
    *("2147483648", "1000000001", "TRUE", "null", "None", "NULL", "NA", "#REF!", "=1+1", "[]", "{}", "[1, 2]"),
    *('"', '""', "'", "\\", ",", ";", "\t", "\n", "\r", "\x00", "\x0b", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ufeff"),
    *("\u202e", "\U0001f600", "ß", "e\u0301", "愤怒", "a" * 200_000, "happy", "Happiness", "bored", "train", "test"),
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)


@dataclass(frozen=True)
class Mutant:
    """A damaged file.

    Attributes:
        kind: what was done to it.
        data: its new content.
        in_a_row: whether one cell of one row was changed and nothing else, so that a refusal must name a row.
    """

    kind: str
    data: bytes
    in_a_row: bool = False


def mutate(data: bytes, suffix: str, rng: random.Random) -> Mutant:
    """Damage a file in one to three places, in ways that suit its kind."""
    ways: list[Callable[[bytes, random.Random], Mutant]] = [_bytes_anywhere]
    if suffix in TEXT:
        ways += [_encoding, _lines, _token]
    if suffix in (".csv", ".tsv", ".txt"):
        ways += [_cell, _cell, _cell, _columns]
    if suffix in (".json", ".jsonl", ".ndjson"):
        ways += [_json_value, _json_value, _json_value, _json_depth]
    if suffix == ".parquet":
        ways += [_parquet_footer, _parquet_column, _parquet_column]
    if suffix in (".xlsx", ".zip"):
        ways += [_zip_member, _zip_member, _zip_member, _zip_odd]
    first = rng.choice(ways)(data, rng)
    if rng.random() < 0.8:
        return first
    second = _bytes_anywhere(first.data, rng)
    return Mutant(f"{first.kind}, {second.kind}", second.data)


def _bytes_anywhere(data: bytes, rng: random.Random) -> Mutant:
    size = len(data)
    at = rng.randrange(size + 1)
    # Heads and tails hold lengths and indices: half of the damage is done there.
    if rng.random() < 0.5 and size:
        at = min(rng.randrange(64), size) if rng.random() < 0.5 else max(size - rng.randrange(512), 0)
    length = min(rng.choice((1, 2, 4, 16, 100, 4000)), size)
    kind = rng.choice(("flip", "flip", "cut off", "insert", "take out", "repeat", "number", "zeros", "halves", "empty"))
    if kind == "flip":
        found = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            if found:
                place = min(at + rng.randrange(64), size - 1)
                found[place] ^= 1 << rng.randrange(8)
        return Mutant("flip bits", bytes(found))
    if kind == "cut off":
        return Mutant("cut off", data[:at])
    if kind == "insert":
        extra = rng.choice((b"\0", b"\xff", b'"', b"\r", b"\n", b"\xef\xbb\xbf", rng.randbytes(length)))
        return Mutant("insert bytes", data[:at] + extra + data[at:])
    if kind == "take out":
        return Mutant("take bytes out", data[:at] + data[at + length :])
    if kind == "repeat":
        return Mutant("repeat bytes", data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :])
    if kind == "number":
        form = rng.choice(("<I", ">I", "<Q", ">Q", "<H", ">H"))
        number = rng.choice(_NUMBERS) % (1 << 8 * struct.calcsize(form))
        return Mutant("overwrite a number", data[:at] + struct.pack(form, number) + data[at + struct.calcsize(form) :])
    if kind == "zeros":
        return Mutant("overwrite with zeros", data[:at] + bytes(length) + data[at + length :])
    if kind == "halves":
        return Mutant("swap the halves", data[at:] + data[:at])
    return Mutant("empty", b"" if rng.random() < 0.5 else b"\n \n")


def _encoding(data: bytes, rng: random.Random) -> Mutant:
    text = data.decode("utf-8", errors="replace")
    name = rng.choice(
        ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "gb18030", "cp1252", "shift_jis", "utf-7", "cp037")
    )
    if rng.random() < 0.5:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(("ä", "愤怒", "é", "…")) + text[at:]
    return Mutant(f"write as {name}", text.encode(name, errors="replace"))


def _lines(data: bytes, rng: random.Random) -> Mutant:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.choice(("drop", "repeat", "swap", "blank", "mac", "dos", "mixed", "long", "many"))
    if kind == "drop":
        del lines[one]
    elif kind == "repeat":
        lines.insert(other, lines[one])
    elif kind == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == "blank":
        lines.insert(one, rng.choice((b"", b" ", b",,,,", b'""', b"\t")))
    elif kind == "long":
        lines[one] = lines[one] * 3000
    elif kind == "many":
        lines[one:one] = [lines[one]] * 2000
    end = {"mac": b"\r", "dos": b"\r\n", "mixed": rng.choice((b"\r\r\n", b"\n\r", b"\x0b"))}.get(kind, b"\n")
    return Mutant(f"lines: {kind}", end.join(lines))


def _token(data: bytes, rng: random.Random) -> Mutant:
    """Replace a word or number anywhere in a text."""
    words = list(re.finditer(rb"[\w.\-]+", data))
    if not words:
        return _bytes_anywhere(data, rng)
    word = rng.choice(words)
    new = _odd(rng).encode("utf-8", errors="replace")
    return Mutant("replace a word", data[: word.start()] + new + data[word.end() :])


def _odd(rng: random.Random) -> str:
    return rng.choice(HOSTILE_PATHS if rng.random() < 0.6 else ODD_CELLS)


def _decoded(data: bytes) -> tuple[str, str]:
    """A text and the encoding that it is in, of those that data sets are published in."""
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return data.decode("gb18030", errors="replace"), "gb18030"


def _separator(text: str) -> str:
    head = text.split("\n", 1)[0]
    return max(",;\t ", key=head.count)


def _cell(data: bytes, rng: random.Random) -> Mutant:
    """Replace one cell of one row (quoted as it must be), and leave the rest as it is."""
    text, encoding = _decoded(data)
    separator = _separator(text)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    if len(rows) < 2:
        return _token(data, rng)
    row = rng.randrange(1, len(rows))
    if not rows[row]:
        return _lines(data, rng)
    rows[row][rng.randrange(len(rows[row]))] = _odd(rng)
    return Mutant("replace a cell", _as_csv(rows, separator, encoding), in_a_row=any(map(str.strip, rows[row])))


def _columns(data: bytes, rng: random.Random) -> Mutant:
    text, encoding = _decoded(data)
    separator = _separator(text)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    width = len(rows[0]) if rows else 0
    if width < 2:
        return _lines(data, rng)
    one, other = rng.sample(range(width), 2)
    kind = rng.choice(("swap", "swap names", "drop", "repeat", "rename", "separator", "empty", "many"))
    for number, row in enumerate(rows):
        if len(row) != width:
            continue
        if kind == "swap" or (kind == "swap names" and not number):
            row[one], row[other] = row[other], row[one]
        elif kind == "drop":
            del row[one]
        elif kind == "repeat":
            row.append(row[one])
        elif kind == "rename" and not number:
            row[one] = _odd(rng)
        elif kind == "empty" and number:
            row[one] = ""
        elif kind == "many" and not number:
            row.extend(["x"] * 30_000)
    if kind == "separator":
        separator = rng.choice((",", ";", "\t", " ", "|"))
    return Mutant(f"columns: {kind}", _as_csv(rows, separator, encoding))


def _as_csv(rows: list[list[str]], separator: str, encoding: str) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode(encoding, errors="replace")


def _json_value(data: bytes, rng: random.Random) -> Mutant:
    """Replace, add or take out one value somewhere in a document, or in one line of them."""
    lines = data.splitlines()
    one = rng.randrange(len(lines)) if lines and all(line.startswith(b"{") for line in lines) else -1
    try:
        document = json.loads(lines[one] if one >= 0 else data)
    except (ValueError, RecursionError):
        return _bytes_anywhere(data, rng)
    places: list[tuple[object, object]] = []
    _collect(document, places)
    if not places:
        return _bytes_anywhere(data, rng)
    holder, key = rng.choice(places)
    new = rng.choice(
        (_odd(rng), _odd(rng), None, True, -1, 0, 1.5, 1e308, 10**30, [], {}, [1], {"a": 1}, [[]], "\ud800")
    )
    kind = rng.choice(("replace", "replace", "replace", "take out", "add"))
    if kind == "replace":
        holder[key] = new  # type: ignore[index]
    elif kind == "take out":
        del holder[key]  # type: ignore[attr-defined]
    elif isinstance(holder, list):
        holder.insert(0, new)
    else:
        holder[_odd(rng)] = new  # type: ignore[index]
    text = json.dumps(document).encode()
    if one >= 0:
        lines[one] = text
        text = b"\n".join(lines)
    return Mutant(f"JSON: {kind} a value", text, in_a_row=len(lines) > 1 and one >= 0 and kind == "replace")


def _collect(value: object, places: list[tuple[object, object]]) -> None:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        places.append((value, key))
        _collect(value[key], places)  # type: ignore[index]


def _json_depth(data: bytes, rng: random.Random) -> Mutant:
    deep = 10 ** rng.choice((2, 4, 5))
    sign, end = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inner = sign * deep + b"1" + end * deep
    at = data.rfind(rng.choice((b"1", b'"', b"0", b"}")))
    kind = rng.choice(("whole", "value", "unclosed", "literals"))
    if kind == "whole" or at < 0:
        return Mutant("deep JSON", inner)
    if kind == "value":
        return Mutant("deep JSON value", data[:at] + inner + data[at + 1 :])
    if kind == "literals":
        new = rng.choice((b"NaN", b"Infinity", b"-Infinity", b"9" * 5000, b"1e999", b'"\\ud800"', b"-", b"01", b"'a'"))
        return Mutant("odd JSON literal", re.sub(rb"\b\d+\b", lambda _: new, data, count=1))
    return Mutant("unclosed JSON", data[: max(at, 1)] + sign * deep)


def _parquet_footer(data: bytes, rng: random.Random) -> Mutant:
    """Damage only the part that says how the file is laid out."""
    if len(data) < 16:
        return _bytes_anywhere(data, rng)
    size = min(int.from_bytes(data[-8:-4], "little"), len(data) - 8)
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = len(data) - 8 - size + rng.randrange(size + 8)
        found[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, found[place] ^ 1 << rng.randrange(8)))
    return Mutant("damaged Parquet footer", bytes(found))


def _parquet_column(data: bytes, rng: random.Random) -> Mutant:
    """Rewrite the table with one column of another kind, or one cell changed."""
    try:
        held = pq.read_table(io.BytesIO(data))
    except Exception:
        return _bytes_anywhere(data, rng)
    table = pl.from_arrow(held.replace_schema_metadata(None))
    name = rng.choice(table.columns)
    column = table[name]
    kind = rng.choice(("cell", "cell", "cell", "cast", "null", "drop", "rename", "nested", "rows", "repeat", "votes"))
    in_a_row = False
    if kind == "cell" and column.dtype == pl.String:
        values = column.to_list()
        values[rng.randrange(len(values))] = rng.choice((None, _odd(rng)))
        table = table.with_columns(pl.Series(name, values, dtype=pl.String))
        in_a_row = True
    elif kind in ("cell", "cast"):
        dtype = rng.choice((pl.String, pl.Float64, pl.Int8, pl.Boolean, pl.Binary, pl.Categorical, pl.Datetime))
        with contextlib.suppress(pl.exceptions.PolarsError, TypeError):
            table = table.with_columns(column.cast(dtype, strict=False))
    elif kind == "null":
        table = table.with_columns(
            pl.lit(None, rng.choice((pl.Null, pl.String, pl.Int64, pl.List(pl.Int64)))).alias(name)
        )
    elif kind == "drop":
        table = table.drop(name)
    elif kind == "rename":
        table = table.rename({name: _odd(rng) + "x"})
    elif kind == "nested":
        table = table.with_columns(rng.choice((pl.struct(pl.all()), pl.concat_list(pl.col(name)))).alias(name))
    elif kind == "rows":
        table = table.head(rng.choice((0, 1)))
    elif kind == "repeat":
        table = pl.concat([table, table.head(1)])
    elif "votes" in table.columns:
        votes = table["votes"].to_list()
        odd = ([], [1], [-1] * 3, [0] * 7, [None] * 7, None, [2**62] * 7, [2**63 - 1] * 3, [1] * 3 + [None])
        votes[rng.randrange(len(votes))] = rng.choice(odd)
        table = table.with_columns(pl.Series("votes", votes, dtype=pl.List(pl.Int64)))
        in_a_row = True
    stream = io.BytesIO()
    kept = {
        k.decode(): v.decode("utf-8", "replace")
        for k, v in (pq.read_metadata(io.BytesIO(data)).metadata or {}).items()
        if k == b"midas_dfer.manifest"  # without the digest: so the damage goes farther than to that
    }
    if kept and rng.random() < 0.2:
        key = rng.choice(list(kept))
        kept[key] = rng.choice(
            ("", "{}", "null", "[]", "[" * 100_000, kept[key][:-3], kept[key].replace('"', '"\\u0000', 5))
        )
        in_a_row = False
    try:
        table.write_parquet(stream, metadata=kept)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return _bytes_anywhere(data, rng)
    return Mutant(f"Parquet column: {kind}", stream.getvalue(), in_a_row=in_a_row)


def _zip_member(data: bytes, rng: random.Random) -> Mutant:
    """Damage one file inside a ZIP archive, and repack it so that the archive is sound."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, OSError, EOFError, RuntimeError):
        return _bytes_anywhere(data, rng)
    if not members:
        return _bytes_anywhere(data, rng)
    sheets = [name for name in members if "sheet" in name.lower() or "shared" in name.lower()]
    name = rng.choice(sheets if sheets and rng.random() < 0.7 else list(members))
    kind = rng.choice(("word", "word", "word", "bytes", "drop", "lines", "entities", "bomb", "deep", "attribute"))
    content = members[name]
    if kind == "drop":
        del members[name]
    elif kind == "entities":
        laughs = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
        head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">' + laughs + b"]>"
        outside = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>'
        body = re.sub(rb"^<\?xml[^>]*\?>\s*", b"", content)
        members[name] = rng.choice((head, outside)) + re.sub(rb">[^<>]+<", b">&a9;<", body, count=1)
    elif kind == "bomb":
        members[name] = content[: len(content) // 2] + b" " * 60_000_000 + content[len(content) // 2 :]
    elif kind == "deep":
        members[name] = content.replace(b"<v>", b"<v>" + b"<a>" * 50_000, 1)
    elif kind == "attribute":
        new = b'="' + _odd(rng).encode("utf-8", errors="replace") + b'"'
        spots = list(re.finditer(rb'="[^"]*"', content))
        if spots:
            spot = rng.choice(spots)
            members[name] = content[: spot.start()] + new + content[spot.end() :]
    elif kind == "word":
        values = list(re.finditer(rb"(?<=>)[^<>]+(?=<)", content))
        if values:
            value = rng.choice(values)
            new = _odd(rng).encode("utf-8", errors="replace").replace(b"<", b"&lt;").replace(b"&", b"&amp;")
            members[name] = content[: value.start()] + new + content[value.end() :]
    else:
        members[name] = (_bytes_anywhere if kind == "bytes" else _lines)(content, rng).data
    return Mutant(f"ZIP: {kind} in {name}", _packed(list(members.items())))


def _zip_odd(data: bytes, rng: random.Random) -> Mutant:
    """Archives that are odd as archives: other names, a name twice, no compression, another kind of file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, OSError, EOFError, RuntimeError):
        return _bytes_anywhere(data, rng)
    kind = rng.choice(("outside", "no members", "a CSV", "old Excel", "encrypted", "wrong sums", "method"))
    if kind == "outside":
        members = [("../" + name, content) for name, content in members]
    elif kind == "no members":
        members = []
    elif kind == "a CSV":
        return Mutant("ZIP: a CSV instead", b"1happy,2sad,order,label\n1,2,3,1\n")
    elif kind == "old Excel":
        return Mutant("ZIP: old Excel", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    packed = bytearray(_packed(members))
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = packed.find(sign)
        if at < 0:
            continue
        if kind == "encrypted":
            packed[at + place] |= 1
        elif kind == "wrong sums":
            packed[at + place + 8] ^= 0xFF
        elif kind == "method":
            packed[at + place + 2] = rng.choice((1, 6, 9, 12, 14, 93, 99))
    return Mutant(f"ZIP: {kind}", bytes(packed))


def _packed(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()
