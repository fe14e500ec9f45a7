"""Pictures that tests upload, and files that only claim to be some."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)
ORIENTATION = 0x0112
GPS = 0x8825


def picture(format_: str = "PNG", size: tuple[int, int] = (60, 40), colour: Any = RED, **options: Any) -> bytes:
    """One colour everywhere."""
    return encode(Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour), format_, **options)


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def lying_photograph() -> bytes:
    """A JPEG of 60 × 40 that is red on the left, and by its EXIF data to be turned clockwise: red on top."""
    image = Image.new("RGB", (60, 40), BLUE)
    image.paste(RED, (0, 0, 30, 40))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "taken at home"
    exif.get_ifd(GPS)[1] = "N"
    return encode(image, "JPEG", exif=exif.tobytes(), comment=b"a secret comment", quality=95)


def animation() -> bytes:
    first, second = Image.new("RGB", (20, 20), RED), Image.new("RGB", (20, 20), GREEN)
    return encode(first, "GIF", save_all=True, append_images=[second])


def claimed_png(width: int, height: int) -> bytes:
    """A few bytes that say they are a large PNG."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image
