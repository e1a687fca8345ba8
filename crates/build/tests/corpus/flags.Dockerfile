FROM --platform=$BUILDPLATFORM golang AS build
RUN --mount=type=cache,target=/root/.cache,id=go,sharing=locked --mount=type=bind,source=go.mod,target=go.mod,ro --mount=type=secret,id=token,required=true,mode=0400 --mount=type=ssh --mount=type=tmpfs,target=/tmp,size=64m go build
RUN --network=none --security=sandbox make
RUN --mount=target=/x,\"from=a,b\" true
RUN -- --not-a-flag
COPY --from=build --chown=web:www --chmod=755 --link --exclude=*.tmp --exclude=secret /out /app
COPY --parents --link=false ./x/a.txt ./y/a.txt /parents/
ADD --keep-git-dir=true --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://github.com/moby/buildkit.git#v0.10.1 /buildkit
ADD --unpack=false --chown="a b" app.tar /x
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=5 CMD ["curl", "-f", "http://localhost/"]
