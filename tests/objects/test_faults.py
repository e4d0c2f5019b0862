"""What may go wrong between the store and its service. Whatever it is: an object is whole or not there, is written once, and is never somebody
else's; what is got is what was put, or an error."""

import threading
import time

import fake_s3
from fault_proxy import Proxy
from tool import Tool, content

PART = 65536
LARGE = 2 * PART + 100  # three parts


def expect_sound(server, tool, name, number, size, answer):
    """After a put that may have failed: what the answer says is so."""
    found = server.objects.get("p/" + name)
    assert answer.code in ("PD_OK", "PD_AGAIN"), answer
    if found is not None:
        assert found.data == content(number, size), f"{name} is not what was put: {answer}"
        assert found.writes == 1, f"{name} was written {found.writes} times: {answer}"
    if answer.code == "PD_OK":
        assert found is not None, f"{name} is not there: {answer}"
        tool.expect(name, number, size)


def warm(tool):
    """What is learned once is learned before the fault."""
    tool.put("warm", 9, LARGE)


def every_request_refused_once():
    """Each request of a put, a get and a list fails once, in each way; another attempt mends it."""
    refusals = [fake_s3.Refused(500, "InternalError"), fake_s3.Refused(503, "SlowDown"), fake_s3.Refused(503, "ServiceUnavailable"),
                fake_s3.Refused(429, "TooManyRequests"), fake_s3.Refused(400, "RequestTimeout"), fake_s3.Refused(502, ""),
                fake_s3.Refused(409, "ConditionalRequestConflict"), fake_s3.Refused(504, "")]
    server = fake_s3.Server()
    state = {"left": 0}

    def meddle(request):
        state["left"] -= 1
        if state["left"] == 0:
            # What a 400 means stands in the body, and a HEAD has none.
            raise fake_s3.Refused(500, "") if request.method == "HEAD" and state["refusal"].status == 400 else state["refusal"]

    with Tool(server.port) as tool:
        warm(tool)
        server.meddle = meddle
        for turn, refusal in enumerate(refusals):
            state["refusal"] = refusal
            for size in (100, LARGE):
                for place in range(1, 12):
                    name = f"r{turn}/{size}-{place}"
                    state["left"] = place
                    tool.put(name, place, size)
                    came = state["left"] <= 0
                    state["left"] = 1
                    tool.expect(name, place, size)
                    assert server.objects["p/" + name].writes == 1
                    assert not any(upload.key == "p/" + name for upload in server.uploads.values())
                    if not came:
                        break
            state["left"] = 1
            assert tool("list", f"r{turn}/", "-", 100).code == "PD_OK"
    server.close()


def every_reply_lost_once():
    """Carried out, but the answer never comes: the next attempt finds its own work, and says so."""
    server = fake_s3.Server()
    state = {"left": 0}

    def meddle(_):
        state["left"] -= 1
        if state["left"] == 0:
            raise fake_s3.LoseReply

    with Tool(server.port) as tool:
        warm(tool)
        server.meddle = meddle
        for size in (0, 100, LARGE):
            for place in range(1, 12):
                name = f"{size}-{place}"
                state["left"] = place
                tool.put(name, place, size)
                came = state["left"] <= 0
                state["left"] = 0
                tool.expect(name, place, size)
                assert server.objects["p/" + name].writes == 1
                if not came:
                    break
            else:
                raise AssertionError("more requests than there can be")
        for place in range(1, 3):
            state["left"] = place
            assert tool("delete", "100-1").code == "PD_OK"
            tool.expect_none("100-1")
    server.close()


def somebody_else_is_faster():
    """The object is there when the condition is looked at: PD_EXISTS, and it stays, though a reply was lost before."""
    server = fake_s3.Server()
    state = {"lose": False}

    def meddle(request):
        creates = request.method == "PUT" and "partNumber" not in request.query or \
            request.method == "POST" and "uploadId" in request.query
        if not creates or request.key == "p/warm":
            return
        if request.key not in server.objects:
            server.objects[request.key] = fake_s3.Object(b"of somebody else", {})
        if state["lose"]:
            state["lose"] = False
            raise fake_s3.LoseReply

    with Tool(server.port) as tool:
        warm(tool)
        server.meddle = meddle
        for size in (100, LARGE):
            for lose in (False, True):
                name = f"{size}-{lose}"
                state["lose"] = lose
                answer = tool("put", name, 1, size)
                assert answer.code == "PD_EXISTS" and name in answer.text, answer
                assert server.objects["p/" + name].data == b"of somebody else"
        assert not server.uploads
    server.close()


