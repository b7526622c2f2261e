"""Classifies audio files with a client that is generated from the .proto files alone.

usage: client.py ADDRESS FILE...

Prints one JSON object a line for each lane: file, lane, label, probabilities by label. Also
checks the server's reflection (v1alpha, which grpcurl uses) and health, and repeats each request with
compression.
"""

import json
import pathlib
import sys
import tempfile

import grpc
import grpc_tools
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def generate(folder: str) -> None:
    """Compiles proto/ into `folder` and makes it importable."""
    common = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{common}", f"--python_out={folder}"]
    arguments += [f"--grpc_python_out={folder}", "undertone/v1/emotion.proto"]
    if protoc.main(arguments) != 0:
        sys.exit("proto/ does not compile")
    sys.path.insert(0, folder)


def main(address: str, files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        from undertone.v1 import emotion_pb2, emotion_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
        expected = {"undertone.v1.EmotionService", "grpc.health.v1.Health"}
        assert expected <= services, services
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING, health

        service = emotion_pb2_grpc.EmotionServiceStub(channel)
        for file in files:
            request = emotion_pb2.ClassifyRequest(audio=pathlib.Path(file).read_bytes())
            answer = service.Classify(request)
            for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
                assert service.Classify(request, compression=compression) == answer, compression
            for lane in answer.lanes:
                emotions = {emotion.label: emotion.probability for emotion in lane.total.emotions}
                row = {"file": file, "lane": lane.index, "label": lane.total.label}
                print(json.dumps(row | {"probabilities": emotions}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
