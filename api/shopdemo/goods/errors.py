"""What can go wrong with goods."""

from utils.custom_exc import Conflict, ContentTooLarge, NotFound, UnsupportedMediaType, ValidationFailed


class GoodsNotFound(NotFound):
    """No goods have this id."""

    code = 40401
    message = "There are no goods with this id."


class PictureNotFound(NotFound):
    """The goods have no such picture."""

    code = 40402
    message = "The goods have no such picture."


class GoodsSkuTaken(Conflict):
    """Other goods have this SKU already."""

    code = 40901
    message = "Other goods have this SKU already; choose another one."


class TooManyPictures(Conflict):
    """The goods have as many pictures as they may."""

    code = 40902
    message = "The goods have as many pictures as they may have."


class PictureTooLarge(ContentTooLarge):
    """The file or the picture in it is larger than allowed."""

    code = 41301
    message = "The picture is too large."


class NotAPicture(UnsupportedMediaType):
    """The file's content is none of the supported picture formats, whatever its name says."""

    code = 41501
    message = "The file is not a picture we can read: send JPEG, PNG, WebP or GIF."


class CategoryUnknown(ValidationFailed):
    """There is no category with this slug."""

    code = 42201
    message = "There is no category with this slug; GET /shopdemo/categories lists them."


class CursorInvalid(ValidationFailed):
    """The cursor is not one of ours, or belongs to another order."""

    code = 42202
    message = "The cursor is not valid for this list; start again with an empty cursor."


class PageTooDeep(ValidationFailed):
    """Numbered pages end where counting ends."""

    code = 42203
    message = "Numbered pages do not reach that far; use cursor= for an endless list."


class ImportRejected(ValidationFailed):
    """Nothing was imported; `data.errors` says which lines are wrong, and why."""

    code = 42204
    message = "Nothing was imported: some lines are wrong; data.errors says which."
