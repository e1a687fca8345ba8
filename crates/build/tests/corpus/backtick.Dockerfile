# escape=`
# check=skip=all;error=true
FROM mcr.microsoft.com/windows/nanoserver AS Base
COPY testfile.txt C:\
RUN dir C:\ `
    # a comment inside
    && echo `"quoted`" `

    && type C:\testfile.txt
ENV path=C:\a\b other=a` b "third=c d"
LABEL dir="C:\\x" tick=`"
WORKDIR C:\work
