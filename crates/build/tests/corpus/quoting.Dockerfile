FROM busybox
ENV name value with   spaces and "quotes" and = signs
ENV a=1 b="two words" c='single $a' d=three\ words e=\"escaped\" f= g="" h=a"b"c'd'
ENV multi=first \
    second=2 \
    "third key"=3
LABEL com.example.label-with-value="foo" version="1.0" description="This text illustrates \
that label-values can span multiple lines."
LABEL legacy some text
ARG one two=2 three="3 3" four=
ARG	tab	also=this
MAINTAINER "Someone" <a@b>
env lower=case
