"""Drive each proxy in turn with wrk and say what a request costs it.

Why it is built like this: a small shared machine drifts from minute to minute, so absolute numbers
of two runs cannot be compared. All proxies are started once, stay up, and take turns in every round
(the order rotates); what is judged is the *paired* ratio inside one round. The cost is CPU time of
the proxy's whole process tree divided by the requests wrk counted: that number hardly moves when a
neighbour steals the core, requests per second do.

Every proxy does the same work, and this script refuses to measure one that does not: one worker on
one core, keep-alive pools to both origins, a 90/10 split, five headers added (X-Forwarded-For,
-Proto, -Host, Via, X-Request-Id), metrics on where it has them, no access log.
"""

import argparse
import collections
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CONNECTIONS = 64
ADDED_HEADERS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via", "x-request-id")
SPLIT_SAMPLE = 400
DEFAULT_PROXIES = "nginx,nginx+log,haproxy,envoy,pointsman"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# What wrk sends. `path` picks the origin's answer, `lua` changes the request.
SCENARIOS = {
    "small": {"path": "/", "lua": "", "about": "small JSON answer, keep-alive"},
    "large": {"path": "/large", "lua": "", "about": "64 KiB answer, keep-alive"},
    "post": {
        "path": "/",
        "lua": 'wrk.method = "POST"; wrk.body = string.rep("x", 4096);'
        ' wrk.headers["Content-Type"] = "application/octet-stream"',
        "about": "4 KiB request body, small answer, keep-alive",
    },
    "post16k": {
        "path": "/",
        "lua": 'wrk.method = "POST"; wrk.body = string.rep("x", 16384);'
        ' wrk.headers["Content-Type"] = "application/octet-stream"',
        "about": "16 KiB request body, small answer, keep-alive",
    },
    "close": {
        "path": "/",
        "lua": 'wrk.headers["Connection"] = "close"',
        "about": "small JSON answer, a new client connection for each request",
    },
}

DONE_LUA = """
done = function(summary, latency, requests)
  io.write(string.format(
    '\\n#json {"requests":%d,"micros":%d,"status":%d,"connect":%d,"read":%d,"write":%d,' ..
    '"timeout":%d,"p50":%.1f,"p99":%.1f}\\n',
    summary.requests, summary.duration, summary.errors.status, summary.errors.connect,
    summary.errors.read, summary.errors.write, summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""

ORIGINS = """
daemon off; pid {dir}/origins.pid; error_log {dir}/origins.log warn; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {dir}/origins-body; proxy_temp_path {dir}/origins-proxy;
  fastcgi_temp_path {dir}/origins-f; uwsgi_temp_path {dir}/origins-u; scgi_temp_path {dir}/origins-s;
  sendfile on; tcp_nopush on; default_type application/json;
  {servers}
}}
"""

ORIGIN = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    add_header X-Origin {name};
    location / {{ return 200 '{{"backend":"{name}","version":"6.1.8","message":"greetings"}}'; }}
    location = /large {{ alias {dir}/large; }}
    location = /headers {{
      return 200 '{{"x-forwarded-for":"$http_x_forwarded_for","x-forwarded-proto":"$http_x_forwarded_proto","x-forwarded-host":"$http_x_forwarded_host","via":"$http_via","x-request-id":"$http_x_request_id"}}';
    }}
  }}
"""

NGINX = """
daemon off; pid {dir}/{label}.pid; error_log {dir}/{label}.log warn; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {dir}/nginx-body; proxy_temp_path {dir}/nginx-proxy;
  fastcgi_temp_path {dir}/nginx-f; uwsgi_temp_path {dir}/nginx-u; scgi_temp_path {dir}/nginx-s;
  map $http_x_request_id $kept_request_id {{ default $http_x_request_id; "" $request_id; }}
  upstream web {{
    server 127.0.0.1:{primary} weight=90;
    server 127.0.0.1:{canary} weight=10;
    keepalive 128; keepalive_requests 1000000000; keepalive_timeout 1h;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Via "1.1 nginx";
      proxy_set_header X-Request-Id $kept_request_id;
    }}
    location = /stub_status {{ stub_status; }}
  }}
}}
"""

