#!/usr/bin/env bash
# Everything that must hold, in one command. It installs what it needs on a bare Debian machine with
# cargo, runs formatting, lints, unit, integration, documentation and browser tests, and ends with
# the counts. A missing tool fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { # need COMMAND PACKAGE...: install Debian packages where a command is missing
  command -v "$1" >/dev/null && return
  local as=""
  [ "$(id -u)" = 0 ] || as=sudo
  echo "installing ${*:2} for $1"
  $as apt-get update -qq
  $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >/dev/null
}

need cc build-essential
need chromium chromium fonts-noto-cjk
need python3 python3 python3-venv
command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest

cargo fmt --check
cargo clippy --all-targets --quiet -- -D warnings
# Private items are documented too, for those who work here, so links to them hold.
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --no-deps --quiet --document-private-items
cargo test --doc --quiet
cargo build --quiet
cargo nextest run --no-fail-fast
