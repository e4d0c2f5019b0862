"""An S3 that does as AWS's description says, in memory, for what the real service at hand lacks: conditions on objects in parts, object lock,
encryption headers, session tokens, TLS, buckets in the host. Signatures are checked by code of its own. A test may get in the way of any
request: `server.meddle(request)` is called before it is carried out, and may answer in its stead, or have the answer lost.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import ssl
import threading
import types
import urllib.parse
import xml.etree.ElementTree as ET
from email.utils import formatdate
from xml.sax.saxutils import escape

from s3_client import sign


class Refused(Exception):
    def __init__(self, status, code, message="", headers=None):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class LoseReply(Exception):
    """The request is carried out, and the connection ends without a word."""


class Cut(Exception):
    """So many bytes of the reply's body are sent, and the connection ends."""

    def __init__(self, size):
        super().__init__(size)
        self.size = size


class Object:
    def __init__(self, data, headers, etag=None):
        self.data = data
        self.etag = etag or hashlib.md5(data).hexdigest()
        self.headers = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
        self.writes = 1


class Upload:
    def __init__(self, key, headers, number):
        self.key, self.headers, self.parts, self.number = key, headers, {}, number
        self.begun = "2026-01-15T14:30:00.000Z"


class Door(http.server.ThreadingHTTPServer):
    """Knows how many connections are not over yet."""

    daemon_threads = True

    def __init__(self, *arguments):
        self.open, self.changed = 0, threading.Condition()
        super().__init__(*arguments)

    def handle_error(self, *_):
        pass

    def process_request(self, request, client_address):
        with self.changed:
            self.open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        with self.changed:
            self.open -= 1
            self.changed.notify_all()