# nginx counts nothing by upstream; who wants to know how each version does writes it to a log and
# counts there. This is the least that says it: version, status, duration, buffered.
NGINX_LOG = NGINX.replace(
    "access_log off;",
    "log_format versions '$upstream_addr $status $request_time'; "
    "access_log {dir}/versions.log versions buffer=64k flush=1s;",
)

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend web
  bind 127.0.0.1:{port} backlog 4096
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header Via "1.1 haproxy"
  http-request set-header X-Request-Id %[uuid()] unless {{ req.hdr(x-request-id) -m found }}
  default_backend web
backend web
  balance roundrobin
  server primary 127.0.0.1:{primary} weight 90
  server canary 127.0.0.1:{canary} weight 10
frontend metrics
  bind 127.0.0.1:{control}
  http-request use-service prometheus-exporter if {{ path /metrics }}
"""

ENVOY = """
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {control}}}}}}}
static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          use_remote_address: true
          generate_request_id: true
          via: "1.1 envoy"
          route_config:
            virtual_hosts:
            - name: web
              domains: ["*"]
              request_headers_to_add:
              - {{header: {{key: x-forwarded-host, value: "%REQ(:authority)%"}}}}
              routes:
              - match: {{prefix: /}}
                route:
                  weighted_clusters:
                    clusters:
                    - {{name: primary, weight: 90}}
                    - {{name: canary, weight: 10}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
  clusters:
  - name: primary
    connect_timeout: 5s
    load_assignment:
      cluster_name: primary
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {primary}}}}}}}}}]}}]
  - name: canary
    connect_timeout: 5s
    load_assignment:
      cluster_name: canary
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {canary}}}}}}}}}]}}]
"""

POINTSMAN = """
apiVersion: pointsman.dev/v1
listeners:
  - {{name: web, address: "127.0.0.1:{port}"}}
control:
  address: "127.0.0.1:{control}"
accessLog: "off"
routes:
  - name: web
    rules:
      - name: everyone
        matches: [{{path: {{prefix: /}}}}]
        split: [{{backend: primary, weight: 90}}, {{backend: canary, weight: 10}}]
backends:
  - {{name: primary, endpoints: ["127.0.0.1:{primary}"]}}
  - {{name: canary, endpoints: ["127.0.0.1:{canary}"]}}
"""


class Trouble(Exception):
    """Something the reader has to mend; printed without a traceback."""


def free_port(taken=set()):
    """A port nobody listens on. Remembers what it gave out, so that no two peers get the same."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in taken:
            taken.add(port)
            return port


# ---- processes -----------------------------------------------------------------------------------


def stat_fields(pid):
    """The fields of /proc/PID/stat after the command name, which may hold spaces."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def tree(root):
    """`root` and all its descendants."""
    children = collections.defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children[int(stat_fields(entry)[1])].append(int(entry))
            except (OSError, IndexError):
                continue  # ended while we looked
    found, open_list = [], [root]
    while open_list:
        pid = open_list.pop()
        found.append(pid)
        open_list.extend(children[pid])
    return found


def cpu_seconds(root):
    """User and system time of the tree so far; the kernel adds a process's threads up for us."""
    total = 0
    for pid in tree(root):
        try:
            fields = stat_fields(pid)
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_mib(root):
    total = 0
    for pid in tree(root):
        try:
            total += int(stat_fields(pid)[21]) * PAGE
        except OSError:
            continue
    return total / (1 << 20)


