#!/usr/bin/env python3
"""Pointsman between the client and the server of grpcio, the most used implementation of gRPC.

  POINTSMAN=PATH tests/real/calls.py

Prints what it does; exits 0 when all of it held and 1 with a reason when not. It needs `grpcio`
(tests/real/run installs it) and ends what it starts.
"""

import os
import queue
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent import futures

import grpc

LIMIT = 15
SERVICE = "test.Probe"
WHY = "größer als 100 %\n"


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def check(what, seen, wanted):
    if seen != wanted:
        raise AssertionError(f"{what}: {seen!r} instead of {wanted!r}")


# ---- the server ------------------------------------------------------------------------------------


def unary(message, context):
    asked = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-told", asked.get("x-ask", "")),))
    context.set_trailing_metadata((("x-told-bin", asked.get("x-ask-bin", b"")),))
    return message


def fail(message, context):
    context.abort(grpc.StatusCode[message.decode()], WHY)


def hang(message, context):
    gone = queue.Queue()
    context.add_callback(lambda: gone.put(None))
    yield message
    gone.get(timeout=LIMIT)


def echo(messages, context):
    yield from messages


def serve(name):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Hang": grpc.unary_stream_rpc_method_handler(hang),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
    }
    handler = grpc.method_handlers_generic_handler(SERVICE, methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"  server {name} on port {port}")
    return server, port


# ---- pointsman -------------------------------------------------------------------------------------

CONFIG = """
apiVersion: pointsman.dev/v1
listeners: [{{name: web, address: "127.0.0.1:{web}"}}]
control: {{address: "127.0.0.1:{control}"}}
routes:
  - name: probe
    rules:
      - name: everyone
        matches: [{{path: {{prefix: /test.Probe}}}}]
        split: [{{backend: app}}]
backends: [{{name: app, endpoints: ["127.0.0.1:{app}"], protocol: h2c}}]
"""


def get(url):
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        return answer.read().decode()


def start(directory, **ports):
    config = os.path.join(directory, "pointsman.yaml")
    with open(config, "w") as file:
        file.write(CONFIG.format(**ports))
    command = [os.environ["POINTSMAN"], "run", "-c", config, "--workers", "1"]
    process = subprocess.Popen(command + ["--state-dir", os.path.join(directory, "state")])
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            get(f"http://127.0.0.1:{ports['control']}/readyz")
            return process
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                stop(process)
                raise AssertionError("pointsman does not get ready")
            time.sleep(0.1)


def stop(process):
    """Ends it at once: nothing runs that is worth a drain. The port is free afterwards."""
    process.kill()
    process.wait()


# ---- the client ------------------------------------------------------------------------------------


def a_unary_call_with_metadata(channel):
    call = channel.unary_unary(f"/{SERVICE}/Unary")
    metadata = (("x-ask", "text"), ("x-ask-bin", bytes(range(256))))
    answer, about = call.with_call(b"hello", metadata=metadata, timeout=LIMIT)
    check("the message", answer, b"hello")
    check("text", dict(about.initial_metadata())["x-told"], "text")
    check("bytes", dict(about.trailing_metadata())["x-told-bin"], bytes(range(256)))
    large = os.urandom(3 << 20)
    check("3 MiB", call(large, timeout=LIMIT) == large, True)


def both_stream_in_turns(channel):
    questions = queue.Queue()
    answers = channel.stream_stream(f"/{SERVICE}/Echo")(iter(questions.get, None), timeout=LIMIT)
    for number in range(50):
        message = str(number).encode()
        questions.put(message)  # and nothing more before the answer has come
        check("the answer in turn", next(answers), message)
    questions.put(None)
    check("what follows", list(answers), [])
    check("how it ends", answers.code(), grpc.StatusCode.OK)


def failed(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call should have failed")


def a_status_comes_as_it_was_sent(channel):
    call = channel.unary_unary(f"/{SERVICE}/Fail")
    for code in ["NOT_FOUND", "INTERNAL", "UNAUTHENTICATED"]:
        seen = failed(lambda: call(code.encode(), timeout=LIMIT))
        check(code, seen, (grpc.StatusCode[code], WHY))


def a_deadline_ends_a_stream(channel):
    answers = channel.unary_stream(f"/{SERVICE}/Hang")(b"x", timeout=0.3)
    check("the first message", next(answers), b"x")
    seen, _ = failed(lambda: next(answers))
    check("the end", seen, grpc.StatusCode.DEADLINE_EXCEEDED)


def no_route_and_no_server(channel, server):
    seen = failed(lambda: channel.unary_unary("/test.Other/Unary")(b"", timeout=LIMIT))
    why = "no_route: no route matches this request"
    check("no route", seen, (grpc.StatusCode.UNIMPLEMENTED, why))
    server.stop(0).wait(LIMIT)
    call = channel.unary_unary(f"/{SERVICE}/Unary")
    seen = failed(lambda: call(b"", timeout=LIMIT))
    why = "connect: the backend cannot be reached"
    check("no server", seen, (grpc.StatusCode.UNAVAILABLE, why))


def the_numbers(control):
    wanted = {"OK": 3}
    for status in ["NOT_FOUND", "INTERNAL", "UNAUTHENTICATED", "DEADLINE_EXCEEDED", "UNAVAILABLE"]:
        wanted[status] = 1
    series = 'pointsman_grpc_requests_total{route="probe",rule="everyone",backend="app",grpc_status='
    lines = [f'{series}"{status}"}} {count}' for status, count in wanted.items()]
    deadline = time.monotonic() + LIMIT
    missing = lines
    while missing and time.monotonic() < deadline:
        seen = get(f"http://127.0.0.1:{control}/metrics").splitlines()
        missing = [line for line in lines if line not in seen]
        time.sleep(0.1)
    check("missing in /metrics", missing, [])


def main():
    server, app = serve("app")
    web, control = free_ports(2)
    with tempfile.TemporaryDirectory() as directory:
        process = start(directory, web=web, control=control, app=app)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{web}") as channel:
                for step in [
                    a_unary_call_with_metadata,
                    both_stream_in_turns,
                    a_status_comes_as_it_was_sent,
                    a_deadline_ends_a_stream,
                ]:
                    print(f"  {step.__name__.replace('_', ' ')}", flush=True)
                    step(channel)
                no_route_and_no_server(channel, server)
            the_numbers(control)
        finally:
            stop(process)
            server.stop(0)
    print(f"  grpcio {grpc.__version__}: all good")


try:
    main()
except (AssertionError, OSError, grpc.RpcError, queue.Empty) as problem:
    sys.exit(f"FAILED: {problem}")
