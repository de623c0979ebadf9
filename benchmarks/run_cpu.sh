#!/usr/bin/env bash
# Times search, packing, mean average precision and the margin loss against their peers on one thread, then ours on two,
# and leaves figures, their table and a plot under benchmarks/results/, in about eight minutes on a quiet machine.
#
#   benchmarks/run_cpu.sh NAME [PART...]
#
# writes cpu_NAME_PART.json and .txt; parts: search, index, packing, evaluation, losses (default: all).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  exit 2
fi
name=$1
shift
[ $# -gt 0 ] || set -- search index packing evaluation losses
# What titles of a part's cases contain, with semicolons in between.
declare -A titles=([search]="topk: queries" [index]="index_range" [packing]="bits 64, dtype"
  [evaluation]="mean average precision;evaluation, uniform codes" [losses]="margin loss")
# Seconds for each contender: more where calls are short, as what else runs on the machine shows in those.
declare -A seconds=([search]=0.3 [losses]=0.5)
for part in "$@"; do
  began=$SECONDS
  results=${RESULTS:-benchmarks/results}/cpu_${name}_$part
  options=()
  IFS=";" read -ra wanted <<<"${titles[$part]}"
  for title in "${wanted[@]}"; do options+=(--only "$title"); done
  [ "$part" = search ] && options+=(--plot "$results.svg")
  hashkernels bench --preset targets --threads 1 --also-threads 2 --seconds "${seconds[$part]:-0.1}" \
    --output "$results.json" "${options[@]}" --force >"$results.txt"
  echo "$part: $((SECONDS - began)) s"
done
