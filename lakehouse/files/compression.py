"""Compressed files. gzip and Zstandard files are decompressed; other formats are refused."""

from __future__ import annotations

import gzip
import io
import re
import zlib

from core.errors import PayloadTooLarge, SchemaMismatch
from lakehouse.areas import MAX_FILE_BYTES

SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".zip")
"""Suffixes of compressed files, which come after the suffix of the format."""

_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_UNSUPPORTED = (
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "a ZIP archive or an Office document"),
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), "a bzip2 file"),
    (re.compile(rb"\xfd7zXZ\0"), "an xz file"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive"),
    (re.compile(rb"\x04\x22\x4d\x18"), "an LZ4 file"),
)


def decompressed(content: bytes, name: str) -> bytes:
    """Returns the content of a gzip or Zstandard file; that of an uncompressed file as it is.

    The first bytes determine the compression, not the name.

    Raises:
        SchemaMismatch: the file is damaged, compressed twice, or compressed in another format.
        PayloadTooLarge: the decompressed content is larger than `MAX_FILE_BYTES`.
    """
    for signature, description in _UNSUPPORTED:
        if signature.match(content):
            raise SchemaMismatch(
                f"{name} is {description}, which can't be read. Deliver the file uncompressed, or compress it with "
                "gzip or Zstandard."
            )
    if not content.startswith((_GZIP, _ZSTANDARD)):
        return content
    result = _decompress(content, name, MAX_FILE_BYTES)
    if result.startswith((_GZIP, _ZSTANDARD)):
        raise SchemaMismatch(f"{name} is compressed twice. Compress the file once.")
    return result


def _decompress(content: bytes, name: str, max_bytes: int) -> bytes:
    import pyarrow as pa

    format = "gzip" if content.startswith(_GZIP) else "Zstandard"
    try:
        if format == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                result = file.read(max_bytes + 1)
        else:
            with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
                result = stream.read(max_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error, pa.ArrowException, OSError) as error:
        raise SchemaMismatch(f"{name} is a damaged {format} file ({error}). Deliver the file again.") from error
    if len(result) > max_bytes:
        raise PayloadTooLarge(
            f"{name} contains more than {max_bytes:,} bytes after decompression. Split it into several files."
        )
    return result
