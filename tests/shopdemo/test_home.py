"""The front page and the tree of categories."""

from typing import Any

import pytest
from starlette.datastructures import State
from starlette.testclient import TestClient

from api.projects import find_projects, open_resources
from api.shopdemo import seed as seeding
from api.shopdemo.schemas import Goods
from commands.tables import fill
from extensions import database
from settings.testing_config import TestingSettings
from tests.support.catalogue import goods_body
from tests.support.databases import only_postgres, run
from tests.support.envelopes import success
from tests.support.pictures import picture

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"


def category(slug: str, name: str, count: int, *children: dict[str, Any]) -> dict[str, Any]:
    return {"slug": slug, "name": name, "goods_count": count, "children": list(children)}


TREE = [
    category(
        "tea-coffee",
        "茶与咖啡 Tea & Coffee",
        5,
        category("green-tea", "绿茶 Green Tea", 3),
        category("coffee", "咖啡 Coffee", 2),
    ),
    category("clothing", "服装 Clothing", 2, category("t-shirts", "T恤 T-Shirts", 2)),
    category("garden", "园艺 Garden", 0, category("pots", "花盆 Pots", 0)),
]


def shown(client: TestClient, catalogue: Catalogue, *skus: str) -> list[dict[str, Any]]:
    return [client.get(f"{GOODS}/{catalogue[sku].id}").json()["data"] for sku in skus]


def test_categories(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    assert client.get("/shopdemo/categories").json() == success(TREE)
    client.post(GOODS, json=goods_body(category="pots"), headers=admin)
    assert client.get("/shopdemo/categories").json()["data"][2] == category(
        "garden", "园艺 Garden", 1, category("pots", "花盆 Pots", 1)
    )


def test_goods_directly_in_a_top_category_count_there(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    client.post(GOODS, json=goods_body(category="garden"), headers=admin)
    assert client.get("/shopdemo/categories").json()["data"][2]["goods_count"] == 1
    assert client.get(GOODS, params={"category": "garden"}).json()["data"]["total"] == 1


def test_home(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    address = f"{GOODS}/{catalogue['COF-2'].id}"
    uploaded = client.post(f"{address}/pictures", files={"file": picture()}, headers=admin)
    answer = client.get("/shopdemo/home")
    assert answer.status_code == 200
    assert answer.json() == success(
        {
            "banners": [
                {
                    "title": "茶与咖啡 Tea & Coffee",
                    "picture_url": uploaded.json()["data"]["url"],
                    "link": "/shopdemo/goods?category=tea-coffee",
                },
                {"title": "服装 Clothing", "picture_url": None, "link": "/shopdemo/goods?category=clothing"},
                {"title": "园艺 Garden", "picture_url": None, "link": "/shopdemo/goods?category=garden"},
            ],
            "categories": TREE,
            "newest": shown(client, catalogue, "SHI-2", "SHI-1", "COF-2", "COF-1", "TEA-3", "TEA-2", "TEA-1"),
            "best_selling": shown(client, catalogue, "COF-2", "SHI-1", "TEA-2", "TEA-3", "TEA-1", "SHI-2", "COF-1"),
            "recommended": shown(client, catalogue, "COF-2", "SHI-1"),
        }
    )


def test_an_empty_shop(client: TestClient) -> None:
    assert client.get("/shopdemo/categories").json() == success([])
    nothing: dict[str, Any] = {"banners": [], "categories": [], "newest": [], "best_selling": [], "recommended": []}
    assert client.get("/shopdemo/home").json() == success(nothing)


async def seed(settings: TestingSettings) -> tuple[str | None, str | None]:
    state = State()
    state.settings, state.projects = settings, find_projects(("shopdemo",))
    async with open_resources(state):
        return await seeding.seed(state), await seeding.seed(state)


def test_the_demo_catalogue_fills_an_empty_shop_once(
    client: TestClient, settings: TestingSettings, monkeypatch: Any
) -> None:
    monkeypatch.setattr(seeding, "PICTURE_SIDE", 16)
    assert run(seed(settings)) == ("224 goods with pictures in 40 categories", None)
    home = client.get("/shopdemo/home").json()["data"]
    assert len(home["newest"]) == len(home["best_selling"]) == 10
    assert all(banner["picture_url"] for banner in home["banners"])
    for goods in home["newest"]:
        (one,) = goods["pictures"]
        assert client.get(one["url"]).status_code == client.get(one["thumbnail_url"]).status_code == 200


@only_postgres
@pytest.mark.usefixtures("client")
def test_a_slow_machine_has_the_time_to_fill_it(settings: TestingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "PICTURE_SIDE", 16)
    monkeypatch.setattr(database, "TRANSACTION_SECONDS", 0.0)
    run(fill(settings))
    monkeypatch.undo()
    assert run(seed(settings)) == (None, None)  # it is full
