#!/usr/bin/env bash
# Builds the static program and the image that holds it. No base image is fetched: it starts from scratch.
#
# Usage: contrib/kubernetes/image.sh [NAME:TAG] [PROFILE OF cargo]     (default: localhost/latent:latest release)
#
# Needs buildah (Debian: apt-get install buildah) and the C library as an archive (Debian: libc6-dev has it).
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-localhost/latent:latest} profile=${2:-release}
command -v buildah >/dev/null || { echo "error: buildah is missing: apt-get install buildah (Debian)" >&2; exit 1; }

# With --target the flags are for the program alone, not for build scripts and macros, which cannot be static. They
# replace those of .cargo/config.toml, so its --cfg madsim is here too.
triple=$(uname -m)-unknown-linux-gnu
RUSTFLAGS="--cfg madsim -C target-feature=+crt-static" \
    cargo build --package latent --bin latent --profile "$profile" --target "$triple"
folder=$profile
[ "$profile" != dev ] || folder=debug
program=${CARGO_TARGET_DIR:-target}/$triple/$folder/latent

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
# Without what only a debugger reads: a tenth of the size.
objcopy --strip-debug "$program" "$context/latent"
chmod 755 "$context/latent"
install -m 644 latent.toml "$context/latent.toml"
buildah build --file contrib/kubernetes/Containerfile --tag "$image" "$context"