def an_error_behind_a_200():
    """CompleteMultipartUpload may begin as if all were well."""
    server = fake_s3.Server()
    state = {"left": 2}

    def meddle(request):
        if request.method == "POST" and "uploadId" in request.query and state["left"] > 0:
            state["left"] -= 1
            raise fake_s3.Refused(200, "InternalError", "We encountered an internal error.")

    with Tool(server.port) as tool:
        warm(tool)
        state["left"] = 2
        server.meddle = meddle
        tool.put("a", 1, LARGE)
        assert state["left"] == 0
        tool.expect("a", 1, LARGE)
    server.close()


def cuts_at_every_byte():
    """The connection ends after so many bytes, in each direction, once; step by step through all of a put and of a get."""
    server = fake_s3.Server()
    with Proxy(server.port) as proxy, Tool(server.port, PERDURE_S3_ENDPOINT=f"http://127.0.0.1:{proxy.port}",
                                           PERDURE_S3_STYLE="path") as tool:
        warm(tool)
        for size, step in ((10, 37), (LARGE, 9973)):
            for direction in ("up", "down"):
                at = 1
                while True:
                    name = f"{direction}-{size}-{at}"
                    proxy.cut(direction, at)
                    answer = tool("put", name, 1, size)
                    came = proxy.cut_came()
                    expect_sound(server, tool, name, 1, size, answer)
                    assert answer.code == "PD_OK", answer
                    proxy.cut(direction, at)
                    tool.expect(name, 1, size)
                    came = proxy.cut_came() or came
                    if not came:
                        break
                    at += step
                assert at > step, "no cut ever came"
    server.close()


def part_boundaries():
    """Cut right before, at and behind the ends of parts; and a process that is killed there: the next goes on with what is there."""
    server = fake_s3.Server()
    with Tool(server.port) as tool:
        warm(tool)
        for delta in (-1, 0, 1):
            size = 2 * PART + delta
            tool.put(f"b{delta}", 1, size)
            tool.expect(f"b{delta}", 1, size)
    for done in range(0, 3):
        name = f"killed-{done}"
        tool = Tool(server.port)
        reached = threading.Event()

        def meddle(request, name=name, done=done, reached=reached):
            if request.query.get("partNumber") == str(done + 1) and request.key == "p/" + name and not reached.is_set():
                reached.set()
                raise fake_s3.LoseReply

        server.meddle = meddle
        thread = threading.Thread(target=lambda tool=tool, name=name: swallow(lambda: tool("put", name, 1, LARGE)))
        thread.start()
        assert reached.wait(60)
        tool.kill()
        thread.join()
        server.meddle = lambda request: None
        server.wait_for_the_dead()
        upload = [upload for upload in server.uploads.values() if upload.key == "p/" + name]
        if not upload:
            continue  # it was fast enough to end
        there = len(upload[0].parts)
        before = len(server.log)
        with Tool(server.port) as tool:
            tool.put(name, 1, LARGE)
            tool.expect(name, 1, LARGE)
        sent = [request for request in server.log[before:] if "partNumber" in request.query and request.key == "p/" + name]
        assert len(sent) == 3 - there, f"{there} parts were there, {len(sent)} of 3 were sent"
        assert server.objects["p/" + name].writes == 1
        assert not any(upload.key == "p/" + name for upload in server.uploads.values())
    server.close()


def swallow(call):
    try:
        call()
    except (AssertionError, OSError, ValueError):
        pass


def an_upload_of_other_content():
    """What an earlier process has sent of something else is not taken for ours."""
    server = fake_s3.Server()
    with Tool(server.port) as tool:
        warm(tool)
        upload = fake_s3.Upload("p/a", {}, 1)
        upload.parts = {1: (content(2, PART), "0" * 32), 2: (content(1, 2 * PART)[PART:], "wrong"), 3: (b"x", "1" * 32), 7: (b"y", "2" * 32)}
        server.uploads["old"] = upload
        # Of another key, which begins alike.
        server.uploads["other"] = fake_s3.Upload("p/ab", {}, 2)
        tool.put("a", 1, LARGE)
        tool.expect("a", 1, LARGE)
        assert list(server.uploads) == ["other"]
    server.close()


def a_reply_lost_of_a_resumed_upload():
    """Its mark is not ours; its content tells."""
    server = fake_s3.Server()

    def meddle(request):
        if request.method == "POST" and "uploadId" in request.query:
            server.meddle = lambda request: None
            raise fake_s3.LoseReply

    with Tool(server.port) as tool:
        warm(tool)
        server.uploads["old"] = fake_s3.Upload("p/a", {}, 1)
        server.meddle = meddle
        tool.put("a", 1, LARGE)
        tool.expect("a", 1, LARGE)
        assert server.objects["p/a"].writes == 1
    server.close()


