ARG VERSION=3.12
ARG BASE=python:${VERSION}-slim
ARG TARGETOS
FROM ${BASE} as Deps
ARG VERSION
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM --platform=linux/arm64/v8 ${UNSET:-alpine}:3 AS other
FROM deps AS test
RUN pytest
FROM scratch
COPY --from=deps /app /app
COPY --from=OTHER /etc/os-release /
COPY --from=2 /x /x
COPY --from=nginx:latest /etc/nginx /etc/nginx
