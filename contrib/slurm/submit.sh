#!/usr/bin/env bash
# Submits a sweep to Slurm: an array with one task per slice, and the job that merges the slices afterwards.
#
# Usage: contrib/slurm/submit.sh SLICES FOLDER [OPTION OF sbatch]... -- [ARGUMENT OF latent sweep]...
#   contrib/slurm/submit.sh 32 /shared/sweeps/2026-11-29 --cpus-per-task=8 --time=4:00:00 -- generated --seeds 1..100001
#
# FOLDER receives slice-N.jsonl and slice-N.log of each task, and merge.log and sweep.xml of the merge. It must be on a
# file system that all nodes see, as must the program and the folder this is started in. Starting the same sweep on the
# same folder again runs what is missing in it. The options of sbatch are for the array; what both jobs need (partition,
# account) goes into sbatch's variables: SBATCH_PARTITION, SBATCH_ACCOUNT.
#
#   LATENT   the program (default: target/release/latent)
#   WAIT=1   wait for the merge, and exit with its code
set -euo pipefail

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }
usage='usage: contrib/slurm/submit.sh SLICES FOLDER [OPTION OF sbatch]... -- [ARGUMENT OF latent sweep]...'

[ $# -ge 2 ] || fail "$usage"
slices=$1 folder=$2
shift 2
[[ $slices =~ ^[1-9][0-9]*$ ]] || fail "SLICES is '$slices', not a number from 1"
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
[ $# -gt 0 ] || fail "no -- before the arguments of the sweep
$usage"
shift

here=$(cd "$(dirname "$0")" && pwd)
LATENT=$(realpath -e "${LATENT:-target/release/latent}") || fail "build the program, or name it in LATENT"
mkdir -p "$folder"
FOLDER=$(cd "$folder" && pwd)
# The program compares it with what Slurm says: one task submitted again alone (--array=3) is not a whole sweep.
LATENT_PARTITION_COUNT=$slices
export LATENT FOLDER LATENT_PARTITION_COUNT

array=$(sbatch --parsable --export=ALL --array="1-$slices" --output="$FOLDER/slice-%a.log" "${options[@]}" \
    "$here/sweep.sbatch" "$@")
echo "sweep: job ${array%%;*}, tasks 1-$slices, results in $FOLDER" >&2

wait=()
[ "${WAIT:-0}" = 0 ] || wait=(--wait)
# After any end of the tasks, not only a good one: a task that found a violation fails too, and the merge judges it.
code=0
merge=$(sbatch --parsable --export=ALL --dependency="afterany:${array%%;*}" --output="$FOLDER/merge.log" "${wait[@]}" \
    "$here/merge.sbatch") || code=$?
echo "merge: job ${merge%%;*}, verdict in $FOLDER/merge.log" >&2
exit "$code"
