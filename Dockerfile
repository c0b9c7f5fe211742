# A service with exported models (kedro export), without torch:
#   docker build --tag recycling .
#   docker run --publish 8766:8766 --volume $PWD/data/06_models/exported:/models:ro \
#     --env RECYCLING_TOKEN=a-long-random-text recycling --with /models/det.yolox.fold0.onnx
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY conf conf
RUN pip install --no-cache-dir --constraint constraints.txt --editable ".[serve]" \
  && useradd --create-home service && chown service /app

USER service
ENV DO_NOT_TRACK=1 KEDRO_DISABLE_TELEMETRY=1
EXPOSE 8766
HEALTHCHECK CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8766/health')"
# Without a token it does not start: it listens for others.
ENTRYPOINT ["kedro", "serve", "--host", "0.0.0.0", "--port", "8766"]
