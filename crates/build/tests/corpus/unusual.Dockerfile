FrOm	busybox:1.36@sha256:0000000000000000000000000000000000000000000000000000000000000000	aS  x.y-z_1
RUN	echo	tab
RUN echo é ü 漢字 🦀
RUN\
 echo joined
R\
UN echo split word
COPY a	b c/
WORKDIR path with spaces/
USER a b
