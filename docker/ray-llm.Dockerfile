# Nodes of a Ray cluster that answer a rewriter's questions with vLLM (REALSYN_REWRITER=ray-llm:NAME_OR_PATH). vLLM wants
# other versions than requirements.lock, so nothing of ours is installed: Ray's own image brings both. Its Ray and its
# Python must be those of requirements.lock:
#   docker build -f docker/ray-llm.Dockerfile --build-arg RAY_LLM=rayproject/ray-llm:TAG .
ARG RAY_LLM
FROM ${RAY_LLM}

ENV PYTHONPATH=/opt/realsyn GRPC_ENABLE_FORK_SUPPORT=0
COPY realsyn_ops /opt/realsyn/realsyn_ops
