"""What is counted in the chat."""

from api.websocketdemo.errors import NotStored
from extensions.metrics import counter, gauge
from utils.custom_exc import NotReady

listeners = gauge("chat_listeners", "Who listens to a room: sockets, and event streams.")
rooms = gauge("chat_rooms", "Rooms that are open.")
queue_bytes = gauge("chat_queue_bytes", "What waits to be sent to clients.")
stored = counter("chat_messages_stored", "Messages that were stored.")
delivered = counter("chat_messages_delivered", "Messages handed to a listener, once for each.")
refused = counter("chat_refusals", "Entries and messages that were refused, by the code of the error.", ("code",))
too_slow = counter("chat_slow_clients_closed", "Clients that were closed because too much waited for them (1013).")

for outage in (NotReady, NotStored):
    refused.labels(outage.code)  # there from the start: Prometheus sees no increase in a series that begins with it
