"""What several tests need, beside the fixtures of `tests/conftest.py`."""
