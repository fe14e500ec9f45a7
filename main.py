"""`main:app` for servers, `python main.py …` for people."""

if __name__ == "__main__":
    from commands import cli

    cli(prog_name="python main.py")
else:
    import gc

    from api import create_app
    from extensions.logger import configure_logging
    from settings import get_settings

    configure_logging(get_settings())
    app = create_app(get_settings())
    # What lives as long as the process need not be looked at by every full collection: that takes tens of ms.
    gc.collect()
    gc.freeze()
