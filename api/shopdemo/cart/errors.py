"""What can go wrong with carts."""

from utils.custom_exc import Conflict


class CartFull(Conflict):
    """The cart has as many kinds of goods as it may."""

    code = 40906
    message = "The cart has as many kinds of goods as it may have; take something out first."
