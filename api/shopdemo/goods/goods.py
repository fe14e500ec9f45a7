"""The routes of goods."""

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse

from api.shopdemo.goods.dependencies import (
    AdministrationDep,
    AsAdministrator,
    CatalogueDep,
    GoodsId,
    IfMatch,
    ImporterDep,
    PicturesDep,
)
from api.shopdemo.goods.errors import (
    CategoryUnknown,
    CursorInvalid,
    GoodsNotFound,
    GoodsSkuTaken,
    ImportRejected,
    NotAPicture,
    PageTooDeep,
    PictureNotFound,
    PictureTooLarge,
    TooManyPictures,
)
from api.shopdemo.goods.transfer import ExportFormat, OnConflict, begin, write_export
from api.shopdemo.schemas import Goods, GoodsCreate, GoodsPage, GoodsQuery, GoodsUpdate, ImportResult, Picture
from utils.custom_exc import (
    BadRequest,
    Forbidden,
    NotAuthenticated,
    NotReady,
    PreconditionFailed,
    PreconditionRequired,
    RangeNotSatisfiable,
    errors,
)
from utils.response_code import document_headers, document_not_modified
from utils.routing import EnvelopeRoute, cached

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_UPLOAD_BYTES = MAX_FILE_BYTES + 16 * 1024  # and what multipart/form-data has around a file, its name above all

PICTURE_CACHE = "public, max-age=31536000, immutable"  # a picture's name follows from its content

router = APIRouter(prefix="/goods", tags=["goods"], route_class=EnvelopeRoute)

PictureName = Annotated[str, Path(pattern=r"^[0-9a-f]{24}(_small)?\.webp$")]
WRITE_ERRORS = (NotAuthenticated, Forbidden, NotReady)
CHANGE_ERRORS = (
    *WRITE_ERRORS, GoodsNotFound, GoodsSkuTaken, CategoryUnknown, PreconditionFailed, PreconditionRequired,
)  # fmt: skip
TAGGED = document_headers(200, "ETag")
CREATED = document_headers(201, "Location", "ETag")


@router.get("", responses=errors(NotReady, CategoryUnknown, CursorInvalid, PageTooDeep))
@cached
async def list_goods(query: Annotated[GoodsQuery, Query()], catalogue: CatalogueDep) -> GoodsPage:
    """Goods, filtered and sorted: a numbered page with its total, or an endless list by cursor.

    `total` is exact up to 10,000, in a search or a list by stock up to 1,000; the limit itself means that many or more.
    """
    return await catalogue.list(query)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/csv": {}, "application/jsonl": {}},
            "description": "One line for each goods.",
            **document_headers(200, "Content-Disposition")[200],
        },
        **errors(NotReady),
    },
)
async def export_goods(catalogue: CatalogueDep, format: ExportFormat = "csv") -> StreamingResponse:  # noqa: A002
    """The whole catalogue, streamed; the columns are those that an import takes."""
    media_type = "text/csv; charset=utf-8" if format == "csv" else "application/jsonl"
    headers = {"Content-Disposition": f'attachment; filename="goods.{format}"'}
    return StreamingResponse(
        write_export(await begin(catalogue.everything()), format), headers=headers, media_type=media_type
    )


@router.post(
    "/import",
    dependencies=[AsAdministrator],
    responses=errors(*WRITE_ERRORS, GoodsSkuTaken, ImportRejected),
    max_body_size=MAX_UPLOAD_BYTES,
    form_limits={"max_files": 1, "max_fields": 1},
)
async def import_goods(file: UploadFile, importer: ImporterDep, on_conflict: OnConflict = "reject") -> ImportResult:
    """Read a CSV file into the catalogue: every line of it or none. UTF-8, at most 10,000 lines and 10 MiB."""
    return await importer.run(file.file, on_conflict)


@router.get("/{goods_id}", responses=errors(NotReady, GoodsNotFound))
@cached
async def get_goods(goods_id: GoodsId, catalogue: CatalogueDep, response: Response) -> Goods:
    """One by id. The ETag is what a change of it needs in If-Match."""
    return _tagged(await catalogue.get(goods_id), response)


