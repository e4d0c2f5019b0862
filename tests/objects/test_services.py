"""What services demand and lack: conditions, encryption, retention, regions, clocks, certificates, names; and what is said of each."""

import datetime
import email.utils
import os
import subprocess
import tempfile
import time

import fake_s3
from tool import Tool

LARGE = 200000  # in parts of 64 KiB


def conditions_are_tried_out_once():
    server = fake_s3.Server()
    with Tool(server.port) as tool:
        tool.put("a", 1, 10)
        assert [request.key for request in server.requests("PUT")] == ["p/.perdure-probe"] * 2 + ["p/a"]
        tool.put("b", 1, 10)
        assert len(server.requests("PUT")) == 4
        tool.put("c", 1, LARGE)
        before = len(server.log)
        tool.put("d", 1, LARGE)
        assert not any(request.key.endswith("probe") for request in server.log[before:])
        # A look, whether an upload is there, its creation, four parts, its completion.
        assert len(server.log) - before == 8, len(server.log) - before
        assert not server.uploads
        assert [word for word in tool("list", "-", "-", 10).words] == ["a=10", "b=10", f"c={LARGE}", f"d={LARGE}"]
    server.close()


def services_without_conditions():
    for put, complete in ((False, False), (True, False)):
        server = fake_s3.Server(conditional_put=put, conditional_complete=complete)
        with Tool(server.port) as tool:
            for size, works in ((10, put), (LARGE, complete)):
                answer = tool("put", f"n{size}", 1, size)
                assert answer.code == ("PD_OK" if works else "PD_NOT_SUPPORTED"), answer
                assert works or "If-None-Match" in answer.text and f"n{size}" in answer.text, answer
                assert works or f"p/n{size}" not in server.objects
            assert not server.uploads
        with Tool(server.port, PERDURE_S3_LOOK_FIRST="1") as tool:
            for size in (10, LARGE):
                tool.put(f"l{size}", 1, size)
                answer = tool("put", f"l{size}", 2, size)
                assert answer.code == "PD_EXISTS", answer
                tool.expect(f"l{size}", 1, size)
                assert server.objects[f"p/l{size}"].writes == 1
            assert not server.uploads
        server.close()


def services_that_refuse_conditions():
    """Some answer 501 to a header that they do not know."""
    server = fake_s3.Server()

    def meddle(request):
        if "if-none-match" in request.fields:
            raise fake_s3.Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")

    server.meddle = meddle
    with Tool(server.port) as tool:
        assert tool("put", "a", 1, 10).code == "PD_NOT_SUPPORTED"
    with Tool(server.port, PERDURE_S3_LOOK_FIRST="1") as tool:
        for name, size in (("a", 10), ("b", LARGE)):
            tool.put(name, 1, size)
            assert tool("put", name, 2, size).code == "PD_EXISTS"
            tool.expect(name, 1, size)
    server.close()


def what_is_wrong_is_said():
    server = fake_s3.Server()
    with Tool(server.port, PERDURE_S3_SECRET_KEY="wrong") as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code == "PD_PERMISSION" and "secret key" in answer.text, answer
        assert tool("head", "a").code == "PD_PERMISSION"
    with Tool(server.port, PERDURE_S3_ACCESS_KEY="nobody") as tool:
        answer = tool("list", "-", "-", 1)
        assert answer.code == "PD_PERMISSION" and "access key" in answer.text, answer
    with Tool(server.port, PERDURE_S3_REGION="eu-central-1") as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code == "PD_INVALID" and "us-east-1" in answer.text and "eu-central-1" in answer.text, answer
    with Tool(server.port, PERDURE_S3_BUCKET="missing") as tool:
        for words in (("put", "a", 1, 10), ("list", "-", "-", 1), ("delete", "a"), ("get", "a", 1, 0, 10)):
            answer = tool(*words)
            assert answer.code == "PD_NOT_FOUND" and "bucket" in answer.text, answer
    server.meddle = moved
    with Tool(server.port) as tool:
        answer = tool("put", "a", 1, 10)
        assert answer.code == "PD_INVALID" and "eu-west-3" in answer.text, answer
    server.close()


