# The project's images. Each is a target:
#
#   operator   the operator and its command line; no torch, no mlflow
#   trainer    the built-in trainer; torch lies in a layer of its own, below what changes
#   mlflow     an MLflow server with a PostgreSQL driver, for clusters that have none
#
#   docker build --target operator --tag hypersweep-operator:0.1.0 .
#
# Every package is one that requirements/*.txt names with its hash; uv and its cache are mounted while they are needed
# and stay out of the images. Processes run as user 65532 and write to /tmp only, so a read-only root is enough.
# Bytecode is compiled here: on a read-only root it would be compiled again at each start.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
# HOME and USER are for libraries that ask who they are where the cluster runs them as a user without a name.
ENV PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=hypersweep
RUN echo 'hypersweep:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'hypersweep:x:65532:' >> /etc/group
LABEL org.opencontainers.image.vendor="HyperSweep" \
      org.opencontainers.image.licenses="Apache-2.0"

# The project itself, laid out as under /usr/local. Its build backend is in build.txt.
FROM base AS project
WORKDIR /src
COPY pyproject.toml README.md ./
COPY operator operator
COPY trainer trainer
COPY requirements/build.txt requirements/install.sh requirements/
RUN --mount=type=cache,target=/tmp/cache \
    sh requirements/install.sh --no-deps --no-build-isolation --prefix /project .

FROM base AS operator
COPY requirements/operator.txt /usr/share/hypersweep/requirements.txt
RUN --mount=type=bind,source=requirements,target=/tmp/requirements \
    --mount=type=cache,target=/tmp/cache \
    sh /tmp/requirements/install.sh --require-hashes --requirement /usr/share/hypersweep/requirements.txt
COPY --from=project /project/ /usr/local/
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hypersweep-operator" \
      org.opencontainers.image.description="Runs hyperparameter sweeps on Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["hypersweep"]
CMD ["operator", "--config", "/etc/hypersweep/config.yaml"]

FROM base AS trainer
# By default torch is the locked build with CUDA. TORCH_INDEX names a package index that holds another build of the same
# version, such as one for CPUs only; hashes are not known for it.
ARG TORCH_INDEX=""
COPY requirements/torch.txt /usr/share/hypersweep/torch.txt
RUN --mount=type=bind,source=requirements,target=/tmp/requirements \
    --mount=type=cache,target=/tmp/cache \
    if [ -n "${TORCH_INDEX}" ]; \
    then sh /tmp/requirements/install.sh --no-deps --index-url "${TORCH_INDEX}" "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' /usr/share/hypersweep/torch.txt)"; \
    else sh /tmp/requirements/install.sh --require-hashes --requirement /usr/share/hypersweep/torch.txt; \
    fi
COPY requirements/trainer.txt /usr/share/hypersweep/requirements.txt
RUN --mount=type=bind,source=requirements,target=/tmp/requirements \
    --mount=type=cache,target=/tmp/cache \
    sh /tmp/requirements/install.sh --require-hashes --requirement /usr/share/hypersweep/requirements.txt
COPY --from=project /project/ /usr/local/
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hypersweep-trainer" \
      org.opencontainers.image.description="The built-in trainer of HyperSweep" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["python", "-m", "hypersweep_trainer"]

FROM base AS mlflow
COPY requirements/mlflow.txt /usr/share/hypersweep/requirements.txt
RUN --mount=type=bind,source=requirements,target=/tmp/requirements \
    --mount=type=cache,target=/tmp/cache \
    sh /tmp/requirements/install.sh --require-hashes --requirement /usr/share/hypersweep/requirements.txt
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hypersweep-mlflow" \
      org.opencontainers.image.description="An MLflow tracking server with a PostgreSQL driver" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
EXPOSE 5000
ENTRYPOINT ["mlflow"]
CMD ["server", "--host", "0.0.0.0"]