@router.post(
    "",
    status_code=201,
    dependencies=[AsAdministrator],
    responses={**CREATED, **errors(*WRITE_ERRORS, GoodsSkuTaken, CategoryUnknown)},
)
async def create_goods(goods: GoodsCreate, administration: AdministrationDep, response: Response) -> Goods:
    """Add goods to the catalogue."""
    created = await administration.create(goods)
    response.headers["Location"] = f"/shopdemo/goods/{created.id}"
    return _tagged(created, response)


@router.put(
    "/{goods_id}",
    dependencies=[AsAdministrator],
    responses={**TAGGED, **errors(*CHANGE_ERRORS)},
)
async def replace_goods(
    goods_id: GoodsId,
    goods: GoodsCreate,
    administration: AdministrationDep,
    response: Response,
    if_match: IfMatch = None,
) -> Goods:
    """Give goods all new values."""
    return _tagged(await administration.replace(goods_id, goods, if_match), response)


@router.patch(
    "/{goods_id}",
    dependencies=[AsAdministrator],
    responses={**TAGGED, **errors(*CHANGE_ERRORS)},
)
async def update_goods(
    goods_id: GoodsId,
    change: GoodsUpdate,
    administration: AdministrationDep,
    response: Response,
    if_match: IfMatch = None,
) -> Goods:
    """Change some values of goods."""
    return _tagged(await administration.update(goods_id, change, if_match), response)


@router.delete(
    "/{goods_id}",
    status_code=204,
    response_class=Response,
    dependencies=[AsAdministrator],
    responses=errors(*WRITE_ERRORS, GoodsNotFound, PreconditionFailed),
)
async def delete_goods(
    goods_id: GoodsId,
    administration: AdministrationDep,
    pictures: PicturesDep,
    tasks: BackgroundTasks,
    if_match: IfMatch = None,
) -> None:
    """Take goods out of the catalogue, with their pictures."""
    await administration.delete(goods_id, if_match)
    tasks.add_task(pictures.remove_files, goods_id)


@router.post(
    "/{goods_id}/pictures",
    status_code=201,
    dependencies=[AsAdministrator],
    responses={
        **document_headers(201, "Location"),
        **errors(*WRITE_ERRORS, GoodsNotFound, TooManyPictures, PictureTooLarge, NotAPicture),
    },
    max_body_size=MAX_UPLOAD_BYTES,
    form_limits={"max_files": 1, "max_fields": 1},
)
async def add_picture(goods_id: GoodsId, file: UploadFile, pictures: PicturesDep, response: Response) -> Picture:
    """Add a picture: JPEG, PNG, WebP or GIF, known by its content, at most 10 MiB.

    It is written anew, without its metadata.
    """
    picture = await pictures.add(goods_id, file.file)
    response.headers["Location"] = picture.url
    return picture


@router.get(
    "/{goods_id}/pictures/{name}",
    response_class=FileResponse,
    responses={
        200: {
            "content": {"image/webp": {}},
            "description": "The picture.",
            **document_headers(200, "ETag", "Cache-Control")[200],
        },
        206: {
            "content": {"image/webp": {}, "multipart/byteranges": {}},
            "description": "The part, or the parts, that Range names.",
            **document_headers(206, "ETag", "Cache-Control", "Content-Range")[206],
        },
        **document_not_modified("ETag", "Cache-Control"),
        **errors(BadRequest, PictureNotFound),
        416: {**errors(RangeNotSatisfiable)[416], **document_headers(416, "Content-Range")[416]},
    },
)
async def show_picture(goods_id: GoodsId, name: PictureName, request: Request) -> FileResponse:
    """A picture or, with `_small` in its name, its thumbnail."""
    path: FilePath | None = request.app.state.pictures.path(str(goods_id), name)
    if path is None:
        raise PictureNotFound
    return FileResponse(path, media_type="image/webp", headers={"Cache-Control": PICTURE_CACHE})


@router.delete(
    "/{goods_id}/pictures/{name}",
    status_code=204,
    response_class=Response,
    dependencies=[AsAdministrator],
    responses=errors(*WRITE_ERRORS, GoodsNotFound, PictureNotFound),
)
async def delete_picture(goods_id: GoodsId, name: PictureName, pictures: PicturesDep) -> None:
    """Take a picture away."""
    await pictures.remove(goods_id, name)


def _tagged(goods: Goods, response: Response) -> Goods:
    response.headers["ETag"] = goods.etag
    return goods
