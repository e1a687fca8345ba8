
# not a directive, a comment
# escape=`

   FROM busybox
  # indented comment
RUN echo a \
# comment one
    # comment two
    && echo b \

    && echo c # not a comment

RUN echo \\
RUN echo end \