def slow_services():
    """Trickling is waited for; silence is not."""
    server = fake_s3.Server()
    with Proxy(server.port) as proxy, Tool(proxy.port, PERDURE_S3_TIMEOUT="2", PERDURE_S3_ATTEMPTS="2") as tool:
        warm(tool)
        proxy.slow(0.05, 4096)
        tool.put("trickle", 1, 30000)
        tool.expect("trickle", 1, 30000)
        proxy.slow(0, 0)
        proxy.hang(True)
        started = time.monotonic()
        answer = tool("head", "trickle")
        assert answer.code == "PD_AGAIN" and time.monotonic() - started < 60, answer
        proxy.hang(False)
        tool.expect("trickle", 1, 30000)
    server.close()


def nobody_there():
    server = fake_s3.Server()
    server.close()
    with Tool(server.port, PERDURE_S3_ATTEMPTS="3") as tool:
        for words in (("head", "a"), ("put", "a", 1, 10), ("list", "-", "-", 10), ("delete", "a"), ("sweep", 0)):
            answer = tool(*words)
            assert answer.code == "PD_AGAIN" and "s3://objects/p" in answer.text, answer


def stale_and_duplicated_lists():
    """Entries twice, in another order, from before: each name once, in order, and an end."""
    server = fake_s3.Server()
    names = [f"n{number:02}" for number in range(20)]
    with Tool(server.port) as tool:
        for name in names:
            server.objects["p/" + name] = fake_s3.Object(b"x", {})
        server.objects["p/not a name"] = server.objects["other"] = fake_s3.Object(b"x", {})

        def meddle(request):
            request.change_list = lambda entries: entries[::-1] + entries + ["<Contents><Key>p/a-stale</Key><Size>1</Size></Contents>"]

        server.meddle = meddle
        for limit in (1, 3, 7, 50):
            seen, after = [], "-"
            for _ in range(50):
                answer = tool("list", "n", after, limit)
                assert answer.code == "PD_OK", answer
                seen += [word.partition("=")[0] for word in answer.words if word != "more"]
                if "more" not in answer.words:
                    break
                after = seen[-1]
            assert seen == names, seen
        # More is promised, and nothing comes.
        server.meddle = lambda request: setattr(request, "change_list", lambda entries: [])
        answer = tool("list", "n", "-", 5)
        assert answer.code == "PD_CORRUPT", answer
    server.close()


def lists_that_are_none():
    server = fake_s3.Server()
    bodies = [b"", b"<", b"<html><body>proxy</body>", b"<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult>&b;</ListBucketResult>",
              b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
              b"<ListBucketResult><Contents><Key>p/a</Key><Size>much</Size></Contents></ListBucketResult>",
              b"<a>" * 1000, b"<ListBucketResult><Contents><Key>" + b"x" * 20000 + b"</Key></Contents></ListBucketResult>", b"\0", b"\xff\xfe"]
    with Tool(server.port) as tool:
        for body in bodies:
            def meddle(request, body=body):
                request.carry_out = lambda: (200, {}, body)

            server.meddle = meddle
            answer = tool("list", "-", "-", 5)
            assert answer.code == "PD_CORRUPT", (body[:50], answer)
    server.close()


def replaced_while_it_is_read():
    """The connection breaks, and behind the name there is another object: no mixture of both."""
    server = fake_s3.Server()

    def meddle(request):
        if request.method == "GET" and request.key == "p/a":
            server.meddle = replace
            raise fake_s3.Cut(40000)

    def replace(request):
        if request.method == "GET" and request.key == "p/a":
            server.objects["p/a"] = fake_s3.Object(content(2, LARGE), {})

    with Tool(server.port) as tool:
        tool.put("a", 1, LARGE)
        server.meddle = meddle
        answer = tool("get", "a", 1, 0, LARGE)
        assert answer.code == "PD_CONFLICT" and "DIFFERENT" not in answer.words, answer
    server.close()


def services_without_ranges():
    server = fake_s3.Server()

    def meddle(request):
        request.fields.pop("range", None)

    with Tool(server.port) as tool:
        tool.put("a", 1, 1000)
        server.meddle = meddle
        answer = tool("get", "a", 1, 10, 20)
        assert answer.code == "PD_NOT_SUPPORTED", answer
        tool.expect("a", 1, 1000)
    server.close()


TESTS = [every_request_refused_once, every_reply_lost_once, somebody_else_is_faster, an_error_behind_a_200, cuts_at_every_byte,
         part_boundaries, an_upload_of_other_content, a_reply_lost_of_a_resumed_upload, slow_services, nobody_there,
         stale_and_duplicated_lists, lists_that_are_none, replaced_while_it_is_read, services_without_ranges]
