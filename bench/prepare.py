from bench.databases import Database


def prepare(database: Database, goods: int) -> None: ...
