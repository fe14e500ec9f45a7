"""Statements that are compiled once, for readers that ask the driver directly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect

Processor = Callable[[Any], Any]


@dataclass(frozen=True)
class CompiledQuery:
    """A statement as the driver wants it, and how its values go in and come out."""

    sql: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    binders: Mapping[str, Processor]
    columns: tuple[str, ...]
    converters: tuple[tuple[str, Processor], ...]

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect) -> Self:
        """Compile `statement` once for `dialect`."""
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        binds = {
            name: processor
            for name, bind in compiled.binds.items()
            if (processor := bind.type.dialect_impl(dialect).bind_processor(dialect))
        }
        columns = list(statement.selected_columns)  # type: ignore[attr-defined]
        converters = [
            (column.key, processor)
            for column in columns
            if (processor := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]
        return cls(
            sql=compiled.string,
            names=tuple(compiled.positiontup),
            defaults=compiled.params,
            binders=binds,
            columns=tuple(column.key for column in columns),
            converters=tuple(converters),
        )

    def arguments(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the order of the placeholders."""
        merged = {**self.defaults, **values}
        for name, bind in self.binders.items():
            merged[name] = bind(merged[name])
        return tuple([merged[name] for name in self.names])

    def records(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows by column name."""
        columns = self.columns
        records = [dict(zip(columns, row, strict=False)) for row in rows]
        for column, convert in self.converters:
            for record in records:
                record[column] = convert(record[column])
        return records
