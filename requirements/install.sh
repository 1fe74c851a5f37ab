#!/bin/sh
# In an image build: `uv pip install ARGUMENTS`, by a locked uv that does not stay in the image.
set -eu
tools=$(mktemp -d)
python -m pip install --quiet --disable-pip-version-check --cache-dir /tmp/cache/pip \
  --require-hashes --target "$tools" --requirement "$(dirname "$0")/build.txt"
PYTHONPATH=$tools "$tools/bin/uv" pip install --python "$(command -v python)" --cache-dir /tmp/cache/uv \
  --link-mode copy --compile-bytecode "$@"
rm -r "$tools"
