"""Pictures: decoded and written anew by Pillow, so that nothing of an upload but its pixels is ever served."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from loguru import logger
from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.datastructures import State

from extensions.disk import check_folder
from utils.custom_exc import NotReady

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
LARGE_SIDE = 1600  # pixels of the longer side
SMALL_SIDE = 320
QUALITY = 82
EFFORT = 2  # of 0 to 6: half the time of the default 4 for the same size within 3 %
SMALL = "_small"
NOT_STORED = "The picture could not be stored just now; send it again in a moment."
BYTES_PER_PIXEL = 18  # that decoding takes at most: WebP; PNG 10, a progressive JPEG 12, GIF 2


class PictureError(Exception):
    """The file cannot be read as one of FORMATS."""


class PictureTooLargeError(PictureError):
    """The picture has more pixels than allowed."""


@dataclass(frozen=True)
class StoredPicture:
    """The names of the large and the small file, and the size of the large one in pixels."""

    name: str
    small_name: str
    width: int
    height: int


class PictureStorage:
    """A folder of pictures, one folder in it for each owner."""

    essential = False  # without it everything but uploads goes on

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self._folder = folder
        self._max_pixels = max_pixels
        self._decoding = asyncio.Lock()  # one at a time: 40 megapixels can take 690 MiB

    async def save(self, owner: str, file: BinaryIO) -> StoredPicture:
        """Decode a file and write it anew; raises PictureError, or NotReady when the disk takes nothing.

        The same picture gets the same names.
        """
        async with self._decoding:
            return await asyncio.to_thread(self._save, owner, file)

    async def check(self) -> None:
        """Raise NotReady when the disk takes nothing."""
        await check_folder(self._folder)

    def path(self, owner: str, name: str) -> Path | None:
        """Where a picture lies, or None; `name` must be checked to be a plain file name."""
        path = self._folder / owner / name
        return path if path.is_file() else None

    async def delete(self, owner: str, picture: str) -> None:
        """Remove one picture of an owner; what cannot be removed now stays, and nobody is led to it any more."""
        for name in (picture, _small(picture)):
            path = self._folder / owner / name
            try:
                await asyncio.to_thread(path.unlink, missing_ok=True)
            except OSError as error:
                logger.warning("A picture that nobody needs stays: {}", error)

    async def delete_owner(self, owner: str) -> None:
        """Remove all pictures of an owner."""
        await asyncio.to_thread(shutil.rmtree, self._folder / owner, ignore_errors=True)

    def _save(self, owner: str, file: BinaryIO) -> StoredPicture:
        large = self._decode(file)
        small = large.copy()
        small.thumbnail((SMALL_SIDE, SMALL_SIDE))
        data, small_data = _encode(large), _encode(small)
        name = f"{blake2b(data, digest_size=12).hexdigest()}.webp"
        folder = self._folder / owner
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / name, data)
            _write(folder / _small(name), small_data)
        except OSError as error:
            raise NotReady(NOT_STORED) from error
        return StoredPicture(name, _small(name), *large.size)

    def _decode(self, file: BinaryIO) -> Image.Image:
        try:
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > self._max_pixels:
                    raise PictureTooLargeError
                image.draft("RGB", (LARGE_SIDE, LARGE_SIDE))
                shown = _in_eight_bits(image) if image.mode == "I;16" else image
                shown.thumbnail((LARGE_SIDE, LARGE_SIDE))  # before all else, which would copy the large one
                ImageOps.exif_transpose(shown, in_place=True)
                return shown.convert("RGBA" if shown.has_transparency_data else "RGB")
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise PictureTooLargeError from error
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
            raise PictureError from error


@asynccontextmanager
async def open_pictures(state: State) -> AsyncIterator[PictureStorage]:
    """Offer the folder that the settings name."""
    yield PictureStorage(state.settings.pictures_dir, state.settings.max_picture_pixels)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """A grey PNG of 16 bits: Pillow cannot make it smaller, and would cut off what is brighter than 255."""
    return image.point(lambda value: value * (1 / 256) + 0).convert("L")


def _small(name: str) -> str:
    return name.replace(".webp", f"{SMALL}.webp")


def _encode(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=EFFORT)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write so that a reader sees the whole file or none."""
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        with suppress(OSError):  # on a disk that takes nothing it may never have been made
            draft.unlink(missing_ok=True)
        raise
