"""What is asked of the shop, and the whole answers that must come back."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.catalogue import LEAVES, Sample, sample
from bench.http.load import CONNECTIONS

GOODS = 100_000
SIZE = 20
SHELF_SIZE = 10
NUMBERED_PAGES = 500
NEW = {
    "sku": "SKU",
    "name": "新茶杯 new cup",
    "description": "A cup that a benchmark made.",
    "category": LEAVES[0],
    "price": "19.90",
    "stock": 7,
}


@dataclass(frozen=True)
class Case:
    """One thing asked; `again` asks the same all the time, otherwise every request asks another thing."""

    name: str
    kind: str
    again: bool = False
    connections: int = CONNECTIONS

    def questions(self, cursor_before: Callable[[int], str]) -> list["Question"]:
        """In an order that looks random and is not; `cursor_before(n)` stands for the goods older than number n."""
        last = GOODS + 1
        if self.kind == "get":
            asked = [Question(f"/shopdemo/goods/{number}", number) for number in range(1, last)]
        elif self.kind == "page":
            path = f"/shopdemo/goods?size={SIZE}&cursor="
            asked = [Question(path + cursor_before(number), number - 1) for number in range(SIZE + 1, last)]
        elif self.kind == "numbered":
            path = f"/shopdemo/goods?size={SIZE}&page="
            asked = [Question(f"{path}{page + 1}", GOODS - page * SIZE) for page in range(NUMBERED_PAGES)]
        else:
            return [Question("/shopdemo/home" if self.kind == "home" else "/shopdemo/goods", GOODS)]
        random.Random(1).shuffle(asked)
        return asked[:1] if self.again else asked


@dataclass(frozen=True)
class Question:
    """A path, and the number of the first good that must be in the answer."""

    path: str
    number: int


CASES = (
    Case("get one", "get"),
    Case("get again", "get", again=True),
    Case("page", "page"),
    Case("page again", "page", again=True),
    Case("page + total", "numbered"),
    Case("home", "home", again=True, connections=2),  # some peers answer so slowly that 16 would wait for seconds
    Case("create", "create"),
)


def same_goods(seen: Mapping[str, Any], number: int) -> None:
    """Compare one answered good with good number n of the catalogue."""
    wanted = sample(number).public()
    if {name: seen.get(name) for name in wanted} != wanted or not seen["created_at"] or seen["pictures"] != []:
        raise ValueError(f"good {number} is {wanted}, answered {seen}")


def check(kind: str, question: Question, data: Any) -> None:
    """Compare an answer's data with what the catalogue says."""
    if kind == "get":
        same_goods(data, question.number)
    elif kind in {"page", "numbered"}:
        if len(data["items"]) != SIZE or (kind == "numbered") != bool(data["total"]):
            raise ValueError(f"{question.path}: {len(data['items'])} items, total {data['total']}")
        for place, seen in enumerate(data["items"]):
            same_goods(seen, question.number - place)
    elif kind == "home":
        check_home(data)
    elif any(data[name] != value for name, value in NEW.items() if name != "sku"):
        raise ValueError(f"created {data}")


def check_home(data: Any) -> None:
    """The shelves of the front page are the right ones, and its categories count every good once."""
    shelves = home_shelves()
    for name, numbers in shelves.items():
        if [seen["id"] for seen in data[name]] != numbers:
            raise ValueError(f"{name} is {numbers}, answered {data[name]}")
        for seen in data[name]:
            same_goods(seen, seen["id"])
    if sum(top["goods_count"] for top in data["categories"]) != GOODS:
        raise ValueError(f"categories {data['categories']}")


@cache
def home_shelves() -> dict[str, list[int]]:
    """The numbers of the goods on the front page."""
    ranked = sorted((sample(number) for number in range(1, GOODS + 1)), key=lambda good: (-good.sales, -good.id))
    leaders: dict[str, Sample] = {}
    for good in ranked:
        if good.stock:
            leaders.setdefault(good.category.partition("-")[0], good)
    return {
        "newest": list(range(GOODS, GOODS - SHELF_SIZE, -1)),
        "best_selling": [good.id for good in ranked[:SHELF_SIZE]],
        "recommended": [good.id for good in leaders.values()][:SHELF_SIZE],
    }


def new_goods_body() -> str:
    return json.dumps(NEW, ensure_ascii=False)
