# Jürgen wrote this
FROM busybox
MAINTAINER J
  # ÿ
RUN a \
 # þ
 b