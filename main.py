"""`main:app` for servers, `python main.py …` for people."""

if __name__ == "__main__":
    import signal

    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until what follows can take it
    from commands import cli

    cli(prog_name="python main.py")
elif __name__ != "__mp_main__":  # a spawned process imports this file under that name too
    import gc

    from api import create_app
    from extensions.logger import configure_logging
    from settings import get_settings

    configure_logging(get_settings())
    app = create_app(get_settings())
    # What lives as long as the process need not be looked at by every full collection: that takes tens of ms.
    gc.collect()
    gc.freeze()
