"""A stand-in of the Hugging Face Hub's HTTP API: models in memory, as far as huggingface_hub asks for them here."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_lab"  # noqa: S105 - of the stand-in


@dataclass
class Repo:
    """A repository: its commits, newest last, each with all of its files."""

    private: bool = True
    gated: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str = "") -> str:
        sha = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()  # noqa: S324
        self.commits.append((sha, files))
        self.messages.append(message)
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1] if self.commits else ("0" * 40, {})
        return next((each for each in self.commits if each[0] == revision), None)


@dataclass
class Hub:
    """What is there, what was asked for, and what is to go wrong: `broken` files are served with another last byte."""

    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    status: int | None = None
    endpoint: str = ""


def is_large(name: str) -> bool:
    """Whether the Hub keeps a file outside of Git."""
    return name.endswith((".safetensors", ".onnx", ".bin"))


def etag(name: str, content: bytes) -> str:
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324


@contextmanager
def served() -> Iterator[Hub]:
    """Serve it on a port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, status: int, content: bytes | object = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _may_see(self, repo: Repo | None) -> bool:
        return repo is not None and (not repo.private or self._token() == TOKEN)

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.status is not None:
            return self._send(self.hub.status)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._model(found[1], found[2] or "main")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(*found.groups())
        if found := re.fullmatch(r"/large/(\w+)/(.+)", path):
            repos = self.hub.repos.values()
            files = [files for repo in repos for _, files in repo.commits]
            content = next(each[found[2]] for each in files if etag(found[2], each.get(found[2], b"")) == found[1])
            return self._send(200, self._served(found[2], content))
        return self._send(404)

    def _served(self, name: str, content: bytes) -> bytes:
        return content[:-1] + bytes([content[-1] ^ 1]) if name in self.hub.broken else content

    def _model(self, name: str, revision: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None or not self._may_see(repo):
            return self._send(404, {"error": "not found"}, X_Error_Code="RepoNotFound")
        if (found := repo.at(revision)) is None:
            return self._send(404, {"error": "no revision"}, X_Error_Code="RevisionNotFound")
        siblings = []
        for file, content in found[1].items():
            size = self.hub.sizes.get(file, len(content))
            sibling = {"rfilename": file, "size": size, "blobId": etag("text", content)}
            if is_large(file):
                sibling["lfs"] = {"sha256": etag(file, content), "size": size, "pointerSize": 130}
            siblings.append(sibling)
        answer = {"_id": "1", "id": name, "modelId": name, "sha": found[0], "private": repo.private, "tags": []}
        return self._send(200, {**answer, "siblings": siblings})

    def _file(self, name: str, revision: str, file: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None or not self._may_see(repo):
            return self._send(404, X_Error_Code="RepoNotFound")
        if repo.gated:
            return self._send(403, X_Error_Code="GatedRepo")
        if (found := repo.at(revision)) is None:
            return self._send(404, X_Error_Code="RevisionNotFound")
        if file not in found[1]:
            return self._send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=found[0])
        content, tag = found[1][file], etag(file, found[1][file])
        if is_large(file):  # elsewhere, as with the Hub's own store of large files
            where = f"{self.hub.endpoint.replace('127.0.0.1', 'localhost')}/large/{tag}/{file}"
            linked = {"X_Linked_Etag": f'"{tag}"', "X_Linked_Size": str(len(content))}
            return self._send(302, Location=where, X_Repo_Commit=found[0], **linked)
        return self._send(200, self._served(file, content), ETag=f'"{tag}"', X_Repo_Commit=found[0])

    def do_PUT(self) -> None:
        self.hub.uploaded[self.path.rpartition("/")[2]] = self._body()
        self._send(200)

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        self.hub.asked.append(f"POST {path}")
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if self._token() != TOKEN:
            return self._send(403, {"error": "this token may not write"})
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            private = wanted.get("visibility", "private" if wanted.get("private") else "public") == "private"
            self.hub.repos[name] = Repo(private=private)
            return self._send(200, {"url": f"{self.hub.endpoint}/{name}", "id": "1", "name": name})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": each["path"], "uploadMode": modes[is_large(each["path"])], "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self._send(200, {"files": files})
        if re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.endpoint}/put/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self._send(200, {"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        return self._send(404)

    def _commit(self, name: str, lines: list[dict]) -> None:
        repo = self.hub.repos[name]
        files = dict(repo.at("main")[1])
        message = ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, message)
        url = f"{self.hub.endpoint}/{name}/commit/{sha}"
        self._send(200, {"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})
