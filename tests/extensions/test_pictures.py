"""The storage of pictures: only pixels come out again, and nothing hostile gets in."""

import contextlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from extensions.pictures import (
    BYTES_PER_PIXEL,
    LARGE_SIDE,
    SMALL_SIDE,
    PictureError,
    PictureStorage,
    PictureTooLargeError,
    StoredPicture,
)
from tests.support.databases import run
from tests.support.pictures import ORIENTATION, animation, claimed_png, encode, lying_photograph, opened, picture
from tests.support.processes import ROOT, needs_proc

pytestmark = pytest.mark.anyio

MAX_PIXELS = 1_000_000
AROUND = 40_000_000  # bytes for the smaller pictures, whatever the size of the large one


@pytest.fixture
def storage(tmp_path: Path) -> PictureStorage:
    return PictureStorage(tmp_path, MAX_PIXELS)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def read(storage: PictureStorage, stored: StoredPicture) -> tuple[bytes, bytes]:
    large, small = storage.path("7", stored.name), storage.path("7", stored.small_name)
    assert large
    assert small
    return large.read_bytes(), small.read_bytes()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF"])
async def test_every_format_becomes_webp(storage: PictureStorage, tmp_path: Path, format_: str) -> None:
    stored = await storage.save("7", BytesIO(picture(format_, (400, 200))))
    large, small = (opened(data) for data in await read(storage, stored))
    assert (stored.width, stored.height) == (400, 200)
    assert (large.format, large.size, large.mode) == ("WEBP", (400, 200), "RGB")
    assert (small.format, small.size) == ("WEBP", (320, 160))
    assert files(tmp_path) == sorted([stored.name, stored.small_name])


