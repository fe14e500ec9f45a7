"""The wiring of one request."""

from typing import Annotated

from fastapi import Depends, Request

from api.shopdemo.categories.store import CategoryStore


async def get_categories(request: Request) -> CategoryStore:
    return CategoryStore(request.app.state.database)


CategoriesDep = Annotated[CategoryStore, Depends(get_categories)]
