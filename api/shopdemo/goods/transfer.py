"""Goods out of the shop and into it: CSV and JSON Lines, with the same columns both ways."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, BinaryIO, Literal, Protocol

from pydantic import ValidationError

from api.shopdemo.goods.errors import ImportRejected
from api.shopdemo.schemas import Goods, GoodsCreate, ImportResult

COLUMNS = tuple(GoodsCreate.model_fields)
REQUIRED_COLUMNS = tuple(name for name, field in GoodsCreate.model_fields.items() if field.is_required())
MAX_IMPORT_LINES = 10_000
MAX_IMPORT_ERRORS = 100

ExportFormat = Literal["csv", "jsonl"]
OnConflict = Literal["reject", "update"]
LineError = dict[str, Any]


class Writes(Protocol):
    """What an import needs of a store, inside one transaction."""

    async def known_skus(self, skus: Sequence[str]) -> dict[str, int]: ...

    async def known_categories(self) -> Collection[str]: ...

    async def create_many(self, goods: Sequence[GoodsCreate]) -> None: ...

    async def replace_many(self, goods: Sequence[tuple[int, GoodsCreate]]) -> None: ...


class Importer:
    """Reads a CSV file into the catalogue, wholly or not at all."""

    def __init__(self, open_writer: Callable[[], AbstractAsyncContextManager[Writes]]) -> None:
        self._open_writer = open_writer

    async def run(self, file: BinaryIO, on_conflict: OnConflict) -> ImportResult:
        """Import every line; raises ImportRejected with the errors of all lines."""
        lines, errors = await asyncio.to_thread(read_csv, file)
        async with self._open_writer() as store:
            categories = await store.known_categories()  # here another import waits, and then sees our SKUs
            known = await store.known_skus([goods.sku for goods in lines.values()])
            for line, goods in lines.items():
                if goods.category not in categories:
                    errors.append(_error(line, "category", "there is no category with this slug"))
                if goods.sku in known and on_conflict == "reject":
                    errors.append(_error(line, "sku", "is taken; send on_conflict=update to change these goods"))
            if errors:
                raise ImportRejected(data=_report(errors))
            new = [goods for goods in lines.values() if goods.sku not in known]
            old = [(known[goods.sku], goods) for goods in lines.values() if goods.sku in known]
            await store.replace_many(old)  # before the new: whoever holds a new SKU waits for no row
            await store.create_many(new)
        return ImportResult(created=len(new), updated=len(old))


def read_csv(file: BinaryIO) -> tuple[dict[int, GoodsCreate], list[LineError]]:
    """Read goods by line number, and what is wrong with the other lines; raises ImportRejected for a wrong file."""
    # utf-8-sig: spreadsheets put a byte order mark at the beginning.
    reader = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    goods: dict[int, GoodsCreate] = {}
    errors: list[LineError] = []
    first_lines: dict[str, int] = {}
    try:
        _check_columns(reader.fieldnames or ())
        for number, row in enumerate(reader, 1):
            line = reader.line_num
            if number > MAX_IMPORT_LINES:
                raise ImportRejected(
                    f"Nothing was imported: the file has more than {MAX_IMPORT_LINES} lines; split it."
                )
            found, wrong = _read_row(line, row)
            errors += wrong
            if found and (first := first_lines.setdefault(found.sku, line)) != line:
                errors.append(_error(line, "sku", f"is the same as in line {first}"))
            elif found:
                goods[line] = found
    except UnicodeDecodeError as error:
        raise ImportRejected("Nothing was imported: the file is not UTF-8; save it as “CSV UTF-8”.") from error
    except csv.Error as error:
        raise ImportRejected(f"Nothing was imported: line {reader.line_num} is not CSV: {error}.") from error
    return goods, errors


async def begin(batches: AsyncIterator[Sequence[Goods]]) -> AsyncIterator[Sequence[Goods]]:
    """Fetch the first batch now, so that a database that is away is an answer and no file that breaks off."""
    first = await anext(batches, None)

    async def all_batches() -> AsyncIterator[Sequence[Goods]]:
        if first is not None:
            yield first
        async for batch in batches:
            yield batch

    return all_batches()


async def write_export(batches: AsyncIterator[Sequence[Goods]], format_: ExportFormat) -> AsyncIterator[bytes]:
    """The whole catalogue as CSV or JSON Lines, piece by piece."""
    if format_ == "csv":
        yield _csv_lines([COLUMNS])
    async for batch in batches:
        rows = [goods.model_dump(mode="json", include=set(COLUMNS)) for goods in batch]
        if format_ == "csv":
            yield _csv_lines(_csv_row(row) for row in rows)
        else:
            yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _check_columns(names: Iterable[str]) -> None:
    given = list(names)
    wrong = [f"“{name}” is missing" for name in REQUIRED_COLUMNS if name not in given]
    wrong += [f"“{name}” is there twice" for name in COLUMNS if given.count(name) > 1]
    wrong += ["some are not known"] if set(given) - set(COLUMNS) else []
    if wrong:
        raise ImportRejected(f"Nothing was imported: of the columns, {', '.join(wrong)}; use {', '.join(COLUMNS)}.")


def _read_row(line: int, row: dict[str | Any, Any]) -> tuple[GoodsCreate | None, list[LineError]]:
    if None in row or None in row.values():
        return None, [_error(line, None, "has not as many fields as the first line")]
    values: dict[str, Any] = dict(row)
    errors = []
    for name, read in (("stock", int), ("attributes", json.loads), ("on_sale", _read_bool)):
        if name in values and not values[name].strip():
            del values[name]
        elif name in values:
            try:
                values[name] = read(values[name])
            except (LookupError, ValueError, RecursionError):
                errors.append(_error(line, name, f"cannot be read as {_WANTED[name]}"))
                values[name] = _FILLER[name]
    try:
        goods = GoodsCreate(**values)
    except ValidationError as error:
        errors += [
            _error(line, str(detail["loc"][0]), detail["msg"].removeprefix("Value error, "))
            for detail in error.errors()
        ]
    return (None, errors) if errors else (goods, [])


_WANTED = {"stock": "a whole number", "attributes": 'JSON such as {"weight": "250 g"}', "on_sale": "true or false"}
_FILLER: dict[str, Any] = {"stock": 0, "attributes": {}, "on_sale": True}


def _read_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


def _error(line: int, column: str | None, message: str) -> LineError:
    return {"line": line, "column": column, "message": message}


def _report(errors: list[LineError]) -> dict[str, Any]:
    errors.sort(key=lambda error: error["line"])
    return {"errors": errors[:MAX_IMPORT_ERRORS], "error_count": len(errors)}


def _csv_row(row: dict[str, Any]) -> list[Any]:
    row["attributes"] = json.dumps(row["attributes"], ensure_ascii=False)
    row["on_sale"] = "true" if row["on_sale"] else "false"
    return [row[name] for name in COLUMNS]


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
