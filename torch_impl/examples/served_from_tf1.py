"""A TensorFlow 1 checkpoint, converted once and then served by onnxruntime, without TensorFlow or PyTorch in the loop.

python -m torch_impl.examples.served_from_tf1 model.ckpt [PORT]
curl -d '{"inputs": [[[0.1, 0.2, 0.3]]], "lengths": [1]}' localhost:8000   # rows of steps of values, or of tokens
"""

import json
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime

import torch_impl
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.export.onnx_model import to_onnx
from torch_impl.tf1 import convert, inferred, listing, locate, understand


def session_of(checkpoint: str) -> onnxruntime.InferenceSession:
    """The model that Saver's graph beside the checkpoint describes, as onnxruntime runs it."""
    with tempfile.TemporaryDirectory() as folder:
        whole = understand.understand(locate.find_prefix(Path(checkpoint)), inferred.TrainedAs())
        print(*listing.story(whole), sep="\n", flush=True)  # what was found, and what no file tells and was assumed
        convert.write_run(whole, folder, inferred.TrainedAs())
        to_onnx(torch_impl.load_run(folder).model, Path(folder) / "model.onnx")
        return onnxruntime.InferenceSession((Path(folder) / "model.onnx").read_bytes())


def server(session: onnxruntime.InferenceSession, port: int) -> ThreadingHTTPServer:
    dtypes, outputs = {"float": np.float32, "double": np.float64, "int64": np.int64}, session.get_outputs()
    wanted = {each.name: dtypes[each.type[len("tensor(") : -1]] for each in session.get_inputs()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                found = session.run(None, {name: np.array(given[name], dtype) for name, dtype in wanted.items()})
                status, answer = 200, {out.name: each.tolist() for out, each in zip(outputs, found, strict=True)}
            except Exception as error:  # whatever a client may send
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    return ThreadingHTTPServer(("localhost", port), Handler)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m torch_impl.examples.served_from_tf1 model.ckpt [PORT]")
    try:
        serving = server(session_of(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
    except CheckpointError as error:
        sys.exit(f"Error: {error}")
    print(f"serving on http://localhost:{serving.server_port}, Ctrl-C ends it", flush=True)
    serving.serve_forever()
