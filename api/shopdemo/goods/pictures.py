"""The rules of pictures: how many, how large, and that files and rows agree."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Protocol

from api.shopdemo.goods.errors import GoodsNotFound, NotAPicture, PictureNotFound, PictureTooLarge, TooManyPictures
from api.shopdemo.schemas import Goods, Picture
from extensions.pictures import PictureError, PictureStorage, PictureTooLargeError, StoredPicture

MAX_PICTURES = 10


class Writes(Protocol):
    """What pictures need of a store, inside one transaction."""

    async def get_for_update(self, goods_id: int) -> Goods: ...

    async def set_pictures(self, goods_id: int, pictures: list[Picture]) -> None: ...


class Pictures:
    """Adds pictures to goods and takes them away.

    Files are written before the transaction, which therefore is short, and removed behind it.
    """

    def __init__(self, open_writer: Callable[[], AbstractAsyncContextManager[Writes]], storage: PictureStorage) -> None:
        self._open_writer = open_writer
        self._storage = storage

    async def add(self, goods_id: int, file: BinaryIO) -> Picture:
        """Store a picture behind the others; the same picture again changes nothing."""
        try:
            stored = await self._storage.save(str(goods_id), file)
        except PictureTooLargeError as error:
            raise PictureTooLarge from error
        except PictureError as error:
            raise NotAPicture from error
        picture = as_picture(goods_id, stored)
        try:
            await self._append(goods_id, picture)
        except (GoodsNotFound, TooManyPictures):  # after any other failure the goods may list the picture already
            await self._storage.delete(str(goods_id), stored.name)
            raise
        return picture

    async def remove(self, goods_id: int, name: str) -> None:
        """Take a picture away; raises PictureNotFound."""
        async with self._open_writer() as store:
            goods = await store.get_for_update(goods_id)
            left = [picture for picture in goods.pictures if picture.url != picture_url(goods_id, name)]
            if len(left) == len(goods.pictures):
                raise PictureNotFound
            await store.set_pictures(goods_id, left)
        await self._storage.delete(str(goods_id), name)

    async def remove_files(self, goods_id: int) -> None:
        """Remove the files of goods that are gone."""
        await self._storage.delete_owner(str(goods_id))

    async def _append(self, goods_id: int, picture: Picture) -> None:
        async with self._open_writer() as store:
            goods = await store.get_for_update(goods_id)
            if picture in goods.pictures:
                return
            if len(goods.pictures) >= MAX_PICTURES:
                raise TooManyPictures(f"Goods may have {MAX_PICTURES} pictures; delete one first.")
            await store.set_pictures(goods_id, [*goods.pictures, picture])


def as_picture(goods_id: int, stored: StoredPicture) -> Picture:
    """A stored picture as clients see it."""
    return Picture(
        url=picture_url(goods_id, stored.name),
        thumbnail_url=picture_url(goods_id, stored.small_name),
        width=stored.width,
        height=stored.height,
    )


def picture_url(goods_id: int, name: str) -> str:
    """Where a picture is served."""
    return f"/shopdemo/goods/{goods_id}/pictures/{name}"
