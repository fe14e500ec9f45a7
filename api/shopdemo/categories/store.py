"""The queries of categories."""

from sqlalchemy import func, select

from api.shopdemo.database import CategoryRow, GoodsRow
from api.shopdemo.schemas import Category
from extensions.database import Database

CATEGORIES = select(CategoryRow.id, CategoryRow.slug, CategoryRow.name, CategoryRow.parent_id).order_by(CategoryRow.id)
GOODS_COUNTS = (
    select(GoodsRow.category_id, func.count().label("goods_count"))
    .where(GoodsRow.on_sale.is_(True))
    .group_by(GoodsRow.category_id)
)


class CategoryStore:
    """Reads categories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tree(self) -> list[Category]:
        """The top categories with those below them; counts are of goods on sale."""
        counts = {row["category_id"]: row["goods_count"] for row in await self._database.fetch_all(GOODS_COUNTS)}
        records = await self._database.fetch_all(CATEGORIES)
        nodes = {
            record["id"]: Category(
                slug=record["slug"], name=record["name"], goods_count=counts.get(record["id"], 0), children=[]
            )
            for record in records
        }
        for record in records:
            if parent := nodes.get(record["parent_id"]):
                parent.children.append(nodes[record["id"]])
                parent.goods_count += nodes[record["id"]].goods_count
        return [nodes[record["id"]] for record in records if record["parent_id"] is None]
