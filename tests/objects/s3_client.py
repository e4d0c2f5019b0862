"""A few requests of S3, signed by code that shares nothing with what is tested."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Client:
    def __init__(self, port, access_key, secret_key, region="us-east-1"):
        self.port, self.access_key, self.secret_key, self.region = port, access_key, secret_key, region

    def request(self, method, path, query=None, body=b"", headers=None):
        """(status, headers, body)"""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        signed = {name.lower(): value for name, value in (headers or {}).items()}
        signed.update({"host": f"127.0.0.1:{self.port}", "x-amz-date": now,
                       "x-amz-content-sha256": hashlib.sha256(body).hexdigest()})
        path = urllib.parse.quote(path, safe="/-_.~")
        text = "&".join(f"{urllib.parse.quote(name, safe='-_.~')}={urllib.parse.quote(value, safe='-_.~')}"
                        for name, value in sorted((query or {}).items()))
        names = ";".join(sorted(signed))
        canonical = "\n".join([method, path, text, *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names,
                               signed["x-amz-content-sha256"]])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        key = ("AWS4" + self.secret_key).encode()
        for word in (now[:8], self.region, "s3", "aws4_request"):
            key = sign(key, word)
        signature = sign(key, "\n".join(["AWS4-HMAC-SHA256", now, scope,
                                         hashlib.sha256(canonical.encode()).hexdigest()])).hex()
        signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, "
                                   f"Signature={signature}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path + ("?" + text if text else ""), body=body, headers=signed)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def make_bucket(self, name):
        status, _, body = self.request("PUT", "/" + name)
        if status != 200:
            raise RuntimeError(f"cannot make a bucket: {status} {body[:300]!r}")
