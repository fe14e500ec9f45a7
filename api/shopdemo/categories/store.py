"""The queries of categories."""

from sqlalchemy import bindparam, func, select

from api.shopdemo.database import CategoryRow, GoodsRow
from api.shopdemo.schemas import Category
from extensions.database import Database

# Counted category by category: that needs nothing but the index, on both databases.
GOODS_COUNT = (
    select(func.count())
    .where(GoodsRow.category_id == CategoryRow.id, GoodsRow.on_sale == bindparam("on_sale"))
    .scalar_subquery()
    .correlate(CategoryRow)
)
CATEGORIES = select(
    CategoryRow.id, CategoryRow.slug, CategoryRow.name, CategoryRow.parent_id, GOODS_COUNT.label("goods_count")
).order_by(CategoryRow.id)


class CategoryStore:
    """Reads categories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tree(self) -> list[Category]:
        """The top categories with those below them; counts are of goods on sale."""
        records = await self._database.fetch_all(CATEGORIES, {"on_sale": True})
        nodes = {
            record["id"]: Category(
                slug=record["slug"], name=record["name"], goods_count=record["goods_count"], children=[]
            )
            for record in records
        }
        for record in records:
            if parent := nodes.get(record["parent_id"]):
                parent.children.append(nodes[record["id"]])
                parent.goods_count += nodes[record["id"]].goods_count
        return [nodes[record["id"]] for record in records if record["parent_id"] is None]
