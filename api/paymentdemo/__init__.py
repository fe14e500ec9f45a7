"""A simulated payment gateway: charges, refunds and signed webhooks, as in a payment provider's test mode."""

from fastapi import APIRouter

from api.paymentdemo.charges import charges
from api.paymentdemo.jobs import open_gateway_jobs
from extensions.database import open_database
from extensions.http_client import open_http_client

requires = (open_database, open_http_client, open_gateway_jobs)

router = APIRouter(prefix="/paymentdemo")
router.include_router(charges.router)
