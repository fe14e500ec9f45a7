"""This service beside its peers over HTTP, in one run on one machine: `python -m bench.http`."""
