#!/usr/bin/env bash
# Is a change on the disk before it is answered? Asked of the kernel: strace watches the real program.
#
#   POINTSMAN=PATH tests/real/durability.sh      PATH: target/debug/pointsman if not said
#
# `cargo test store::power_loss` proves the same with a model of the disk and needs no strace; this
# script shows it on the program that people run. It fails, loudly, when strace or curl is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null

pointsman=${POINTSMAN:-target/debug/pointsman}
changes=20
work=$(mktemp -d "${TMPDIR:-/tmp}/pointsman-durability.XXXXXX")
pid=
finish() {
    local code=$?
    trap - EXIT
    # strace ends with the program that it watches; the state directory knows which one that is.
    if [[ -s $work/state/lock ]]; then kill -9 "$(<"$work/state/lock")" 2>/dev/null || true; fi
    if [[ -n $pid ]]; then kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
    ((code == 0)) || tail -n 20 "$work/log" >&2 || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
for tool in strace curl; do
    command -v "$tool" >/dev/null || { echo "FAILED: $tool is missing" >&2; exit 1; }
done

cat >"$work/config.yaml" <<YAML
apiVersion: pointsman.dev/v1
listeners: [{name: web, address: "127.0.0.1:0"}]
control: {address: "127.0.0.1:0"}
routes:
  - name: podinfo
    rules:
      - name: everyone
        split: [{backend: primary, weight: 95}, {backend: canary, weight: 5}]
backends:
  - {name: primary, endpoints: ["127.0.0.1:9"]}
  - {name: canary, endpoints: ["127.0.0.1:9"]}
YAML
strace -f -y -s 32 -e trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg -o "$work/trace" \
    "$pointsman" run -c "$work/config.yaml" --state-dir "$work/state" >"$work/log" 2>&1 &
pid=$!
api=
for _ in $(seq 100); do
    api=$(grep -o 'control API is at http://[0-9.:]*' "$work/log" | grep -o 'http.*' || true)
    [[ -n $api ]] && curl -fsS -o /dev/null "$api/readyz" 2>/dev/null && break
    sleep 0.1
done
[[ -n $api ]] || { echo "FAILED: Pointsman did not start" >&2; exit 1; }

mark=$(wc -l <"$work/trace")
for weight in $(seq "$changes"); do
    curl -fsS -o /dev/null -X PATCH -H 'content-type: application/json' \
        -d "{\"weights\": {\"canary\": $weight}}" "$api/api/v1/routes/podinfo/rules/everyone/split"
done

tail -n "+$((mark + 1))" "$work/trace" | awk -v wanted="$changes" '
    /pwrite64\([0-9]+<[^>]*state\.db-wal>/ { dirty = 1; next }
    /f(data)?sync\([0-9]+<[^>]*state\.db-wal>.*unfinished/ { waits[$1] = 1; next }
    /f(data)?sync\([0-9]+<[^>]*state\.db-wal>\) *= 0/ { if (dirty) synced++; dirty = 0; next }
    /<\.\.\. f(data)?sync resumed>\) *= 0/ && waits[$1] { if (dirty) synced++; dirty = 0; delete waits[$1]; next }
    /"HTTP\/1\.1 200 OK/ {
        answers++
        if (dirty) { print "FAILED: answered before the log was synced: " $0; bad = 1 }
        if (synced < answers) { print "FAILED: answer " answers " after " synced + 0 " syncs"; bad = 1 }
    }
    END {
        if (answers != wanted) { print "FAILED: " answers + 0 " answers seen, " wanted " expected"; bad = 1 }
        if (!bad) print wanted " changes, " synced " syncs of the log, each before its answer"
        exit bad
    }'
