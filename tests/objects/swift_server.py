#!/usr/bin/python3
"""OpenStack Swift with its S3 interface, whole and small: account, container, object and proxy servers in one process, on loopback, with
all data in one directory. Prints `ready PORT` when it serves; ends when its standard input does.

    swift_server.py DIRECTORY
"""

import logging
import os
import sys

import eventlet

eventlet.monkey_patch(os=False)

from eventlet import wsgi  # noqa: E402
from swift.account.server import AccountController  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring.builder import RingBuilder  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402

PROXY = """
[DEFAULT]
swift_dir = {directory}
user = root
log_level = ERROR

[pipeline:main]
pipeline = catch_errors s3api tempauth slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
min_segment_size = 1
allow_multipart_uploads = true
max_upload_part_num = 10000
ratelimit_as_client_error = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:slo]
use = egg:swift#slo
rate_limit_after_segment = 100000

[filter:dlo]
use = egg:swift#dlo
"""


class Quiet:
    """eventlet wants to write down each request."""

    def write(self, text):
        pass


class Cache:
    """What memcached would be asked: buckets and accounts that were looked up."""

    def __init__(self):
        self.values = {}

    def get(self, key, *_, **__):
        return self.values.get(key)

    def set(self, key, value, *_, **__):
        self.values[key] = value

    def delete(self, key, *_, **__):
        self.values.pop(key, None)

    def incr(self, key, delta=1, *_, **__):
        self.values[key] = self.values.get(key, 0) + delta
        return self.values[key]


def with_cache(application):
    cache = Cache()

    def call(environment, start_response):
        environment["swift.cache"] = cache
        return application(environment, start_response)

    return call


def listen():
    return eventlet.listen(("127.0.0.1", 0))


def ring(directory, name, port):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "port": port, "device": "disk",
                     "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(os.path.join(directory, name + ".ring.gz"))


def serve(listener, application):
    eventlet.spawn(wsgi.server, listener, application, Quiet(), custom_pool=eventlet.GreenPool(200), log_output=False,
                   keepalive=True, debug=False)


def configure(directory):
    with open(os.path.join(directory, "swift.conf"), "w", encoding="utf-8") as file:
        file.write("[swift-hash]\nswift_hash_path_prefix = perdure\nswift_hash_path_suffix = perdure\n"
                   "[storage-policy:0]\nname = only\ndefault = yes\n")
    utils.SWIFT_CONF_FILE = os.path.join(directory, "swift.conf")
    utils.HASH_PATH_PREFIX, utils.HASH_PATH_SUFFIX = b"perdure", b"perdure"
    reload_storage_policies()


def main():
    directory = os.path.abspath(sys.argv[1])
    os.makedirs(os.path.join(directory, "disk"), exist_ok=True)
    configure(directory)
    conf = {"devices": directory, "mount_check": "false", "swift_dir": directory, "fallocate_reserve": "0",
            "disable_fallocate": "true", "log_level": "ERROR", "bind_ip": "127.0.0.1"}
    logging.disable(logging.CRITICAL)
    for name, controller in (("account", AccountController), ("container", ContainerController), ("object", ObjectController)):
        listener = listen()
        port = listener.getsockname()[1]
        ring(directory, name, port)
        serve(listener, controller(dict(conf, bind_port=str(port))))
    proxy_conf = os.path.join(directory, "proxy-server.conf")
    with open(proxy_conf, "w", encoding="utf-8") as file:
        file.write(PROXY.format(directory=directory))
    listener = listen()
    serve(listener, with_cache(loadapp(proxy_conf)))
    print("ready", listener.getsockname()[1], flush=True)
    threading = eventlet.patcher.original("threading")
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        eventlet.sleep(0.2)


if __name__ == "__main__":
    main()
