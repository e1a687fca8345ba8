FROM busybox
CMD ["a", "b c", "d\"e", "\u00e9\n"]
CMD [ ]
CMD [single, quotes]
CMD ['single']
CMD ["unterminated"
CMD ["trailing"] x
CMD
RUN ["/bin/sh", "-c", "echo hi"]
RUN [ -f /etc/passwd ] && echo there
ENTRYPOINT exec top -b
ENTRYPOINT []
SHELL ["powershell", "-command"]
VOLUME ["/data one", "/two"]
VOLUME /three /four
COPY ["with space", "also this/", "/dest dir/"]
COPY [arr.txt /x
EXPOSE 80/tcp 443 8000-8005/udp $PORT
USER ${user:-web}:${group:-www}
STOPSIGNAL SIGKILL
HEALTHCHECK CMD curl -f http://localhost/ || exit 1
HEALTHCHECK NONE
