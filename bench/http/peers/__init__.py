"""One module for each way to build the same service; each offers `make_app()`."""
