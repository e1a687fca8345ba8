# escape=`
FROM busybox
RUN echo a `
  b
RUN <<EOF
x

y
EOF
CMD ["x"]
