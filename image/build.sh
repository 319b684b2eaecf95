#!/usr/bin/env bash
# Builds the image with docker, podman or buildah, whichever is here.
#   BUILDER=IMAGE   the image that compiles (default: the Dockerfile's)
#   TAG=NAME        the image's name (default: triggerbell)
#   STORAGE=vfs     buildah's storage driver, where overlays can't be mounted
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${TAG:-triggerbell}
args=(-f image/Dockerfile -t "$tag")
[ -z "${BUILDER:-}" ] || args+=(--build-arg "BUILDER=$BUILDER")

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  docker build "${args[@]}" .
elif command -v podman >/dev/null; then
  podman build "${args[@]}" .
elif command -v buildah >/dev/null; then
  buildah ${STORAGE:+--storage-driver "$STORAGE"} bud --isolation chroot --format docker "${args[@]}" .
else
  echo "image/build.sh: no docker, podman or buildah here; install one of them" >&2
  exit 69
fi
