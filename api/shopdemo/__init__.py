"""A shop: goods with search, pictures, import and export; carts, orders and payments."""

from fastapi import APIRouter

from api.shopdemo.cart import cart
from api.shopdemo.categories import categories
from api.shopdemo.goods import goods
from api.shopdemo.home import home
from api.shopdemo.jobs import open_jobs
from api.shopdemo.orders import orders
from api.shopdemo.payments import payments
from extensions.cache import open_cache
from extensions.database import open_database
from extensions.http_client import open_http_client
from extensions.pictures import open_pictures
from extensions.security import open_tokens

requires = (open_database, open_cache, open_tokens, open_pictures, open_http_client, open_jobs)

router = APIRouter(prefix="/shopdemo")
router.include_router(home.router)
router.include_router(goods.router)
router.include_router(categories.router)
router.include_router(orders.router)
router.include_router(payments.router)
router.include_router(cart.router)
