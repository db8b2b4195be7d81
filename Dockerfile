# The operator's image: any base with Python 3.11 or newer, the locked dependencies, and this package. Nothing in it is
# run by a shell, and nothing is written at run time: it runs with a read-only root file system, as user 65532.
#
#     docker build --tag REPOSITORY/mageflow-operator:VERSION .
#
# Whether it is well is asked at /healthz by the chart's probes, not by a HEALTHCHECK, which Kubernetes ignores.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.txt requirements/operator.txt requirements/
RUN ["python3", "-m", "venv", "/build"]
RUN ["/build/bin/pip", "install", "--quiet", "--require-hashes", "--requirement", "requirements/build.txt"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/mageflow"]
RUN ["/build/bin/pip", "--python", "/opt/mageflow/bin/python3", "install", "--quiet", \
     "--require-hashes", "--only-binary=:all:", "--requirement", "requirements/operator.txt"]
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN ["/build/bin/pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "/dist", "."]
RUN ["/build/bin/pip", "--python", "/opt/mageflow/bin/python3", "install", "--quiet", "--no-deps", "--no-index", \
     "--find-links", "/dist", "mageflow-operator"]

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mageflow-operator" \
      org.opencontainers.image.description="Kubernetes tasks that can be suspended, interrupted and resumed by one field" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/mageflow /opt/mageflow
# A user that the base doesn't know has neither name nor home, and kopf asks for one; nothing is compiled at run time.
ENV PATH="/opt/mageflow/bin:${PATH}" USER=mageflow HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["/opt/mageflow/bin/mageflow-operator"]
CMD ["--all-namespaces"]
