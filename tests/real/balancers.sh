#!/usr/bin/env bash
# Who is the client behind a real balancer? HAProxy in front, nginx behind, Pointsman between them.
#
#   POINTSMAN=PATH tests/real/balancers.sh      PATH: target/debug/pointsman if not said
#
# `cargo test forwarding` knows the headers by the letter; this script shows that the letters are those
# that others write. It fails, loudly, when haproxy, nginx, curl or python3 is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null
export PATH=$PATH:/usr/sbin:/sbin

pointsman=${POINTSMAN:-target/debug/pointsman}
work=$(mktemp -d "${TMPDIR:-/tmp}/pointsman-balancers.XXXXXX")
chmod 755 "$work" # nginx's worker may be another user
pids=()
finish() {
    local code=$? pid
    trap - EXIT
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    sleep 0.3
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
    ((code == 0)) || tail -n 20 "$work"/*.log >&2 || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
for tool in haproxy nginx curl python3; do
    command -v "$tool" >/dev/null || { echo "FAILED: $tool is missing" >&2; exit 1; }
done

read -r origin tcp http rfc control v1 v2 v2crc xff forwarded < <(python3 - <<'PY'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(10)]
print(*(s.getsockname()[1] for s in held))
PY
)

cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server {
    listen 127.0.0.1:$origin;
    location / { return 200 '\$http_x_forwarded_for|\$http_x_forwarded_proto|\$http_forwarded\n'; }
  }
}
CONF
nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" >"$work/nginx-out.log" 2>&1 &
pids+=($!)

cat >"$work/pointsman.yaml" <<YAML
apiVersion: pointsman.dev/v1
listeners:
  - {name: tcp, address: "127.0.0.1:$tcp", trustedProxies: [127.0.0.1], proxyProtocol: required}
  - {name: http, address: "127.0.0.1:$http", trustedProxies: [127.0.0.1]}
  - {name: rfc, address: "127.0.0.1:$rfc", trustedProxies: [127.0.0.1], forwardingHeaders: forwarded}
control: {address: "127.0.0.1:$control"}
accessLog: all
routes: [{name: app, rules: [{split: [{backend: app}]}]}]
backends: [{name: app, endpoints: ["127.0.0.1:$origin"]}]
YAML
"$pointsman" run -c "$work/pointsman.yaml" --workers 1 --state-dir "$work/state" \
    >"$work/access.log" 2>"$work/pointsman.log" &
pids+=($!)

# `option forwarded` came with HAProxy 2.8; what it writes is written here by hand.
cat >"$work/haproxy.cfg" <<CONF
defaults
  timeout connect 2s
  timeout client 10s
  timeout server 10s
listen v1
  mode tcp
  bind 127.0.0.1:$v1
  server pointsman 127.0.0.1:$tcp send-proxy
listen v2
  mode tcp
  bind 127.0.0.1:$v2
  server pointsman 127.0.0.1:$tcp send-proxy-v2 check inter 100ms
listen v2crc
  mode tcp
  bind 127.0.0.1:$v2crc
  unique-id-format %ci:%cp-%rt
  server pointsman 127.0.0.1:$tcp send-proxy-v2 proxy-v2-options crc32c,unique-id
listen xff
  mode http
  bind 127.0.0.1:$xff
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  server pointsman 127.0.0.1:$http
listen forwarded
  mode http
  bind 127.0.0.1:$forwarded
  http-request add-header Forwarded for=%[src];proto=https
  server pointsman 127.0.0.1:$rfc
CONF
haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
pids+=($!)

# A client that is not the balancer, and that lies.
ask() {
    curl -fsS --max-time 5 --interface 127.0.0.5 -H 'X-Forwarded-For: 1.2.3.4' -H 'Forwarded: for=1.2.3.4' "$@"
}
for port in "$v1" "$v2" "$v2crc" "$xff" "$forwarded"; do
    for _ in $(seq 100); do
        ask -o /dev/null "http://127.0.0.1:$port/" 2>/dev/null && continue 2
        sleep 0.1
    done
    echo "FAILED: nothing answers at port $port" >&2
    exit 1
done

told() {
    local wanted=$1 seen
    shift
    seen=$(ask "$@")
    [[ $seen == "$wanted" ]] || { echo "FAILED: $*: the backend saw $seen, not $wanted" >&2; exit 1; }
}
for port in "$v1" "$v2" "$v2crc"; do
    told "127.0.0.5|http|" "http://127.0.0.1:$port/"
    told "127.0.0.5|http|" --http2-prior-knowledge "http://127.0.0.1:$port/"
done
told "1.2.3.4, 127.0.0.5, 127.0.0.1|https|" "http://127.0.0.1:$xff/"
told "||for=1.2.3.4, for=127.0.0.5;proto=https, for=127.0.0.1;host=\"127.0.0.1:$forwarded\";proto=http" \
    "http://127.0.0.1:$forwarded/"
told "127.0.0.5|http|" "http://127.0.0.1:$http/" # past the balancer

clients=$(grep -o '"client_ip":"[^"]*"' "$work/access.log" | sort -u)
[[ $clients == '"client_ip":"127.0.0.5"' ]] || { echo "FAILED: the log names $clients" >&2; exit 1; }
for _ in $(seq 30); do # the counters are read once a second
    errors=$(curl -fsS "http://127.0.0.1:$control/metrics" | awk '/^pointsman_downstream_protocol_errors_total/ {n += $2} END {print n}')
    [[ $errors == 0 ]] || { echo "FAILED: $errors connections of a real balancer were refused" >&2; exit 1; }
    taken=$(curl -fsS "http://127.0.0.1:$control/metrics" | awk '/^pointsman_downstream_connections_total/ {n += $2} END {print n}')
    ((taken > 12)) && break
    sleep 0.1
done
haproxy -v | sed -n 's/^HAProxy version \([^ ]*\).*/as HAProxy \1 says it: PROXY 1 and 2, X-Forwarded-For, Forwarded/p'
