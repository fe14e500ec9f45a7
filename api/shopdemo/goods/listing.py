"""The SQL of lists: one statement for each combination of filters, built and compiled once."""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from api.shopdemo.database import CategoryRow, GoodsRow
from api.shopdemo.schemas import GoodsFilter, Sort
from extensions.database_types import MoneyCents
from utils.full_text import fts5_query, tsquery

SEARCH_INDEX = table("shopdemo_goods_search", column("rowid"))  # SQLite's FTS5 index, made by the migration

GOODS_COLUMNS = (
    *(
        getattr(GoodsRow, name)
        for name in (
            "id", "version", "sku", "name", "description", "price", "stock", "sales", "pictures", "attributes",
            "on_sale", "created_at", "updated_at",
        )
    ),
    CategoryRow.slug.label("category"),
)  # fmt: skip


def select_goods() -> Select[Any]:
    """Goods with the slug of their category; the outer join keeps SQLite from starting at the categories."""
    return select(*GOODS_COLUMNS).join(CategoryRow, CategoryRow.id == GoodsRow.category_id, isouter=True)


Level = Literal["category_id", "department_id"]


class Shape(NamedTuple):
    """Which filters a list has, without their values."""

    dialect: str
    search: bool = False
    category: Level | None = None
    price_min: bool = False
    price_max: bool = False
    in_stock: bool | None = None
    code: bool = False  # PostgreSQL looks a code up and sorts, instead of walking the list until it meets it
    walks: bool = False  # SQLite walks the list in its order and looks at the prices, instead of sorting what they find


def values_of(wanted: GoodsFilter, dialect: str, category_id: int | None) -> dict[str, Any]:
    """The values of a list's filters by the names that its statement has for them."""
    write_query = tsquery if dialect == "postgresql" else fts5_query
    values = {
        "q": write_query(wanted.q) if wanted.q else None,
        "category_id": category_id,
        "price_min": wanted.price_min,
        "price_max": wanted.price_max,
        "on_sale": wanted.on_sale,
    }
    return {name: value for name, value in values.items() if value is not None}


@lru_cache(maxsize=256)
def count_statement(shape: Shape) -> Select[Any]:
    """How many goods match, counted up to a limit."""
    matches = _filtered(select(literal_column("1")).select_from(GoodsRow), shape).limit(bindparam("limit"))
    return select(func.count().label("total")).select_from(matches.subquery())


@lru_cache(maxsize=512)
def page_statement(shape: Shape, sort: Sort, start: Literal["offset", "cursor", "first"]) -> Select[Any]:
    """A page in the order `sort`, from an offset, behind a cursor, or from the first."""
    goods_id: ColumnElement[int] = GoodsRow.id  # type: ignore[assignment]
    if shape.search and shape.dialect == "sqlite":
        goods_id = SEARCH_INDEX.c.rowid  # FTS5 can deliver in this order, so that it stops after one page
    elif shape.code:
        goods_id = GoodsRow.id + 0  # it takes any sequence of words for frequent, so keep it from using this order
    name = sort.removeprefix("-")
    keys = [goods_id] if name == "created_at" else [getattr(GoodsRow, name), goods_id]
    statement = _filtered(select_goods(), shape)
    if start == "cursor":
        after = [bindparam("after_value", type_=BigInteger), bindparam("after_id", type_=BigInteger)][-len(keys) :]
        left, right = (keys[0], after[0]) if len(keys) == 1 else (tuple_(*keys), tuple_(*after))
        statement = statement.where(left < right if sort.startswith("-") else left > right)
    statement = statement.order_by(*(key.desc() if sort.startswith("-") else key.asc() for key in keys))
    statement = statement.limit(bindparam("limit"))
    return statement.offset(bindparam("offset")) if start == "offset" else statement


def _filtered(statement: Select[Any], shape: Shape) -> Select[Any]:
    statement = statement.where(GoodsRow.on_sale == bindparam("on_sale"))
    if shape.search:
        statement = _search(statement, shape.dialect)
    if shape.category:
        statement = statement.where(getattr(GoodsRow, shape.category) == bindparam("category_id"))
    price: ColumnElement[Any] = GoodsRow.price  # type: ignore[assignment]
    if shape.walks:
        price = literal_column("+shopdemo_goods.price")  # the plus keeps SQLite from using an index for it
    if shape.price_min:
        statement = statement.where(price >= bindparam("price_min", type_=MoneyCents))
    if shape.price_max:
        statement = statement.where(price <= bindparam("price_max", type_=MoneyCents))
    if shape.in_stock is not None:
        statement = statement.where(GoodsRow.stock > 0 if shape.in_stock else GoodsRow.stock == 0)
    return statement


def _search(statement: Select[Any], dialect: str) -> Select[Any]:
    if dialect == "postgresql":
        return statement.where(GoodsRow.search.op("@@")(cast(bindparam("q", type_=String), TSQUERY)))
    matches = literal_column("shopdemo_goods_search").op("MATCH")(bindparam("q", type_=String))
    # The plus keeps SQLite from walking the goods and asking the index for each of them.
    found_id: ColumnElement[int] = literal_column("+shopdemo_goods_search.rowid")
    return statement.join(SEARCH_INDEX, found_id == GoodsRow.id).where(matches)
