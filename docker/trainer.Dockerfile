# The tool itself as an image, for shards on Kubernetes (`fraudml submit --engine kubernetes --image ..`), as user 65532.
# The context is the program with the libraries and certificates it opens: `docker/trainer.sh` makes it and builds.
FROM scratch
COPY . /
ENV PATH=/usr/local/bin
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["/usr/local/bin/fraudml"]
