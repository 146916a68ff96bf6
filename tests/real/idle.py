#!/usr/bin/env python3
"""What does an idle client connection cost? Resident memory with and without many of them.

  tests/real/idle.py [--connections N] [--kib-max K]
  POINTSMAN=PATH tests/real/idle.py      PATH: target/release/pointsman if not said, built if need be

Opens N keep-alive connections (10,000), makes a request on each, waits until Pointsman has let go of
their buffers, and divides what it has grown by. Fails above K KiB a connection (8), when a request is
not answered, and when a connection does not carry a second request at the end.
"""

import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CONFIG = """\
apiVersion: pointsman.dev/v1
listeners: [{{name: web, address: "127.0.0.1:{port}"}}]
control: {{address: "127.0.0.1:{control}"}}
accessLog: off
routes: [{{name: app, rules: [{{name: all, split: [{{backend: app, weight: 1}}]}}]}}]
backends: [{{name: app, endpoints: ["127.0.0.1:{origin}"]}}]
"""
REQUEST = b"GET / HTTP/1.1\r\nhost: idle.test\r\nuser-agent: idle/1\r\naccept: */*\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
PATIENCE = 20


def fail(why):
    print(f"FAILED: {why}", file=sys.stderr)
    sys.exit(1)


def serve(listener):
    """Answers every request of every connection; a head is one packet here."""

    def one(connection):
        with connection:
            while connection.recv(65536):
                connection.sendall(ANSWER)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def ask(connection):
    connection.sendall(REQUEST)
    seen = b""
    while not seen.endswith(b"\r\n\r\nok"):
        piece = connection.recv(65536)
        if not piece:
            fail(f"a connection was closed after {seen!r}")
        seen += piece
    if not seen.startswith(b"HTTP/1.1 200 "):
        fail(f"not answered: {seen!r}")


def connect(port):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            return connection
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                fail("Pointsman does not listen")
            time.sleep(0.05)


def settled(pid):
    """Resident memory once it has not moved for two seconds."""
    deadline = time.monotonic() + PATIENCE
    seen = [rss_kib(pid)]
    while time.monotonic() < deadline:
        time.sleep(1)
        seen.append(rss_kib(pid))
        if len(seen) >= 3 and max(seen[-3:]) - min(seen[-3:]) < 64:
            break
    return seen[-1]


def measure(pid, port, count):
    for _ in range(200):  # whatever is made at the first use
        with connect(port) as connection:
            ask(connection)
    before = settled(pid)
    connections = []
    for _ in range(count):
        connections.append(connect(port))
        ask(connections[-1])
    after = settled(pid)
    for connection in connections[:: max(1, count // 500)]:
        ask(connection)
    for connection in connections:
        connection.close()
    return before, after


def program():
    path = os.environ.get("POINTSMAN", "")
    if not path:
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], check=True)
        path = "target/release/pointsman"
    return path if os.access(path, os.X_OK) else fail(f"no program at {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--kib-max", type=float, default=8.0)
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.connections + 200:
        fail(f"only {hard} descriptors are allowed (ulimit -n)")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    port, control = free_ports(2)
    work = tempfile.mkdtemp(prefix="pointsman-idle.")
    with open(f"{work}/idle.yaml", "w", encoding="ascii") as file:
        file.write(CONFIG.format(port=port, control=control, origin=listener.getsockname()[1]))
    argv = [program(), "run", "-c", f"{work}/idle.yaml", "--workers", "1", "--state-dir", f"{work}/state"]
    with open(f"{work}/log", "w", encoding="ascii") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        before, after = measure(process.pid, port, options.connections)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE)
        shutil.rmtree(work)
    each = (after - before) / options.connections
    print(f"{options.connections} idle connections: {before} -> {after} KiB, {each:.2f} KiB each (at most {options.kib_max:g})")
    if each > options.kib_max:
        fail("an idle connection takes too much")


if __name__ == "__main__":
    main()
