# The sidecar as an image: docker build -t llama-exporter:0.1.0 . (docs/deploy.md)
FROM python:3.12.14-slim-bookworm AS build
WORKDIR /src
# What changes seldom comes first: as long as these two files stay, the layer with the dependencies does.
COPY pyproject.toml constraints.txt ./
RUN python -m venv --without-pip /opt/llama-exporter \
 && python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['postgresql'], *extras['redis'], *extras['grpc'], sep='\n')" > requirements.txt \
 && pip --python /opt/llama-exporter/bin/python install --no-cache-dir --constraint constraints.txt \
        --requirement requirements.txt
COPY README.md LICENSE ./
COPY exporter ./exporter
RUN pip --python /opt/llama-exporter/bin/python install --no-cache-dir --no-deps . \
 && mkdir -m 700 /state

# What runs holds the interpreter, the virtual environment without pip, and the health check. It writes nothing but its
# history, and that to a volume: `docker run --read-only` works.
FROM python:3.12.14-slim-bookworm
LABEL org.opencontainers.image.title="llama-exporter" \
      org.opencontainers.image.description="A transparent sidecar for llama-server that measures it for Prometheus" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/llama-exporter /opt/llama-exporter
COPY deploy/docker/healthcheck.py /opt/llama-exporter/healthcheck.py
COPY --from=build --chown=65532:65532 /state /var/lib/llama-exporter
ENV PATH=/opt/llama-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib \
    LLAMA_EXPORTER_PROXY__LISTEN=0.0.0.0:8001 \
    LLAMA_EXPORTER_ADMIN__LISTEN=0.0.0.0:9464
USER 65532:65532
# A new volume begins as a copy of the folder, with its owner.
VOLUME /var/lib/llama-exporter
EXPOSE 8001 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s CMD ["python", "-IS", "/opt/llama-exporter/healthcheck.py"]
ENTRYPOINT ["llama-exporter"]
CMD ["serve"]