@pytest.mark.parametrize(
    ("format_", "mode"),
    [("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "L"), ("JPEG", "CMYK")],
)
async def test_every_mode_can_be_read(storage: PictureStorage, format_: str, mode: str) -> None:
    stored = await storage.save("7", BytesIO(encode(Image.new(mode, (30, 20)), format_)))
    assert (stored.width, stored.height) == (30, 20)


async def test_sixteen_bits_of_grey(storage: PictureStorage) -> None:
    stored = await storage.save("7", BytesIO(encode(Image.new("I;16", (4000, 10), 40_000), "PNG")))
    large, _ = (opened(data) for data in await read(storage, stored))
    assert (large.size, large.convert("L").getpixel((800, 2))) == ((LARGE_SIDE, 4), 40_000 // 256)


async def test_alpha_is_kept(storage: PictureStorage) -> None:
    stored = await storage.save("7", BytesIO(picture("PNG", colour=(10, 20, 30, 0))))
    large, small = (opened(data) for data in await read(storage, stored))
    assert large.convert("RGBA").getpixel((5, 5))[3] == small.convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


async def test_a_photograph_is_turned_and_loses_its_metadata(storage: PictureStorage) -> None:
    stored = await storage.save("7", BytesIO(lying_photograph()))
    assert (stored.width, stored.height) == (40, 60)
    for data in await read(storage, stored):
        image = opened(data).convert("RGB")
        top, bottom = image.getpixel((20, 5)), image.getpixel((20, 55))
        assert (top[0] > top[2], bottom[2] > bottom[0]) == (True, True)  # type: ignore[index]
        assert dict(opened(data).getexif()) == {}
        assert b"secret" not in data
        assert b"home" not in data


async def test_a_colour_profile_is_not_carried_on(storage: PictureStorage) -> None:
    stored = await storage.save("7", BytesIO(picture("PNG", icc_profile=b"a profile with a name in it")))
    assert b"profile with a name" not in b"".join(await read(storage, stored))


async def test_an_animation_becomes_its_first_picture(storage: PictureStorage) -> None:
    stored = await storage.save("7", BytesIO(animation()))
    large, _ = await read(storage, stored)
    assert getattr(opened(large), "n_frames", 1) == 1


@pytest.mark.parametrize("size", [(2000, 500), (400, 2500), (1, 1), (5, 1000)])
async def test_large_pictures_are_made_smaller(storage: PictureStorage, size: tuple[int, int]) -> None:
    stored = await storage.save("7", BytesIO(picture("PNG", size)))
    large, small = (opened(data) for data in await read(storage, stored))
    assert large.size == (stored.width, stored.height)
    assert max(large.size) == min(max(size), LARGE_SIDE)
    assert max(small.size) == min(max(size), SMALL_SIDE)


PEAK = """
import asyncio, re, sys
from pathlib import Path
from extensions.pictures import PictureStorage

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

async def main(folder, small, large):
    storage = PictureStorage(Path(folder), 10**9)
    await storage.save("7", open(small, "rb"))  # loads whatever is loaded once
    before = peak()
    await asyncio.gather(*(storage.save("7", open(large, "rb")) for _ in range(2)))
    print(peak() - before)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(
    ("format_", "mode", "size", "bytes_per_pixel"),
    [
        ("PNG", "RGBA", (4000, 4000), 10),
        ("WEBP", "RGBA", (4000, 4000), BYTES_PER_PIXEL),
        ("JPEG", "CMYK", (16_000, 1000), 12),
        ("GIF", "P", (4000, 4000), 2),
    ],
)
def test_memory_is_for_one_large_picture_at_a_time(
    tmp_path: Path, format_: str, mode: str, size: tuple[int, int], bytes_per_pixel: int
) -> None:
    """Two at once that are to be turned, each of the most expensive kind of its format."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {} if format_ == "GIF" else {"exif": exif.tobytes(), "progressive": True, "subsampling": 0}
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(encode(Image.new(mode, (100, 100), 7), format_, **options))
    large.write_bytes(encode(Image.new(mode, size, 7), format_, **options))
    command = [sys.executable, "-c", PEAK, *map(str, (tmp_path / "stored", small, large))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < bytes_per_pixel * size[0] * size[1] + AROUND


async def test_the_same_picture_has_the_same_name(storage: PictureStorage, tmp_path: Path) -> None:
    first = await storage.save("7", BytesIO(picture()))
    assert await storage.save("7", BytesIO(picture())) == first
    assert (await storage.save("7", BytesIO(picture(size=(61, 40))))).name != first.name
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a",
        b"\xff\xd8\xff\xe0",
        b"%PDF-1.7",
        encode(Image.new("RGB", (9, 9)), "BMP"),
        encode(Image.new("RGB", (9, 9)), "TIFF"),
        encode(Image.new("RGB", (9, 9)), "ICO"),
        claimed_png(50, 50),
        claimed_png(0, 50),
        picture("PNG", (300, 300))[:100],
        picture("WEBP", (300, 300))[:60],
        picture("JPEG", (300, 300))[:500],
    ],
    ids=range(14),
)
async def test_what_is_no_picture(storage: PictureStorage, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        await storage.save("7", BytesIO(data))
    assert type(caught.value) is PictureError
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "data",
    [
        picture("PNG", (1001, 1000)),
        picture("GIF", (1001, 1000)),
        claimed_png(1001, 1000),
        claimed_png(40_000, 40_000),
        claimed_png(2**31 - 1, 2**31 - 1),
    ],
    ids=range(5),
)
async def test_too_many_pixels(storage: PictureStorage, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PictureTooLargeError):
        await storage.save("7", BytesIO(data))
    assert files(tmp_path) == []


async def test_as_many_pixels_as_allowed(storage: PictureStorage) -> None:
    await storage.save("7", BytesIO(picture("PNG", (1000, 1000))))


@settings(max_examples=40)
@given(format_=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), data=st.data())
def test_a_damaged_picture_is_read_or_refused(storage: PictureStorage, format_: str, data: st.DataObject) -> None:
    damaged = bytearray(picture(format_, (40, 40)))
    for position, byte in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)))):
        damaged[position] = byte
    with contextlib.suppress(PictureError):
        run(storage.save("7", BytesIO(bytes(damaged))))


async def test_delete(storage: PictureStorage, tmp_path: Path) -> None:
    first = await storage.save("7", BytesIO(picture()))
    second = await storage.save("7", BytesIO(picture(size=(61, 40))))
    other = await storage.save("8", BytesIO(picture()))
    await storage.delete("7", first.name)
    await storage.delete("7", first.name)
    assert files(tmp_path / "7") == sorted([second.name, second.small_name])
    await storage.delete_owner("7")
    await storage.delete_owner("7")
    assert files(tmp_path) == sorted([other.name, other.small_name])
    assert storage.path("7", second.name) is None