class Server:
    def __init__(self, certificate=None, conditional_put=True, conditional_complete=True):
        self.keys = {"AKIDTEST": ("secret/of+test", None)}  # access key: (secret key, session token)
        self.bucket, self.region = "objects", "us-east-1"
        self.objects, self.uploads, self.log = {}, {}, []
        self.conditional_put, self.conditional_complete = conditional_put, conditional_complete
        self.meddle = lambda request: None
        self.after = lambda request: None
        self.lock = threading.RLock()
        server = self

        class Handler(Request):
            owner = server

        self.httpd = Door(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
        self.port = self.httpd.server_address[1]
        self.thread = threading.Thread(target=self.httpd.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def wait_for_the_dead(self):
        """Until all has been done that those sent who are gone now: they are let in one after another, so before this request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        with self.httpd.changed:
            assert self.httpd.changed.wait_for(lambda: self.httpd.open == 0, 60), "a connection stays open"

    def requests(self, method=None):
        with self.lock:
            return [request for request in self.log if method in (None, request.method)]


class Request(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    # ---- around an operation ----

    def serve(self):
        self.method = self.command
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.body = body
        self.fields = {name.lower(): value for name, value in self.headers.items()}
        parsed = urllib.parse.urlsplit(self.path)
        self.raw_path, self.raw_query = parsed.path, parsed.query
        self.query = dict(urllib.parse.parse_qsl(parsed.query, keep_blank_values=True))
        host = self.fields["host"]
        path = urllib.parse.unquote(parsed.path)
        if host.startswith(self.owner.bucket + "."):
            self.bucket, self.key = self.owner.bucket, path[1:]
        else:
            self.bucket, _, self.key = path[1:].partition("/")
        lose, cut = False, None
        self.__dict__.pop("change_list", None)
        self.__dict__.pop("carry_out", None)
        try:
            with self.owner.lock:
                # The connection's next request is in the same object.
                self.owner.log.append(types.SimpleNamespace(method=self.method, key=self.key, query=self.query, fields=self.fields,
                                                            body=body))
                self.check_signature()
                try:
                    self.owner.meddle(self)
                except LoseReply:
                    lose = True
                except Cut as reason:
                    cut = reason.size
                status, headers, reply = self.carry_out()
                self.owner.after(self)
        except Refused as refused:
            status, headers = refused.status, dict(refused.headers)
            reply = (f"<?xml version=\"1.0\"?><Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
                     "</Error>").encode()
        if lose:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response_only(status)
        self.send_header("date", formatdate(usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("content-length", str(len(reply)))
        self.end_headers()
        if self.method != "HEAD":
            self.wfile.write(reply if cut is None else reply[:cut])
        if cut is not None:
            self.close_connection = True

    def check_signature(self):
        authorization = self.fields.get("authorization", "")
        scheme, _, rest = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if rest else {}
        if scheme != "AWS4-HMAC-SHA256" or set(parts) != {"Credential", "SignedHeaders", "Signature"}:
            raise Refused(403, "AccessDenied", "no signature")
        access_key, day, region, service, _ = parts["Credential"].split("/")
        if access_key not in self.owner.keys:
            raise Refused(403, "InvalidAccessKeyId", "no such key")
        secret_key, token = self.owner.keys[access_key]
        if region != self.owner.region:
            raise Refused(400, "AuthorizationHeaderMalformed", "wrong region", {"x-amz-bucket-region": self.owner.region})
        if self.fields.get("x-amz-security-token") != token:
            raise Refused(400, "ExpiredToken", "the token is another one")
        signed = parts["SignedHeaders"].split(";")
        for name in self.fields:
            if (name.startswith("x-amz-") or name in ("host", "content-md5", "range")) and name not in signed:
                raise Refused(403, "AccessDenied", f"{name} is not signed")
        if hashlib.sha256(self.body).hexdigest() != self.fields["x-amz-content-sha256"]:
            raise Refused(400, "XAmzContentSHA256Mismatch")
        query = "&".join(sorted(self.raw_query.split("&"))) if self.raw_query else ""
        canonical = "\n".join([self.method, self.raw_path, query, *(f"{name}:{self.fields[name].strip()}" for name in signed),
                               "", ";".join(signed), self.fields["x-amz-content-sha256"]])
        key = ("AWS4" + secret_key).encode()
        for word in (day, region, service, "aws4_request"):
            key = sign(key, word)
        text = "\n".join(["AWS4-HMAC-SHA256", self.fields["x-amz-date"], f"{day}/{region}/{service}/aws4_request",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        if not hmac.compare_digest(sign(key, text).hex(), parts["Signature"]):
            raise Refused(403, "SignatureDoesNotMatch", "the signature is wrong")

    # ---- operations ----

    def carry_out(self):
        if self.bucket != self.owner.bucket:
            raise Refused(404, "NoSuchBucket")
        if "content-md5" in self.fields:
            if base64.b64encode(hashlib.md5(self.body).digest()).decode() != self.fields["content-md5"]:
                raise Refused(400, "BadDigest")
        operation = {"PUT": self.put, "GET": self.get, "HEAD": self.get, "DELETE": self.delete, "POST": self.post}[self.method]
        return operation()

    def refuse_if_there(self, honoured):
        if "if-none-match" in self.fields and honoured and self.key in self.owner.objects:
            raise Refused(412, "PreconditionFailed")

    def store(self, made):
        old = self.owner.objects.get(self.key)
        made.writes = old.writes + 1 if old else 1
        self.owner.objects[self.key] = made

    def put(self):
        owner = self.owner
        if "partNumber" in self.query:
            upload = owner.uploads.get(self.query["uploadId"])
            if upload is None:
                raise Refused(404, "NoSuchUpload")
            etag = hashlib.md5(self.body).hexdigest()
            upload.parts[int(self.query["partNumber"])] = (self.body, etag)
            return 200, {"etag": f'"{etag}"'}, b""
        self.refuse_if_there(owner.conditional_put)
        made = Object(self.body, self.fields)
        self.store(made)
        return 200, {"etag": f'"{made.etag}"'}, b""

    def get(self):
        owner = self.owner
        if not self.key:
            return self.uploads() if "uploads" in self.query else self.list()
        if "uploadId" in self.query:
            return self.list_parts()
        found = owner.objects.get(self.key)
        if found is None:
            raise Refused(404, "NoSuchKey")
        if found.headers.get("x-amz-server-side-encryption-customer-key") != \
                self.fields.get("x-amz-server-side-encryption-customer-key"):
            raise Refused(400, "InvalidRequest", "the key is another one")
        headers = {"etag": f'"{found.etag}"', "accept-ranges": "bytes"}
        if "x-amz-meta-perdure-put" in found.headers:
            headers["x-amz-meta-perdure-put"] = found.headers["x-amz-meta-perdure-put"]
        if "if-match" in self.fields and self.fields["if-match"] != f'"{found.etag}"':
            raise Refused(412, "PreconditionFailed")
        if self.method == "HEAD":
            return 200, dict(headers, **{"content-length": str(len(found.data))}), b""
        if "range" not in self.fields:
            return 200, headers, found.data
        first, _, last = self.fields["range"].removeprefix("bytes=").partition("-")
        first, last = int(first), min(int(last or 2**63), len(found.data) - 1)
        if first >= len(found.data):
            raise Refused(416, "InvalidRange")
        headers["content-range"] = f"bytes {first}-{last}/{len(found.data)}"
        return 206, headers, found.data[first:last + 1]

    def delete(self):
        if "uploadId" in self.query:
            if self.owner.uploads.pop(self.query["uploadId"], None) is None:
                raise Refused(404, "NoSuchUpload")
            return 204, {}, b""
        found = self.owner.objects.get(self.key)
        if found is not None and "x-amz-object-lock-mode" in found.headers:
            raise Refused(403, "AccessDenied", "the object is locked")
        self.owner.objects.pop(self.key, None)
        return 204, {}, b""

    def post(self):
        owner = self.owner
        if "uploads" in self.query:
            identity = f"upload-{len(owner.log)}+/=&"
            owner.uploads[identity] = Upload(self.key, self.fields, len(owner.log))
            return 200, {}, (f"<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>"
                             f"<UploadId>{escape(identity)}</UploadId></InitiateMultipartUploadResult>").encode()
        upload = owner.uploads.get(self.query["uploadId"])
        if upload is None or upload.key != self.key:
            raise Refused(404, "NoSuchUpload")
        self.refuse_if_there(owner.conditional_complete)
        data, digests, last = b"", b"", 0
        for part in ET.fromstring(self.body):
            number, etag = (int(part[0].text), part[1].text) if part[0].tag.endswith("PartNumber") else (int(part[1].text), part[0].text)
            if number <= last or upload.parts.get(number, (b"", ""))[1] != etag.strip('"'):
                raise Refused(400, "InvalidPart")
            last = number
            data += upload.parts[number][0]
            digests += hashlib.md5(upload.parts[number][0]).digest()
        self.store(Object(data, upload.headers, f"{hashlib.md5(digests).hexdigest()}-{last}"))
        del owner.uploads[self.query["uploadId"]]
        return 200, {}, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"

    # ---- lists ----

    def list(self):
        quoted = lambda text: urllib.parse.quote(text, safe="/-_.~")  # noqa: E731
        keys = sorted(key for key in self.owner.objects
                      if key.startswith(self.query.get("prefix", "")) and key > self.query.get("start-after", ""))
        limit = int(self.query.get("max-keys", "1000"))
        entries = [f"<Contents><Key>{quoted(key)}</Key><Size>{len(self.owner.objects[key].data)}</Size></Contents>"
                   for key in keys[:limit]]
        entries = getattr(self, "change_list", lambda lines: lines)(entries)
        return 200, {}, ("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"
                         f"<IsTruncated>{'true' if len(keys) > limit else 'false'}</IsTruncated>\n  "
                         + "\n  ".join(entries) + "</ListBucketResult>").encode()

    def uploads(self):
        found = sorted((upload.key, identity, upload) for identity, upload in self.owner.uploads.items()
                       if upload.key.startswith(self.query.get("prefix", "")))
        found = [row for row in found
                 if (row[0], row[1]) > (self.query.get("key-marker", ""), self.query.get("upload-id-marker", ""))]
        shown = found[:2]  # so that there are pages
        return 200, {}, ("<ListMultipartUploadsResult>"
                         + "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{escape(identity)}</UploadId>"
                                   f"<Initiated>{upload.begun}</Initiated></Upload>" for key, identity, upload in shown)
                         + (f"<NextKeyMarker>{escape(shown[-1][0])}</NextKeyMarker><NextUploadIdMarker>{escape(shown[-1][1])}"
                            "</NextUploadIdMarker>" if len(found) > 2 else "")
                         + f"<IsTruncated>{'true' if len(found) > 2 else 'false'}</IsTruncated></ListMultipartUploadsResult>").encode()

    def list_parts(self):
        upload = self.owner.uploads.get(self.query["uploadId"])
        if upload is None:
            raise Refused(404, "NoSuchUpload")
        after = int(self.query.get("part-number-marker", "0"))
        numbers = sorted(number for number in upload.parts if number > after)
        shown = numbers[:2]
        return 200, {}, ("<ListPartsResult>"
                         + "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{upload.parts[number][1]}&quot;</ETag>"
                                   f"<Size>{len(upload.parts[number][0])}</Size></Part>" for number in shown)
                         + f"<IsTruncated>{'true' if len(numbers) > 2 else 'false'}</IsTruncated></ListPartsResult>").encode()
