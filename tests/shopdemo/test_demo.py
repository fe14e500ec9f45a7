"""The demo catalogue is complete, believable and always the same."""

import re
from collections import Counter
from decimal import Decimal
from io import BytesIO

import pytest
from PIL import Image

from api.shopdemo.demo.catalogue import DemoCategory, DemoGoods, demo_categories, demo_goods
from api.shopdemo.demo.pictures import draw_picture

CATEGORIES = demo_categories()
GOODS = demo_goods()
LEAVES = [category.slug for category in CATEGORIES if category.parent]
FIRST_OF_LEAF = [next(one for one in GOODS if one.category == slug) for slug in LEAVES]

chinese = re.compile(r"[\u4e00-\u9fff]")
english = re.compile(r"[A-Za-z]{2,}")


def test_first_category_and_goods() -> None:
    assert CATEGORIES[0] == DemoCategory(slug="tea-coffee", name="茶与咖啡 Tea & Coffee", parent=None)
    assert next(one for one in GOODS if one.sku == "GRN-001") == DemoGoods(
        sku="GRN-001",
        name="西湖龙井绿茶 250g Longjing Green Tea",
        description=(
            "明前一芽一叶，手工炒制，豆香清鲜，回甘干净。 Picked before Qingming and pan-fired by hand; "
            "a flat leaf with a chestnut scent and a clean, sweet finish."
        ),
        category="green-tea",
        price=Decimal("268.00"),
        stock=86,
        sales=1420,
        attributes={"origin": "浙江杭州 Hangzhou", "weight": "250 g", "harvest": "明前 Early spring"},
        on_sale=True,
    )


def test_categories_have_two_levels_and_parents_come_first() -> None:
    top = [category.slug for category in CATEGORIES if category.parent is None]
    assert [category.slug for category in CATEGORIES[: len(top)]] == top
    assert {category.parent for category in CATEGORIES if category.parent} == set(top)


def test_slugs_are_unique_and_plain() -> None:
    slugs = [category.slug for category in CATEGORIES]
    assert len(set(slugs)) == len(slugs)
    assert [slug for slug in slugs if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)] == []


def test_every_leaf_and_only_leaves_have_goods() -> None:
    assert Counter(one.category for one in GOODS) == dict.fromkeys(LEAVES, 7)


def test_skus_and_names_are_unique() -> None:
    assert len({one.sku for one in GOODS}) == len({one.name for one in GOODS}) == len(GOODS) == 224


def test_every_text_is_chinese_and_english() -> None:
    texts = [text for one in GOODS for text in (one.name, one.description)] + [one.name for one in CATEGORIES]
    assert [text for text in texts if not (chinese.search(text) and english.search(text))] == []


def test_prices_are_money() -> None:
    assert [one.sku for one in GOODS if one.price <= 0 or one.price.as_tuple().exponent != -2] == []


def test_stock_and_sales_are_those_of_a_real_shop() -> None:
    assert min(one.stock for one in GOODS) == 0
    assert min(one.sales for one in GOODS) > 0
    assert 10 <= sum(one.stock == 0 for one in GOODS) <= 40
    assert 3 <= sum(not one.on_sale for one in GOODS) <= 12
    assert 3 <= sum(one.sales > 4000 for one in GOODS) <= 20


def test_names_exercise_the_search() -> None:
    names = " ".join(one.name for one in GOODS)
    assert [text for text in ("100% 纯棉", "50_50", '"', "'", "&", "《") if text not in names] == []


def test_attributes_are_filled() -> None:
    assert [one.sku for one in GOODS if not one.attributes or not all(one.attributes.values())] == []


def test_order_mixes_the_categories() -> None:
    assert len({one.category for one in GOODS[-20:]}) > 10
    assert demo_goods() == GOODS


@pytest.mark.parametrize("goods", FIRST_OF_LEAF, ids=lambda goods: str(goods.category))
def test_picture_is_small_and_always_the_same(goods: DemoGoods) -> None:
    picture = draw_picture(goods)
    assert picture == draw_picture(goods)
    assert len(picture) < 40_000
    with Image.open(BytesIO(picture)) as image:
        image.load()
        assert (image.format, image.size, image.mode) == ("WEBP", (800, 800), "RGB")


def test_every_goods_can_be_drawn_at_any_size_and_looks_different() -> None:
    pictures = [draw_picture(one, size=64) for one in GOODS]
    assert len(set(pictures)) == len(GOODS)
    with Image.open(BytesIO(pictures[0])) as image:
        assert image.size == (64, 64)
