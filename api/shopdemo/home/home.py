"""What the shop's front page shows, in one call."""

import asyncio

from fastapi import APIRouter

from api.shopdemo.categories.dependencies import CategoriesDep
from api.shopdemo.goods.dependencies import CatalogueDep
from api.shopdemo.goods.service import Catalogue
from api.shopdemo.schemas import Banner, Category, Goods, GoodsQuery, Home
from utils.custom_exc import NotReady, errors
from utils.routing import EnvelopeRoute, cached

SHELF_SIZE = 10
BANNERS = 4

router = APIRouter(prefix="/home", tags=["home"], route_class=EnvelopeRoute, responses=errors(NotReady))


@router.get("")
@cached
async def show_home(catalogue: CatalogueDep, categories: CategoriesDep) -> Home:
    """Banners, categories, newest, best-selling and recommended goods."""
    tree = await categories.tree()
    newest, best_selling, leaders = await asyncio.gather(
        _shelf(catalogue, GoodsQuery(size=SHELF_SIZE)),
        _shelf(catalogue, GoodsQuery(sort="-sales", size=SHELF_SIZE)),
        _leaders(catalogue, tree),
    )
    return Home(
        banners=[_banner(department, leaders.get(department.slug)) for department in tree[:BANNERS]],
        categories=tree,
        newest=newest,
        best_selling=best_selling,
        recommended=sorted(leaders.values(), key=lambda goods: -goods.sales)[:SHELF_SIZE],
    )


async def _shelf(catalogue: Catalogue, query: GoodsQuery) -> list[Goods]:
    return (await catalogue.list(query.model_copy(update={"cursor": ""}))).items


async def _leaders(catalogue: Catalogue, tree: list[Category]) -> dict[str, Goods]:
    """The best-selling goods in stock of every top category that has any."""
    shelves = await asyncio.gather(
        *(_shelf(catalogue, GoodsQuery(category=top.slug, in_stock=True, sort="-sales", size=1)) for top in tree)
    )
    return {top.slug: shelf[0] for top, shelf in zip(tree, shelves, strict=True) if shelf}


def _banner(department: Category, leader: Goods | None) -> Banner:
    return Banner(
        title=department.name,
        picture_url=leader.pictures[0].url if leader and leader.pictures else None,
        link=f"/shopdemo/goods?category={department.slug}",
    )
