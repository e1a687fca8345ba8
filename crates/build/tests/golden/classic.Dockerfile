ARG G=glob
FROM scratch AS base
ADD rootfs.tar /
ENV PATH=/bin
CMD ["base"]
ONBUILD RUN echo trigger
ONBUILD LABEL trig=yes
FROM base
ARG G
ARG D=dflt
ARG NODEF
MAINTAINER Me <me@x>
LABEL a="b c" d='e"f'
ENV A=1 B="x y $A" C=$D
WORKDIR /app
WORKDIR sub
COPY a.txt .
COPY d /dd/
COPY a.txt d/one /multi/
COPY --chown=web:www a.txt /owned
RUN echo "run $G $D"; id -u
USER web
EXPOSE 80 53/udp 8000-8002
VOLUME ["/v 1", "/v2"]
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --timeout=3s --retries=3 CMD echo ok
ENTRYPOINT echo entry
CMD ["x", "y\"z"]
ONBUILD ADD . /src
