# syntax=docker/dockerfile:1
FROM alpine
RUN <<EOF
apk add curl
# this is no Dockerfile comment
echo "$HOME" && echo 'x' \
  more
EOF
RUN <<-EOT sh -ex
	echo tabs
	EOT
RUN cat <<A > /a && cat <<'B' > /b
expanded $X
A
raw $X
B
RUN python3 <<EOF
print("<<NOT")
EOF
RUN 3<<'F D' cat <&3
from three
F D
COPY ["<<no", "/document"]
COPY <<robots.txt <<"humans.txt" /srv/
User-agent: *
robots.txt
hello $who
humans.txt
ADD --chown=1:2 <<-EOF /x
		two tabs
	EOF
RUN echo $((1 << 3)) a<<b "<<quoted" <<<word
RUN echo 'unbalanced <<EOF
ONBUILD COPY <<EOF /onbuild
later
EOF
RUN <<EOF

EOF
