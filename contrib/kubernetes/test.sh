#!/usr/bin/env bash
# Holds what is in this folder to what can be held without a cluster:
#   - the manifests against the schemas that Kubernetes publishes (the Python package kubernetes-validate carries them);
#   - the image: built from scratch, without root, without a shell;
#   - what the pods run, once per index, with the variables, the user, the read-only root file system, the dropped
#     capabilities and the seccomp profile that the manifests ask for: by podman, one container after the other. One of
#     them is stopped half-way and started again. The merge must equal the same sweep in one piece.
# Not run here: a cluster, so neither its retries per index nor its volumes.
#
# Usage: contrib/kubernetes/test.sh [SEEDS] [PROGRAM]
#   SEEDS    default: 1..81
#   PROGRAM  default: target/release/latent, which this builds
set -euo pipefail
cd "$(dirname "$0")/../.."

seeds=${1:-1..81} program=${2:-${CARGO_TARGET_DIR:-target}/release/latent}
here=contrib/kubernetes
image=localhost/latent-test:$$
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
for tool in buildah podman runc python3 objcopy; do
    command -v "$tool" >/dev/null ||
        fail "$tool is missing: apt-get install buildah podman runc python3-venv binutils (Debian), and run this again"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/latent-kubernetes.XXXXXX")
finish() {
    code=$?
    podman rm --force --ignore --time 0 "latent-test-$$" >/dev/null 2>&1 || true
    buildah rmi --force "$image" >/dev/null 2>&1 || true
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '== manifests\n'
python3 -m venv "$dir/python"
"$dir/python/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
validate() { "$dir/python/bin/kubernetes-validate" --strict --kubernetes-version "$1" "${@:2}"; }
# The oldest version that has all their fields beyond alpha, and the newest.
for version in 1.29 1.37; do
    validate "$version" "$here"/*.yaml
done
# What would be silently ignored by a cluster must be found here.
sed 's/backoffLimitPerIndex/backoffLimitPerIndx/' "$here/sweep.yaml" >"$dir/misspelt.yaml"
! validate 1.37 "$dir/misspelt.yaml" >"$dir/misspelt.log" 2>&1 || fail "a misspelt field passes the schema"
grep -q backoffLimitPerIndx "$dir/misspelt.log" || fail "the misspelt field is not named: $(cat "$dir/misspelt.log")"
of_job() { "$dir/python/bin/python" "$here/job.py" "$@"; }
of_job check || fail "the manifests contradict each other"

printf '== the image (%d s so far)\n' "$SECONDS"
[ $# -ge 2 ] || env -u RUSTFLAGS cargo build --release --package latent
"$here/image.sh" "$image" "$program"
[ "$(podman image inspect --format '{{.Config.User}}' "$image")" = 65534:65534 ] || fail "the image runs as root"
podman image mount "$image" >"$dir/mounted"
files=$(cd "$(cat "$dir/mounted")" && find . -type f | sort | tr '\n' ' ')
printf 'files: %s\n' "$files"
for file in $files; do
    case $file in
        ./latent | ./work/latent.toml | ./lib*/ld-linux*.so.* | ./lib*/lib*.so.* | ./usr/lib*/lib*.so.*) ;;
        *) fail "the image holds $file, which the program does not need" ;;
    esac
done
podman image unmount "$image" >/dev/null
podman image inspect --format 'size {{.Size}} bytes' "$image"

# runc, which takes both versions of control groups. Limits that may not be raised (a virtual machine without
# CAP_SYS_RESOURCE) are set low; the program opens few files.
contained() {
    local -a given
    mapfile -t given
    local -a options=() arguments=()
    while [ "${given[0]}" != -- ]; do
        options+=("${given[0]}")
        given=("${given[@]:1}")
    done
    arguments=("${given[@]:1}")
    podman --runtime runc run --rm --name "latent-test-$$" --network=none --ulimit nofile=1024:1024 \
        --ulimit nproc=1024:1024 --volume "$dir/results:/results" "${options[@]}" "${more[@]}" "$image" "${arguments[@]}"
}
more=()
mkdir "$dir/results"
chown 65534:65534 "$dir/results" || fail "start this as root: the results must belong to the user of the image"
replaced="1..100001=$seeds"

count=$(of_job sweep 0 | sed -n 's/--env=LATENT_PARTITION_COUNT=//p')
for ((index = 0; index < count; index++)); do
    printf '== index %d (%d s so far)\n' "$index" "$SECONDS"
    if [ "$index" -eq 1 ]; then
        of_job sweep "$index" "$replaced" | contained >"$dir/stopped.log" 2>&1 &
        running=$!
        until [ "$(cat "$dir/results/slice-1.jsonl" 2>/dev/null | grep -c '^{"case"')" -ge 2 ]; do
            kill -0 "$running" 2>/dev/null || { cat "$dir/stopped.log"; fail "index 1 ended by itself: give more SEEDS"; }
            sleep 0.1
        done
        podman stop --time 60 "latent-test-$$" >/dev/null
        code=0
        wait "$running" || code=$?
        cat "$dir/stopped.log"
        [ "$code" -eq 143 ] || fail "a stopped index ends with code $code, not 143"
        echo "index 1 again:"
    fi
    of_job sweep "$index" "$replaced" | contained
done

printf '== the merge (%d s so far)\n' "$SECONDS"
of_job merge | contained
[ -s "$dir/results/sweep.xml" ] || fail "the merge wrote no sweep.xml"

printf '== the same sweep in one piece, and without a container (%d s so far)\n' "$SECONDS"
"$program" sweep generated --seeds "$seeds" --json "$dir/whole.jsonl" >/dev/null
# Real time is the one thing that differs.
lines() { grep -h '^{"case"' "$@" | sed 's/"wall_ms":[0-9]*/"wall_ms":0/' | LC_ALL=C sort; }
lines "$dir/whole.jsonl" >"$dir/whole"
lines "$dir"/results/slice-*.jsonl >"$dir/merged"
[ -s "$dir/whole" ] || fail "the sweep in one piece has no cases"
cmp "$dir/whole" "$dir/merged" || fail "the merged slices are not the sweep in one piece"

printf '== address randomisation (%d s so far)\n' "$SECONDS"
# The runtime's default seccomp profile refuses personality(2): runs go on with random addresses, and are the same.
run() { printf '%s\n' --user=65534:65534 -- run one-day -v | contained | grep -E '^ +(addresses|trace) '; }
refused=$(run)
more=(--security-opt=seccomp=unconfined)
allowed=$(run)
printf 'default profile:\n%s\nunconfined:\n%s\n' "$refused" "$allowed"
[[ $refused == *"stay random"* ]] || fail "the default seccomp profile allows personality(2) here: the page says otherwise"
[[ $allowed != *"stay random"* ]] || fail "personality(2) is refused without a seccomp profile"
[ "$(grep trace <<<"$refused")" = "$(grep trace <<<"$allowed")" ] || fail "random addresses change the run"
printf 'all good in %d s: %d cases, the same in %d containers as in one piece\n' "$SECONDS" "$(wc -l <"$dir/whole")" "$count"
