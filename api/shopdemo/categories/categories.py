"""The route of categories."""

from fastapi import APIRouter

from api.shopdemo.categories.dependencies import CategoriesDep
from api.shopdemo.schemas import Category
from utils.custom_exc import NotReady, errors
from utils.routing import EnvelopeRoute, cached

router = APIRouter(prefix="/categories", tags=["categories"], route_class=EnvelopeRoute, responses=errors(NotReady))


@router.get("")
@cached
async def list_categories(categories: CategoriesDep) -> list[Category]:
    """The tree of categories, with the number of goods on sale in each."""
    return await categories.tree()
