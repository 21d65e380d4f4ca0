FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY exporter ./exporter
RUN python -m venv /opt/llama-exporter \
 && /opt/llama-exporter/bin/pip install --no-cache-dir --constraint constraints.txt '.[redis]'

FROM python:3.12-slim
COPY --from=build /opt/llama-exporter /opt/llama-exporter
ENV PATH=/opt/llama-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LLAMA_EXPORTER_PROXY__LISTEN=0.0.0.0:8001 \
    LLAMA_EXPORTER_ADMIN__LISTEN=0.0.0.0:9464
USER 65532:65532
EXPOSE 8001 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/-/healthy', timeout=2)"]
ENTRYPOINT ["llama-exporter"]
CMD ["serve"]
