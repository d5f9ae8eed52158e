# Builds the one binary without cgo and ships it alone.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /millrace . && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /millrace /millrace
COPY --from=build --chown=nonroot:nonroot /data /data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/millrace"]
CMD ["up", "--data-dir", "/data", "--listen", "0.0.0.0:8080"]
