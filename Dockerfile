# Build:  docker build -t bearer-proxy .
# Run:    see "In a container" in README.md
#
# The data plane listens on all addresses of the container, so the configuration has to say who may call (`clients`,
# `anonymous`): the container does not start without it. The control plane stays on the container's loopback.
# compose.yaml runs it with two sample callers.

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
RUN python -m venv /opt/bearer-proxy \
 && /opt/bearer-proxy/bin/pip install --no-cache-dir .

FROM python:3.12-slim
COPY --from=build /opt/bearer-proxy /opt/bearer-proxy
COPY config.yaml /etc/bearer-proxy/config.yaml
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin bearer-proxy \
 && install -d -o 10001 -g 0 -m 0700 /data
ENV PATH=/opt/bearer-proxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BEARER_PROXY_CONFIG=/etc/bearer-proxy/config.yaml \
    BEARER_PROXY_LISTEN=0.0.0.0:8080 \
    BEARER_PROXY_STORE=sqlite:/data/tokens.db
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["bearer-proxy"]
CMD ["serve"]
