#!/usr/bin/env bash
# Builds the image: the static program and latent.toml. No base image is fetched: it starts from scratch.
#
# Usage: contrib/kubernetes/image.sh [NAME:TAG] [PROGRAM]
#   NAME:TAG  default: localhost/latent:latest
#   PROGRAM   a static program that is already built; otherwise this builds one (release), in a few minutes
#
# Needs buildah (Debian: apt-get install buildah) and the C library as an archive (Debian: libc6-dev has it).
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-localhost/latent:latest} program=${2:-}
command -v buildah >/dev/null || { echo "error: buildah is missing: apt-get install buildah (Debian)" >&2; exit 1; }

if [ -z "$program" ]; then
    # With --target the flags are for the program alone, not for build scripts and macros, which cannot be static. They
    # replace those of .cargo/config.toml, so its --cfg madsim is here too.
    triple=$(uname -m)-unknown-linux-gnu
    RUSTFLAGS="--cfg madsim -C target-feature=+crt-static" \
        cargo build --release --package latent --bin latent --target "$triple"
    program=${CARGO_TARGET_DIR:-target}/$triple/release/latent
fi
! readelf --program-headers "$program" | grep -q INTERP ||
    { echo "error: $program is not static: it asks for a loader, and the image has none" >&2; exit 1; }

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
# Without what only a debugger reads.
objcopy --strip-debug "$program" "$context/latent"
chmod 755 "$context/latent"
install -m 644 latent.toml "$context/latent.toml"
buildah build --file contrib/kubernetes/Containerfile --tag "$image" "$context"