def moved(_):
    raise fake_s3.Refused(301, "PermanentRedirect", "", {"x-amz-bucket-region": "eu-west-3"})


def options_are_checked():
    wrong = [{"PERDURE_S3_BUCKET": "ab"}, {"PERDURE_S3_BUCKET": "a/b"}, {"PERDURE_S3_BUCKET": None}, {"PERDURE_S3_BUCKET": "abc\tx"},
             {"PERDURE_S3_ENDPOINT": "ftp://127.0.0.1"}, {"PERDURE_S3_ENDPOINT": "127.0.0.1:80"}, {"PERDURE_S3_ENDPOINT": "http://"},
             {"PERDURE_S3_ENDPOINT": "http://a/b"}, {"PERDURE_S3_ENDPOINT": "http://user:word@a"}, {"PERDURE_S3_ENDPOINT": "http://a b"},
             {"PERDURE_S3_PREFIX": "/a"}, {"PERDURE_S3_PREFIX": "a/"}, {"PERDURE_S3_PREFIX": "a//b"}, {"PERDURE_S3_PREFIX": ".a"},
             {"PERDURE_S3_REGION": "a b"}, {"PERDURE_S3_SECRET_KEY": None}, {"PERDURE_S3_ACCESS_KEY": None},
             {"PERDURE_S3_PART_SIZE": "1000"}, {"PERDURE_S3_PART_SIZE": str(2**40)}, {"PERDURE_S3_KMS_KEY": "x"},
             {"PERDURE_S3_SSE": "AES256", "PERDURE_S3_OWN_KEY": "1"}, {"PERDURE_S3_SSE": "a\nb"}]
    for environment in wrong:
        with Tool(1, **environment) as tool:
            assert tool.opened.code == "PD_INVALID" and len(tool.opened.text) > 10, (environment, tool.opened)
            tool.process.wait()


def places_in_the_bucket():
    server = fake_s3.Server()
    for prefix, begin in ((None, ""), ("a", "a/"), ("a/b-c/d_e=f+g", "a/b-c/d_e=f+g/")):
        with Tool(server.port, PERDURE_S3_PREFIX=prefix) as tool:
            tool.put("x/y=z+1,@!", 1, 10)
            assert begin + "x/y=z+1,@!" in server.objects
            tool.expect("x/y=z+1,@!", 1, 10)
            assert "x/y=z+1,@!=10" in tool("list", "x/y=z+", "-", 10).words
            assert tool("delete", "x/y=z+1,@!").code == "PD_OK"
    # The bucket in the host's name: libcurl knows that all of localhost is here.
    with Tool(server.port, PERDURE_S3_ENDPOINT=f"http://localhost:{server.port}", PERDURE_S3_STYLE="virtual") as tool:
        tool.put("in/host", 1, 10)
        tool.expect("in/host", 1, 10)
        assert tool("list", "in/", "-", 10).words == ["in/host=10"]
        assert server.log[-1].fields["host"].startswith("objects.localhost:")
    server.close()


def encryption():
    server = fake_s3.Server()
    wanted = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x:1:key/2"}
    with Tool(server.port, PERDURE_S3_SSE="aws:kms", PERDURE_S3_KMS_KEY="arn:aws:kms:x:1:key/2") as tool:
        for name, size in (("small", 10), ("large", LARGE)):
            tool.put(name, 1, size)
            assert wanted.items() <= server.objects["p/" + name].headers.items(), server.objects["p/" + name].headers
            tool.expect(name, 1, size)
    with Tool(server.port, PERDURE_S3_SSE="AES256") as tool:
        tool.put("aes", 1, 10)
        assert server.objects["p/aes"].headers["x-amz-server-side-encryption"] == "AES256"
    with Tool(server.port, PERDURE_S3_OWN_KEY="1", PERDURE_S3_PREFIX="own") as tool:
        for name, size in (("small", 10), ("large", LARGE)):
            tool.put(name, 1, size)
            assert server.objects["own/" + name].headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
            tool.expect(name, 1, size)
    with Tool(server.port, PERDURE_S3_PREFIX="own") as tool:
        assert tool("get", "small", 1, 0, 10).code == "PD_INVALID"
    server.close()


