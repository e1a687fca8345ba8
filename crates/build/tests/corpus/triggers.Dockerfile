FROM busybox
ONBUILD ADD . /app/src
ONBUILD RUN /usr/local/bin/python-build \
    --dir /app/src
onbuild env A=b
ONBUILD HEALTHCHECK --interval=3s CMD x
ONBUILD   COPY --from=builder   /a   /b
