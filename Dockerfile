# For mybinder.org, and for: docker build -t thesis . && docker run -p 8888:8888 thesis
# TORCH_INDEX: see the README; without it, torch includes CUDA.
FROM python:3.11
ARG TORCH_INDEX=""
ARG NB_UID=1000
RUN useradd --create-home --uid $NB_UID jovyan
USER jovyan
WORKDIR /home/jovyan/thesis
COPY --chown=jovyan . .
RUN make setup TORCH_INDEX=$TORCH_INDEX
ENV PATH=/home/jovyan/thesis/.venv/bin:$PATH
CMD ["jupyter", "lab", "--ip=0.0.0.0", "notebooks"]