class Child:
    """A process of ours, pinned to a core, ended with us."""

    def __init__(self, name, argv, core, folder):
        self.name = name
        self.log = os.path.join(folder, f"{name.replace('/', '_')}.out")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder,
            )
        self.pid = self.process.pid

    def wait_for(self, port, seconds=15):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Trouble(f"{self.name} ended at once:\n{self.tail()}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise Trouble(f"{self.name} does not listen on {port}:\n{self.tail()}")

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def end(self):
        if self.process.poll() is not None:
            return
        pids = tree(self.pid)
        # Twice: a drain ends on the second signal, and nobody here waits for the first.
        for _ in range(2):
            self.process.terminate()
            try:
                self.process.wait(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                continue
        # Descendants that outlived their parent, and the parent if it would not go.
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=5)


# ---- the peers -----------------------------------------------------------------------------------


class Peer:
    """One proxy under test."""

    def __init__(self, label, child, port, version):
        self.label, self.child, self.port, self.version = label, child, port, version


def first_line(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    text = (done.stdout + done.stderr).strip().splitlines()
    # Envoy opens with the path it was started by; a report names no folders.
    return re.sub(r"^/\S+\s+", "envoy ", text[0].strip()) if text else "unknown"


def command_for(kind, binary, config, folder, label):
    """How each proxy is started, and how it is asked for its version."""
    if kind in ("nginx", "nginx+log"):
        return ["nginx", "-p", folder, "-c", config], ["nginx", "-v"]
    if kind == "haproxy":
        return ["haproxy", "-db", "-f", config], ["haproxy", "-v"]
    if kind == "envoy":
        return (
            [binary, "-c", config, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"],
            [binary, "--version"],
        )
    state = os.path.join(folder, f"state-{label}")
    os.makedirs(state, exist_ok=True)
    return (
        [binary, "run", "-c", config, "--workers", "1", "--state-dir", state],
        [binary, "version"],
    )


def start_peer(label, kind, binary, origins, options, folder):
    templates = {"nginx": NGINX, "nginx+log": NGINX_LOG, "haproxy": HAPROXY, "envoy": ENVOY, "pointsman": POINTSMAN}
    template = templates[kind]
    port, control = free_port(), free_port()
    config = os.path.join(folder, f"{label}.conf" if kind in ("nginx", "nginx+log", "haproxy") else f"{label}.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(template.format(dir=folder, label=label, port=port, control=control, **origins))
    argv, version = command_for(kind, binary, config, folder, label)
    child = Child(label, argv, options.proxy_core, folder)
    options.children.append(child)
    child.wait_for(port)
    # What actually ran is what is written down, so ask the very binary.
    return Peer(label, child, port, first_line(version))


def start_origins(options, folder):
    """Two origins, as two ports of one nginx: one worker less to switch to on the load's core."""
    ports = {"primary": free_port(), "canary": free_port()}
    with open(os.path.join(folder, "large"), "wb") as file:
        file.write(b"x" * 65536)
    servers = "".join(ORIGIN.format(port=p, name=n, dir=folder) for n, p in ports.items())
    config = os.path.join(folder, "origins.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(ORIGINS.format(dir=folder, servers=servers))
    child = Child("origins", ["nginx", "-p", folder, "-c", config], options.load_core, folder)
    options.children.append(child)
    for port in ports.values():
        child.wait_for(port)
    return ports


def verify(peer):
    """Refuse to measure a proxy that does less than the others."""
    client = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=5)
    client.request("GET", "/headers")
    answer = client.getresponse()
    seen = json.loads(answer.read())
    absent = [name for name in ADDED_HEADERS if not seen.get(name)]
    if answer.status != 200 or absent:
        raise Trouble(f"{peer.label}: /headers answered {answer.status}, missing: {absent or 'nothing'}")
    counts = collections.Counter()
    for _ in range(SPLIT_SAMPLE):
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        if answer.status != 200:
            raise Trouble(f"{peer.label}: answered {answer.status} while the split was checked")
        counts[answer.headers.get("X-Origin")] += 1
    client.close()
    share = 100 * counts["canary"] / SPLIT_SAMPLE
    # Six sigma of a random split; the exact ones are far inside.
    if set(counts) != {"primary", "canary"} or not 1 <= share <= 19:
        raise Trouble(f"{peer.label}: split is {dict(counts)}, wanted about 90/10")
    print(f"  {peer.label:<14} canary {share:4.1f} %  {peer.version}", file=sys.stderr)


# ---- measuring -----------------------------------------------------------------------------------


def drive(peer, seconds, scenario, options, folder):
    script = os.path.join(folder, f"{scenario}.lua")
    with open(script, "w", encoding="utf-8") as file:
        file.write(SCENARIOS[scenario]["lua"] + "\n" + DONE_LUA)
    argv = [
        "taskset", "-c", str(options.load_core), "wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s",
        "--latency", "-s", script, f"http://127.0.0.1:{peer.port}{SCENARIOS[scenario]['path']}",
    ]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=seconds + 60
    )
    found = re.search(r"^#json (.*)$", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise Trouble(f"wrk failed on {peer.label}:\n{done.stdout}{done.stderr}")
    return json.loads(found.group(1))


def measure(peer, scenario, options, folder):
    """One warm-up and one counted run."""
    drive(peer, options.warmup, scenario, options, folder)
    before = cpu_seconds(peer.child.pid)
    wrk = drive(peer, options.seconds, scenario, options, folder)
    cpu = cpu_seconds(peer.child.pid) - before
    bad = {k: wrk[k] for k in ("status", "connect", "read", "write", "timeout") if wrk[k]}
    if scenario == "close":
        bad.pop("read", None)  # wrk counts the announced end of a connection as a read error
    if bad or not wrk["requests"]:
        raise Trouble(f"{peer.label}: errors during a run: {bad or 'no request at all'}")
    return {
        "rps": wrk["requests"] / (wrk["micros"] / 1e6),
        "cpu_us": cpu * 1e6 / wrk["requests"],
        "p50_ms": wrk["p50"] / 1000,
        "p99_ms": wrk["p99"] / 1000,
        "rss_mib": rss_mib(peer.child.pid),
        "requests": wrk["requests"],
    }


def run_rounds(peers, scenario, options, folder):
    rounds = []
    for number in range(options.rounds):
        order = peers[number % len(peers):] + peers[:number % len(peers)]
        results = {peer.label: measure(peer, scenario, options, folder) for peer in order}
        rounds.append(results)
        line = "  ".join(f"{p.label} {results[p.label]['cpu_us']:.1f}" for p in peers)
        print(f"  round {number + 1}/{options.rounds}  CPU us/request: {line}", file=sys.stderr)
    return rounds


def table(peers, rounds):
    print(f"{'proxy':<16}{'requests/s':>12}{'CPU us/req':>12}{'P50 ms':>9}{'P99 ms':>9}{'RSS MiB':>9}")
    for peer in peers:
        def median(key, label=peer.label):
            return statistics.median(r[label][key] for r in rounds)

        print(
            f"{peer.label:<16}{median('rps'):>12.0f}{median('cpu_us'):>12.1f}{median('p50_ms'):>9.2f}"
            f"{median('p99_ms'):>9.2f}{median('rss_mib'):>9.1f}"
        )


def ratios(peers, rounds):
    """Every build of ours against every other, paired inside a round."""
    ours = [p.label for p in peers if p.kind == "pointsman"]
    pairs = [(a, p.label) for a in ours for p in peers if p.label != a and p.kind != "pointsman"]
    pairs += [(b, a) for i, a in enumerate(ours) for b in ours[i + 1:]]
    if not ours:
        labels = [p.label for p in peers]
        pairs = [(b, a) for i, a in enumerate(labels) for b in labels[i + 1:]]
    found = {}
    for ours_label, theirs in pairs:
        for key, better in (("cpu_us", "less"), ("rps", "more")):
            values = [r[ours_label][key] / r[theirs][key] for r in rounds]
            found[f"{ours_label}/{theirs} {key}"] = {
                "median": statistics.median(values), "min": min(values), "max": max(values),
                "per_round": values, "better": better,
            }
    if found:
        print(f"\n{'paired ratio':<38}{'median':>8}{'min':>8}{'max':>8}   per round")
    for name, ratio in found.items():
        each = " ".join(f"{value:.2f}" for value in ratio["per_round"])
        print(f"{name:<38}{ratio['median']:>8.2f}{ratio['min']:>8.2f}{ratio['max']:>8.2f}   {each}")
    return found


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


# ---- the command line ----------------------------------------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/peers/run", description="Pointsman beside nginx, HAProxy and Envoy, same work, same run.",
        epilog="scenarios: " + "; ".join(f"{k}: {v['about']}" for k, v in SCENARIOS.items()),
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="counted seconds for each proxy and round (default 5)")
    parser.add_argument("--warmup", type=int, default=1, help="seconds before each counted run (default 1)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="keep-alive connections (default 64)")
    parser.add_argument("--proxies", default=DEFAULT_PROXIES, help=f"which (default {DEFAULT_PROXIES})")
    parser.add_argument("--scenario", action="append", choices=[*SCENARIOS, "all"], help="default small; may repeat")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s: does it run at all")
    parser.add_argument("--json", metavar="FILE", help="write every number there too")
    parser.add_argument("--with-binary", action="append", default=[], metavar="LABEL=PATH",
                        help="another Pointsman build, interleaved with the rest; may repeat")
    parser.add_argument("--proxy-core", type=int, default=1, help="core of the proxy (default 1)")
    parser.add_argument("--load-core", type=int, default=0, help="core of wrk and the origins (default 0)")
    parser.add_argument("--pointsman", default="", help=argparse.SUPPRESS)
    parser.add_argument("--envoy", default="", help=argparse.SUPPRESS)
    parser.add_argument("--plan", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = min(options.rounds, 2), min(options.seconds, 2)
    options.proxies = [name for name in options.proxies.split(",") if name]
    unknown = set(options.proxies) - set(DEFAULT_PROXIES.split(","))
    if unknown:
        parser.error(f"unknown proxies: {', '.join(sorted(unknown))}")
    for pair in options.with_binary:
        if "=" not in pair or pair.partition("=")[0] in DEFAULT_PROXIES.split(","):
            parser.error(f"--with-binary wants LABEL=PATH with a label of its own, not {pair}")
    if min(options.rounds, options.seconds, options.warmup, options.connections) < 1:
        parser.error("rounds, seconds, warm-up and connections must be at least 1")
    scenarios = options.scenario or ["small"]
    options.scenario = list(SCENARIOS) if "all" in scenarios else scenarios
    options.children = []
    return options


def wanted(options):
    """(label, kind, binary) of everything to start; what cannot be had is named aloud."""
    result = []
    for name in options.proxies:
        binary = {"nginx+log": "nginx", "envoy": options.envoy, "pointsman": options.pointsman}.get(name, name)
        if shutil.which(binary) is None:
            if name != "envoy":
                raise Trouble(f"{name}: no program at {binary}")
            print("!!! ENVOY IS NOT HERE: left out of this run", file=sys.stderr)
            continue
        result.append((name, name, binary))
    for pair in options.with_binary:
        label, _, path = pair.partition("=")
        if shutil.which(path) is None:
            raise Trouble(f"{label}: no program at {path}")
        result.append((label, "pointsman", os.path.abspath(path)))
    if not result:
        raise Trouble("no proxy is left to measure")
    return result


def compare(options, folder):
    cores = os.sched_getaffinity(0)
    if not {options.proxy_core, options.load_core} <= cores:
        raise Trouble(f"needs cores {options.proxy_core} and {options.load_core}; this process may use {sorted(cores)}")
    origins = start_origins(options, folder)
    peers = []
    for label, kind, binary in wanted(options):
        peer = start_peer(label, kind, binary, origins, options, folder)
        peer.kind = kind
        peers.append(peer)
    print("checked: 200, five headers added, split", file=sys.stderr)
    for peer in peers:
        verify(peer)
    here = machine()
    report = {
        "machine": here, "connections": options.connections, "seconds": options.seconds,
        "peers": {p.label: p.version for p in peers}, "scenarios": {},
    }
    for scenario in options.scenario:
        rounds = run_rounds(peers, scenario, options, folder)
        print(
            f"\n{scenario}: {SCENARIOS[scenario]['about']}; {options.connections} connections, "
            f"{options.rounds} rounds x {options.seconds} s, medians\n"
            f"{here['cpu']}, {here['cores']} cores, Linux {here['kernel']}, {here['date']}\n"
        )
        table(peers, rounds)
        report["scenarios"][scenario] = {"rounds": rounds, "ratios": ratios(peers, rounds)}
        print(flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


def main():
    if "--plan" in sys.argv and ("-h" in sys.argv or "--help" in sys.argv):
        print("help")
        return 0
    options = arguments()
    if options.plan:
        print(" ".join(options.proxies))
        return 0
    # A plain kill must clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pointsman-peers-") as folder:
        os.chmod(folder, 0o755)  # nginx's worker may run as another user
        try:
            compare(options, folder)
        except Trouble as trouble:
            print(f"peers: {trouble}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            for child in reversed(options.children):
                child.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
