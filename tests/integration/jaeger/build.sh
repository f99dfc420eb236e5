#!/bin/sh
# Print the path of a Jaeger binary: the `jaeger` on the PATH, or the one that go.mod pins, built once into a cache.
# With --find nothing is built, and the exit status is 1 if there is none.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/bento-monitor/jaeger-1.76.0"
binary="$cache/jaeger"

if command -v jaeger >/dev/null 2>&1; then
    command -v jaeger
    exit 0
fi
if [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi
if [ "${1:-}" = "--find" ]; then
    exit 1
fi
if ! command -v go >/dev/null 2>&1; then
    echo "Jaeger is built with Go 1.25 or newer, which is not on the PATH: install it, or put a jaeger 2 on the PATH." >&2
    exit 2
fi

echo "==> Building Jaeger 2.13 into $cache (once: about 30 s of download and 3 minutes on two cores)" >&2
mkdir -p "$cache"
part=$(mktemp "$cache/.jaeger.XXXXXX")
trap 'rm -f "$part"' EXIT INT TERM
(cd "$here" && CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags '-s -w' -o "$part" \
    github.com/jaegertracing/jaeger/cmd/jaeger) >&2
"$part" version >/dev/null
chmod 755 "$part"
mv "$part" "$binary"
echo "$binary"
