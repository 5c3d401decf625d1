# The worker and the search service in one image.
#
#     docker build -t liveshelf .
#     docker run --rm liveshelf --help

FROM python:3.11-slim-bookworm AS build

# The address of a package index that has a CPU build of torch; empty for the CUDA build of the default index.
ARG TORCH_INDEX=""

ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/venv

RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 && python -m venv --without-pip /opt/venv

WORKDIR /src

# Dependencies come before the sources, so that a change of the sources does not install them again.
COPY pyproject.toml constraints.txt ./
COPY client client
RUN if [ -n "$TORCH_INDEX" ]; then \
        uv pip install --no-deps --index-url "$TORCH_INDEX" --constraints constraints.txt torch; \
    fi
RUN uv pip install --constraints constraints.txt ./client --requirements pyproject.toml --extra worker --extra search

# .dockerignore says what there is to copy.
COPY . ./
RUN uv pip install --no-deps --build-constraints constraints.txt ./client .


FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --create-home liveshelf \
    && install --directory --owner liveshelf --group liveshelf /home/liveshelf/.cache

COPY --from=build /opt/venv /opt/venv

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

USER 10001
WORKDIR /home/liveshelf

ENTRYPOINT ["liveshelf"]
CMD ["--help"]
