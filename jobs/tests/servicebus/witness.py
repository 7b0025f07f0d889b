"""Microsoft's own client of Service Bus against the stand-in: what the adapter's tests rest on holds for it, too.

Takes the port and LOCK_MS. Prints a line for each thing that it saw; whoever runs it compares them.
"""

import sys
import time
from datetime import datetime, timedelta, timezone

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusAuthenticationError, ServiceBusError

PORT, LOCK = sys.argv[1], int(sys.argv[2]) / 1000
QUEUE = "jobs-witness"


def connection(key="c2VjcmV0"):
    return f"Endpoint=sb://127.0.0.1:{PORT};SharedAccessKeyName=jobs;SharedAccessKey={key};UseDevelopmentEmulator=true;"


def one(receiver, wait=5):
    return receiver.receive_messages(max_message_count=1, max_wait_time=wait)


with ServiceBusClient.from_connection_string(connection("d3Jvbmc="), retry_total=0) as client:
    try:
        with client.get_queue_sender(QUEUE) as sender:
            sender.send_messages(ServiceBusMessage(b"x"))
        print("wrong key taken")
    except (ServiceBusAuthenticationError, ServiceBusError):
        print("wrong key refused")

with ServiceBusClient.from_connection_string(connection(), retry_total=0) as client:
    with client.get_queue_sender(QUEUE) as sender, client.get_queue_receiver(QUEUE) as receiver:
        sender.send_messages(ServiceBusMessage(b'{"job":1}', message_id="first"))
        got = one(receiver)[0]
        print("peeked", got.message_id, got.delivery_count)
        before = got.locked_until_utc
        time.sleep(LOCK * 0.6)
        print("renewed", receiver.renew_message_lock(got) > before)
        time.sleep(LOCK * 0.6)
        receiver.abandon_message(got)
        got = one(receiver)[0]
        print("abandoned", got.message_id, got.delivery_count)
        receiver.complete_message(got)
        print("completed", len(one(receiver, 1)))

        sender.send_messages(ServiceBusMessage(b"poison", message_id="poison"))
        receiver.dead_letter_message(one(receiver)[0], reason="definition_error", error_description="It is dead.")
        with client.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            got = one(dead)[0]
            print("dead", got.message_id, got.dead_letter_reason, got.dead_letter_error_description)
            dead.complete_message(got)

        sender.send_messages(ServiceBusMessage(b"slow", message_id="slow"))
        got = one(receiver)[0]
        time.sleep(LOCK * 1.5)
        # The client would refuse by its own clock; here the broker is to be asked.
        got._expiry = datetime.now(timezone.utc) + timedelta(minutes=1)
        try:
            receiver.complete_message(got)
            print("late completion taken")
        except MessageLockLostError:
            print("late completion refused: lock lost")
        got._expiry = datetime.now(timezone.utc) + timedelta(minutes=1)
        try:
            receiver.renew_message_lock(got)
            print("late renewal taken")
        except MessageLockLostError:
            print("late renewal refused: lock lost")
        got = one(receiver)[0]
        print("redelivered", got.message_id, got.delivery_count)
        receiver.complete_message(got)

        at = datetime.now(timezone.utc) + timedelta(seconds=2)
        later = ServiceBusMessage(b"later", message_id="later", scheduled_enqueue_time_utc=at)
        sender.send_messages(later)
        print("scheduled: not yet", len(one(receiver, 1)))
        got = one(receiver)[0]
        print("scheduled: then", got.message_id)
        receiver.complete_message(got)