def retention():
    server = fake_s3.Server()
    until = 4102444800 * 10**6  # 2100
    with Tool(server.port) as tool:
        answer = tool("put", "a", 1, 10, until)
        assert answer.code == "PD_NOT_SUPPORTED" and "p/a" not in server.objects, answer
    for mode in ("governance", "compliance"):
        with Tool(server.port, PERDURE_S3_RETENTION=mode) as tool:
            for size in (10, LARGE):
                name = f"{mode}-{size}"
                tool.put(name, 1, size, until)
                headers = server.objects["p/" + name].headers
                assert headers["x-amz-object-lock-mode"] == mode.upper(), headers
                assert headers["x-amz-object-lock-retain-until-date"] == "2100-01-01T00:00:00Z", headers
                answer = tool("delete", name)
                assert answer.code == "PD_PERMISSION" and "locked" in answer.text, answer
                tool.expect(name, 1, size)
            tool.put("free-" + mode, 1, 10)
            assert tool("delete", "free-" + mode).code == "PD_OK"
    server.close()


def clocks_that_differ():
    """The service is an hour ahead: told so, requests are signed by its clock."""
    server = fake_s3.Server()

    def meddle(request):
        now = time.time() + 3600
        asked = datetime.datetime.strptime(request.fields["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs(asked.timestamp() - now) > 900:
            raise fake_s3.Refused(403, "RequestTimeTooSkewed", "", {"date": email.utils.formatdate(now, usegmt=True)})

    server.meddle = meddle
    with Tool(server.port) as tool:
        tool.put("a", 1, 10)
        tool.expect("a", 1, 10)
        assert len(server.requests("PUT")) <= 4
    server.close()


def sweeping():
    server = fake_s3.Server()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    for number in range(5):
        server.uploads[f"old-{number}"] = fake_s3.Upload(f"p/a{number // 2}", {}, number)
    server.uploads["other"] = fake_s3.Upload("other/a", {}, 6)
    server.uploads["young"] = fake_s3.Upload("p/young", {}, 7)
    server.uploads["young"].begun = now
    server.uploads["timeless"] = fake_s3.Upload("p/timeless", {}, 8)
    server.uploads["timeless"].begun = "yesterday"
    # The fake's clock is that of this machine: before 2026-01-15 nothing of it would be old.
    assert time.time() > 1768500000
    with Tool(server.port) as tool:
        answer = tool("sweep", 3600)
        assert answer.code == "PD_OK" and answer.number == 5, answer
        assert sorted(server.uploads) == ["other", "timeless", "young"]
        answer = tool("sweep", 3600)
        assert answer.code == "PD_OK" and answer.number == 0, answer
        assert tool("sweep", 10**12).number == 0
    server.close()


def certificates():
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = os.path.join(directory, "key"), os.path.join(directory, "certificate")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        server = fake_s3.Server(certificate=(certificate, key))
        with Tool(server.port, scheme="https", PERDURE_S3_CA=certificate) as tool:
            tool.put("a", 1, LARGE)
            tool.expect("a", 1, LARGE)
        with Tool(server.port, scheme="https") as tool:
            answer = tool("put", "b", 1, 10)
            assert answer.code == "PD_PERMISSION" and "trust" in answer.text, answer
        with Tool(server.port, scheme="https", PERDURE_S3_CA=os.path.join(directory, "none")) as tool:
            answer = tool("put", "b", 1, 10)
            assert answer.code == "PD_PERMISSION", answer
        # The certificate is for another name.
        with Tool(server.port, PERDURE_S3_ENDPOINT=f"https://localhost:{server.port}", PERDURE_S3_CA=certificate) as tool:
            assert tool("put", "b", 1, 10).code == "PD_PERMISSION"
        assert "p/b" not in server.objects
        server.close()


TESTS = [conditions_are_tried_out_once, services_without_conditions, services_that_refuse_conditions, what_is_wrong_is_said,
         options_are_checked, places_in_the_bucket, encryption, retention, clocks_that_differ, sweeping, certificates]
