# The runtime's image: `sojourn api`, `sojourn relay`, `sojourn worker`, `sojourn migrate`.
# Two stages, so that the second has neither a build tool nor the checkout in it.

FROM python:3.11.16-slim-trixie AS build

WORKDIR /build
RUN python -m venv --without-pip /opt/sojourn
COPY requirements/runtime.txt requirements/
RUN pip --python /opt/sojourn/bin/python install --no-cache-dir --disable-pip-version-check \
        --only-binary=:all: --require-hashes -r requirements/runtime.txt

# One line for each folder: COPY takes what is in a folder, not the folder.
COPY pyproject.toml README.md ./
COPY activities activities
COPY api api
COPY audiences audiences
COPY cli cli
COPY domain domain
COPY infra infra
COPY journeys journeys
COPY migrations migrations
COPY worker worker
COPY workflows workflows
RUN pip --python /opt/sojourn/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation . \
    && pip --python /opt/sojourn/bin/python uninstall --yes setuptools


FROM python:3.11.16-slim-trixie

RUN groupadd --system --gid 10001 sojourn \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin sojourn
COPY --from=build /opt/sojourn /opt/sojourn

ENV PATH=/opt/sojourn/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /tmp
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["sojourn"]
