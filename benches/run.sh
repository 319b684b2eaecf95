#!/usr/bin/env bash
# `make bench`: the numbers of docs/performance.md. Arguments go to the pipeline's benchmark:
# --quick to see that it runs, --only WORD for one part. Writes target/bench.json.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --benches --quiet
cargo bench --quiet --bench pipeline -- --json "$PWD/target/bench.json" "$@"
case " $* " in *" --only "*) exit ;; esac
echo
echo "Matching alone, one core (the design: 300,000 a second with 1,000 rules, better 1,000,000):"
cargo bench --quiet --bench matching -- --json "$PWD/target/bench-matching.json"
echo
echo "The store alone:"
cargo bench --quiet --bench store
