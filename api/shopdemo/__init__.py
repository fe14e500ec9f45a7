"""A shop: a catalogue of goods with categories, search, pictures, import and export."""

from fastapi import APIRouter

from api.shopdemo.categories import categories
from api.shopdemo.goods import goods
from api.shopdemo.home import home
from extensions.cache import open_cache
from extensions.database import open_database
from extensions.pictures import open_pictures
from extensions.security import open_tokens

requires = (open_database, open_cache, open_tokens, open_pictures)

router = APIRouter(prefix="/shopdemo")
router.include_router(home.router)
router.include_router(goods.router)
router.include_router(categories.router)
