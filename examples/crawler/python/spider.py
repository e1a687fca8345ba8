"""Takes items from a Redis list, one every few seconds, until told to stop."""

import os
import signal
import socket
import threading

import redis

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

name = f"{socket.gethostname()}/{os.environ.get('VERSION', '?')}"
pause = float(os.environ.get("PAUSE", "2"))
queue = redis.Redis(
    host=os.environ.get("REDIS_HOST", "127.0.0.1"),
    port=int(os.environ.get("REDIS_PORT", "6379")),
    password=os.environ.get("REDIS_PASSWORD"),
    decode_responses=True,
)

print(f"{name} starts")
while not stop.is_set():
    try:
        item = queue.lpop("todo")
        if item is not None:
            print(f"{name} works on {item}")
            queue.rpush("done", item)
    except redis.ConnectionError as error:
        print(f"{name} cannot reach redis: {error}")
    stop.wait(pause)
print(f"{name} stops")
