#!/usr/bin/env bash
# Builds the image: the program, the C library's files that it is linked to, and latent.toml. No base image is fetched: it
# starts from scratch.
#
# Not a static program: the simulator's executor (madsim) replaces clock_gettime and getrandom for the code under test and
# finds the real ones with dlsym(RTLD_NEXT), which finds nothing in a static program. One stops at its first clock.
#
# Usage: contrib/kubernetes/image.sh [NAME:TAG] [PROGRAM]
#   NAME:TAG  default: localhost/latent:latest
#   PROGRAM   default: target/release/latent, which this builds
#
# Needs buildah (Debian: apt-get install buildah).
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-localhost/latent:latest} program=${2:-}
command -v buildah >/dev/null || { echo "error: buildah is missing: apt-get install buildah (Debian)" >&2; exit 1; }

if [ -z "$program" ]; then
    # A RUSTFLAGS variable overrides .cargo/config.toml, without which the simulator does not build.
    env -u RUSTFLAGS cargo build --release --package latent
    program=${CARGO_TARGET_DIR:-target}/release/latent
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
root=$context/root
# Without what only a debugger reads.
install -D --mode=755 "$program" "$root/latent"
objcopy --strip-debug "$root/latent"
install -D --mode=644 latent.toml "$root/work/latent.toml"
# Each at its own path: the loader looks in the same folders as on the machine that it comes from.
mapfile -t libraries < <(ldd "$program" | grep -o '/[^ ]*')
for library in "${libraries[@]}"; do
    install -D --mode=755 "$library" "$root$library"
done
buildah build --file contrib/kubernetes/Containerfile --tag "$image" "$context"
