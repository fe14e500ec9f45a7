"""A small shop that tests know by heart, and the bodies that requests send to it."""

from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from api.shopdemo.database import CategoryRow
from api.shopdemo.goods.store import GoodsWriter
from api.shopdemo.schemas import Goods, GoodsCreate
from extensions.database import Database, connect
from settings.base import Settings

# slug, name, parent
CATEGORIES = (
    ("tea-coffee", "茶与咖啡 Tea & Coffee", None),
    ("clothing", "服装 Clothing", None),
    ("garden", "园艺 Garden", None),
    ("green-tea", "绿茶 Green Tea", "tea-coffee"),
    ("coffee", "咖啡 Coffee", "tea-coffee"),
    ("t-shirts", "T恤 T-Shirts", "clothing"),
    ("pots", "花盆 Pots", "garden"),
)

# sku, name, category, price, stock, sales, on_sale; prices and sales have ties
_GOODS = (
    ("TEA-1", "西湖龙井绿茶 250g Longjing Green Tea", "green-tea", "199.00", 120, 30, True),
    ("TEA-2", "洞庭碧螺春 100g Biluochun", "green-tea", "158.50", 0, 70, True),
    ("TEA-3", "龙井茶饼 Longjing Tea Cake", "green-tea", "68.00", 5, 30, True),
    ("COF-1", "云南咖啡豆 Yunnan Coffee Beans", "coffee", "68.00", 40, 0, True),
    ("COF-2", "挂耳咖啡 Drip Coffee 100% Arabica", "coffee", "39.90", 300, 500, True),
    ("SHI-1", "纯棉T恤 Cotton T-Shirt 50_50", "t-shirts", "89.00", 60, 200, True),
    ("SHI-2", "“印花”T恤 Printed T-Shirt 'Café' \"A\"", "t-shirts", "99.00", 1, 12, True),
    ("SHI-3", "旧款T恤 Old T-Shirt", "t-shirts", "19.00", 3, 1, False),
)
ON_SALE = tuple(row[0] for row in _GOODS if row[-1])


def goods_body(**changes: Any) -> dict[str, Any]:
    """What a client sends to create goods in the small shop."""
    return {
        "sku": "NEW-1",
        "name": "安溪铁观音 Tieguanyin",
        "description": "清香型。 Floral.",
        "category": "green-tea",
        "price": "88.80",
        "stock": 7,
        "attributes": {"origin": "福建 Fujian"},
        "on_sale": True,
        **changes,
    }


async def fill(settings: Settings) -> dict[str, Goods]:
    """Fill the database that the settings name; returns the goods by SKU."""
    database = await connect(settings)
    try:
        return await _fill(database)
    finally:
        await database.close()


async def _fill(database: Database) -> dict[str, Goods]:
    ids = {slug: number for number, (slug, _, _) in enumerate(CATEGORIES, 1)}
    rows = [
        {"id": ids[slug], "slug": slug, "name": name, "parent_id": ids[parent] if parent else None}
        for slug, name, parent in CATEGORIES
    ]
    async with database.transaction() as connection:
        await connection.execute(insert(CategoryRow), rows)
        writer = GoodsWriter(connection)
        created = [
            await writer.create(
                GoodsCreate(
                    sku=sku,
                    name=name,
                    description=f"说明 {sku}",
                    category=category,
                    price=Decimal(price),
                    stock=stock,
                    attributes={"series": f"系列 {sku[:3]}"},
                    on_sale=on_sale,
                ),
                sales=sales,
            )
            for sku, name, category, price, stock, sales, on_sale in _GOODS
        ]
    return {goods.sku: goods for goods in created}
