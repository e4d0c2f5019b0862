"""Where credentials are looked for, each place played by a fake on loopback; and that they are asked for again in time."""

import datetime
import http.server
import json
import os
import tempfile
import threading
import urllib.parse

import fake_s3
from tool import Tool

NONE = {"PERDURE_S3_ACCESS_KEY": None, "PERDURE_S3_SECRET_KEY": None}


class Service:
    """Answers with `answer(method, path, headers, body)` -> (status, body), and writes down what it was asked."""

    def __init__(self, answer):
        service = self
        self.asked = []
        self.answer = answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def serve(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                service.asked.append((self.command, self.path))
                status, text = service.answer(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = serve

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()


def later(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def server_with(token):
    server = fake_s3.Server()
    server.keys = {"AKIDTEMP": ("temporary/secret", token)}
    return server


def as_json(token, seconds=3600, **more):
    return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIDTEMP", "SecretAccessKey": "temporary/secret",
                       "Token": token, "Expiration": later(seconds), "Number": 1.5e3, "Nothing": None, **more})


def expect_works(server, **environment):
    with Tool(server.port, **{**NONE, **environment}) as tool:
        tool.put("a", 1, 10)
        tool.expect("a", 1, 10)
        assert tool("delete", "a").code == "PD_OK"


def expect_refused(port, words, **environment):
    with Tool(port, **{**NONE, **environment}) as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code == "PD_PERMISSION" and words in answer.text, answer


def environment_first():
    server = server_with("a token")
    keys = {"AWS_ACCESS_KEY_ID": "AKIDTEMP", "AWS_SECRET_ACCESS_KEY": "temporary/secret", "AWS_SESSION_TOKEN": "a token"}
    expect_works(server, **keys)
    expect_works(server, AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_WEB_IDENTITY_TOKEN_FILE="/nonexistent", **keys)
    expect_refused(server.port, "AWS_SECRET_ACCESS_KEY", AWS_ACCESS_KEY_ID="AKIDTEMP")
    with Tool(server.port, **{**NONE, **keys, "AWS_SECRET_ACCESS_KEY": "x" * 300}) as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code == "PD_TOO_LARGE" and "256" in answer.text, answer
    server.close()


def given_with_the_options():
    server = server_with("a token")
    expect_works(server, PERDURE_S3_ACCESS_KEY="AKIDTEMP", PERDURE_S3_SECRET_KEY="temporary/secret", PERDURE_S3_TOKEN="a token",
                 AWS_ACCESS_KEY_ID="other", AWS_SECRET_ACCESS_KEY="other")
    # There are no others to ask for.
    with Tool(server.port, PERDURE_S3_ACCESS_KEY="AKIDTEMP", PERDURE_S3_SECRET_KEY="temporary/secret", PERDURE_S3_TOKEN="old") as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code not in ("PD_OK", "PD_AGAIN"), answer
    server.close()


def nowhere():
    server = server_with(None)
    expect_refused(server.port, "AWS_ACCESS_KEY_ID")
    server.close()


def shared_file():
    server = server_with("t/o+k=")
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(os.path.join(home, ".aws"))
        path = os.path.join(home, ".aws", "credentials")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# a comment\r\n[ default ]\naws_access_key_id=WRONG\naws_secret_access_key = wrong\n"
                       "[work]\n ; another\n aws_access_key_id = AKIDTEMP \t\r\naws_secret_access_key=temporary/secret\n"
                       "aws_session_token = t/o+k=\nnonsense\n[half]\naws_access_key_id = x\n[empty]\n[unclosed\naws_access_key_id=y")
        expect_works(server, HOME=home, AWS_PROFILE="work")
        expect_works(server, AWS_SHARED_CREDENTIALS_FILE=path, AWS_PROFILE="work")
        expect_refused(server.port, "access key", HOME=home)
        for profile in ("half", "empty", "none"):
            expect_refused(server.port, f"'{profile}'", HOME=home, AWS_PROFILE=profile)
        expect_refused(server.port, "/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
        expect_refused(server.port, "AWS_ACCESS_KEY_ID", HOME=os.path.join(home, "nobody"))
    server.close()


def sts_answer(token, seconds=3600):
    return ("<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>"
            "<Credentials><SessionToken>" + token + "</SessionToken><SecretAccessKey>temporary/secret</SecretAccessKey><Expiration>"
            + later(seconds) + "</Expiration><AccessKeyId>AKIDTEMP</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>")


def web_identity():
    server = server_with("first")
    state = {"token": "first", "seconds": 3600, "status": 200}

    def answer(method, _, headers, body):
        form = urllib.parse.parse_qs(body)
        good = (method == "POST" and headers["content-type"] == "application/x-www-form-urlencoded"
                and form["Action"] == ["AssumeRoleWithWebIdentity"] and form["RoleArn"] == ["arn:aws:iam::1:role/a b"]
                and form["WebIdentityToken"] == ["ey.J+/="])
        return (state["status"], sts_answer(state["token"], state["seconds"])) if good else (403, "<Error>no</Error>")

    with tempfile.NamedTemporaryFile("w", suffix="token") as file, Service(answer) as sts:
        file.write("ey.J+/=\n")
        file.flush()
        settings = {"AWS_WEB_IDENTITY_TOKEN_FILE": file.name, "AWS_ROLE_ARN": "arn:aws:iam::1:role/a b",
                    "AWS_ENDPOINT_URL_STS": sts.url}
        expect_works(server, **settings)
        assert len(sts.asked) == 1
        with Tool(server.port, **{**NONE, **settings}) as tool:
            tool.put("a", 1, 10)
            # Expired before their time, which a HEAD is not even told.
            for word in ("head", "get"):
                asked = len(sts.asked)
                state["token"] = f"of {word}"
                server.keys = {"AKIDTEMP": ("temporary/secret", state["token"])}
                answered = tool("head", "a") if word == "head" else tool("get", "a", 1, 0, 10)
                assert answered.code == "PD_OK" and len(sts.asked) == asked + 1, answered
        # They end in less than five minutes: asked for with each request, and used as long as nobody gives others.
        state["seconds"] = 200
        with Tool(server.port, **{**NONE, **settings}) as tool:
            asked = len(sts.asked)
            assert tool("head", "a").code == "PD_OK" and tool("head", "a").code == "PD_OK"
            assert len(sts.asked) == asked + 2
            state["status"] = 500
            assert tool("head", "a").code == "PD_OK"
        with Tool(server.port, PERDURE_S3_ATTEMPTS="2", **{**NONE, **settings}) as tool:
            assert tool("head", "a").code == "PD_AGAIN"
        state["status"] = 200
        expect_refused(server.port, "403", **dict(settings, AWS_ROLE_ARN="another"))
        expect_refused(server.port, "AWS_ROLE_ARN", AWS_WEB_IDENTITY_TOKEN_FILE=file.name)
        expect_refused(server.port, "/nonexistent", **dict(settings, AWS_WEB_IDENTITY_TOKEN_FILE="/nonexistent"))
    server.close()


def container():
    server = server_with("of the container")

    def answer(_, path, headers, __):
        if path != "/role" or headers.get("authorization") != "a word":
            return 401, "who are you?"
        return 200, as_json("of the container")

    with Service(answer) as agent:
        settings = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url + "/role", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a word"}
        expect_works(server, **settings)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a word\n")
            file.flush()
            expect_works(server, **dict(settings, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=file.name,
                                        AWS_CONTAINER_AUTHORIZATION_TOKEN="wrong"))
        expect_refused(server.port, "401", **dict(settings, AWS_CONTAINER_AUTHORIZATION_TOKEN="wrong"))
        asked = len(agent.asked)
        # In the clear only to where nobody listens in between.
        for host in ("http://localhost.example:80/role", "http://10.0.0.1/role", "http://127.0.0.1.example/role", "ftp://127.0.0.1/role"):
            expect_refused(server.port, "neither https", **dict(settings, AWS_CONTAINER_CREDENTIALS_FULL_URI=host))
        assert len(agent.asked) == asked
    server.close()


def machine():
    server = server_with("of the machine")
    state = {"role": "a-role\n", "document": as_json("of the machine")}

    def answer(method, path, headers, _):
        if (method, path) == ("PUT", "/latest/api/token") and headers["x-aws-ec2-metadata-token-ttl-seconds"]:
            return 200, "session=="
        if headers.get("x-aws-ec2-metadata-token") != "session==":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return (200, state["role"]) if state["role"] else (404, "")
        return (200, state["document"]) if path.endswith("/a-role") else (404, "")

    with Service(answer) as metadata:
        settings = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url, "AWS_EC2_METADATA_DISABLED": None}
        expect_works(server, **settings)
        expect_refused(server.port, "AWS_ACCESS_KEY_ID", **dict(settings, AWS_EC2_METADATA_DISABLED="true"))
        state["role"] = ""
        expect_refused(server.port, "AWS_ACCESS_KEY_ID", **settings)
        state["role"] = "a-role"
        for document in ('{"Code": "Success"}', as_json(""), as_json("x", Expiration="soon")):
            state["document"] = document
            expect_refused(server.port, "lacks", **settings)
        good = as_json("of the machine")
        for document in ("", "{", "[]", "null", good[:-1], '{"AccessKeyId": {"a": 1}}', '{"AccessKeyId": "\\u0000"}', '{"a" 1}', "\0"):
            state["document"] = document
            with Tool(server.port, **{**NONE, **settings}) as tool:
                answered = tool("head", "a")
                assert answered.code in ("PD_CORRUPT", "PD_PERMISSION") and len(answered.text) > 20, (document, answered)
    # Nobody answers there.
    expect_refused(server.port, "AWS_ACCESS_KEY_ID", **settings)
    server.close()


TESTS = [environment_first, given_with_the_options, nowhere, shared_file, web_identity, container, machine]
