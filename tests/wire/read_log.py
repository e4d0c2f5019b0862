#!/usr/bin/env python3
"""Print the records of a Perdure data directory, read by docs/format/log.md alone: a proof that the page is enough.

    read_log.py DIRECTORY                               a data directory with a MANIFEST
    read_log.py --log DIRECTORY --cluster HEX --shard N a shard's log directory

One line a record: epoch, LSN, time, kind, level, tenant, actor, client, extensions, effects. Damage goes to stderr, and the
exit status is then 1. It does not salvage: it stops in a segment where a group does not hold and goes on with the next one.
"""
import argparse
import os
import re
import struct
import sys

SECTOR, STAMP, HEADER = 512, 8, 64
RECORDS, HEAD, FOOTER, FRAME_FIRST, FRAME_MIDDLE, FRAME_LAST = range(1, 7)

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


class Damage(Exception):
    pass


class Newer(Exception):
    pass


def varint(data, at):
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Damage("a varint is cut off")
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return number, at


class Log:
    def __init__(self, directory, cluster, shard):
        self.directory, self.cluster, self.shard = directory, cluster, shard
        self.expected, self.chain, self.epoch = None, None, 0
        self.frames = None  # (lsn, next frame, location, bytes)

    def location(self, segment):
        return crc32c(self.cluster + struct.pack("<II", self.shard, segment))

    def state(self, data, segment, number):
        """What one sector's stamp says."""
        sector = data[number * SECTOR:(number + 1) * SECTOR]
        stamped, check = struct.unpack("<II", sector[-STAMP:])
        if stamped <= segment and stamped > 0 and \
                check == crc32c(struct.pack("<Q", number), self.location(stamped)):
            return "current" if stamped == segment else "older"
        return "zero" if not any(sector) else "impossible"

    def header(self, data, segment, number):
        raw = data[number * SECTOR:number * SECTOR + HEADER]
        (magic, header_crc, body_crc, size, sectors, count, first, base, durable, epoch, previous, kind, flags,
         frame) = struct.unpack("<6I3QIIHHI", raw)
        if magic != 0x31474450 or \
                header_crc != crc32c(struct.pack("<Q", number) + raw[8:], self.location(segment)):
            return None
        if flags or not RECORDS <= kind <= FRAME_LAST:
            raise Newer("a group of a newer format")
        return dict(crc=header_crc, body_crc=body_crc, size=size, sectors=sectors, count=count, first=first,
                    base=base, durable=durable, epoch=epoch, previous=previous, kind=kind, frame=frame)

    @staticmethod
    def opened(data, number, header):
        """The payload, stamps taken out; None: the body's checksum does not hold."""
        group = bytearray(data[number * SECTOR:(number + header["sectors"]) * SECTOR])
        slot = (HEADER + header["size"] + 7) // 8 * 8
        for i in range(header["sectors"]):
            if slot % SECTOR == SECTOR - STAMP:
                slot += STAMP
            group[(i + 1) * SECTOR - STAMP:(i + 1) * SECTOR] = group[slot:slot + STAMP]
            slot += STAMP
        if crc32c(group[HEADER:]) != header["body_crc"]:
            return None
        return bytes(group[HEADER:HEADER + header["size"]])

    def segments(self):
        """(number, bytes, head's header or None), in order."""
        found = []
        for name in sorted(os.listdir(self.directory)):
            if not re.fullmatch(r"\d{10}\.seg", name):
                continue
            with open(os.path.join(self.directory, name), "rb") as file:
                data = file.read()
            number = int(name[:10])
            head = self.header(data, number, 0) if len(data) >= SECTOR else None
            found.append((number, data, head))
        return found

    def records(self):
        segments = self.segments()
        for i, (number, data, head) in enumerate(segments):
            later = [s[2]["first"] for s in segments[i + 1:] if s[2]]
            if head is None and not any(data[at:at + 4] == b"PDG1" for at in range(0, len(data), SECTOR)):
                continue
            if head is None:
                raise Damage(f"segment {number} has no head")
            if self.expected is None:
                self.expected = head["first"]
            yield from self.segment(number, data, later[0] if later else None)

    def segment(self, number, data, limit):
        at = 0
        while at < len(data) // SECTOR:
            state = self.state(data, number, at)
            header = self.header(data, number, at) if state == "current" else None
            if header is None:
                if state in ("current", "impossible"):
                    raise Damage(f"segment {number}, sector {at}: rot")
                if limit is not None and limit > self.expected:
                    raise Damage(f"segment {number}, sector {at}: records up to LSN {limit - 1} are gone")
                return  # torn, or never written
            if limit is not None and header["first"] + header["count"] > limit:
                return  # set aside
            states = {self.state(data, number, at + j) for j in range(header["sectors"])}
            if states & {"zero", "older"}:
                return  # torn
            if header["first"] != self.expected or header["epoch"] < self.epoch or \
                    self.chain not in (None, header["previous"]):
                raise Damage(f"segment {number}, sector {at}: a group that does not follow")
            payload = self.opened(data, at, header)
            if payload is None or states != {"current"}:
                raise Damage(f"segment {number}, sector {at}: rot")
            self.chain, self.epoch = header["crc"], header["epoch"]
            at += header["sectors"]
            if header["kind"] == FOOTER:
                self.footer(data, number, payload, header["first"])
                return
            yield from self.group(number, header, payload)

    def footer(self, data, number, payload, next_lsn):
        """The index must agree with the groups that are there."""
        at = sector = 0
        lsn = self.header(data, number, 0)["first"]
        while at < len(payload):
            sectors, at = varint(payload, at)
            count, at = varint(payload, at)
            actors, at = varint(payload, at)
            for _ in range(max(actors, 1) - 1):
                _, at = varint(payload, at)
            header = self.header(data, number, sector)
            if header is None or header["sectors"] != sectors or header["count"] != count:
                raise Damage(f"segment {number}: the index does not agree at sector {sector}")
            sector += sectors
            lsn += count
        if lsn != next_lsn:
            raise Damage(f"segment {number}: the index ends at LSN {lsn}, not {next_lsn}")

    def group(self, number, header, payload):
        location, lsn = self.location(number), header["first"]
        if header["kind"] == HEAD:
            version, shard, cluster, segment = struct.unpack("<II16sI", payload[:28])
            if version > 1:
                raise Newer(f"log format {version}")
            first_frame, first = struct.unpack("<IQ", payload[36:48])
            if (shard, cluster, segment, first, first_frame) != \
                    (self.shard, self.cluster, number, header["first"], header["frame"]):
                raise Damage(f"segment {number}: the head does not agree with itself")
            return
        if header["kind"] >= FRAME_FIRST:
            if header["kind"] == FRAME_FIRST:
                self.frames = (lsn, 0, location, b"")
            if self.frames is None or self.frames[:2] != (lsn, header["frame"]):
                raise Damage(f"LSN {lsn}: a frame without the ones before it")
            self.frames = (lsn, header["frame"] + 1, self.frames[2], self.frames[3] + payload)
            if header["kind"] != FRAME_LAST:
                return
            location, payload = self.frames[2:]
        self.frames = None
        at = 0
        for _ in range(header["count"]):
            crc, length = struct.unpack("<II", payload[at:at + 8])
            record = payload[at:at + length]
            if length < 14 or len(record) != length or \
                    crc != crc32c(struct.pack("<Q", lsn) + record[4:], location):
                raise Damage(f"LSN {lsn}: the record's checksum does not hold")
            yield self.record(header, lsn, record)
            at += length
            lsn += 1
        if at != len(payload):
            raise Damage(f"LSN {lsn}: bytes behind the last record")
        self.expected = lsn

    @staticmethod
    def record(header, lsn, record):
        kind, flags = record[8], record[9]
        if flags & ~0x0F:
            raise Newer("a record of a newer format")
        time, at = varint(record, 10)
        tenant, at = varint(record, at)
        actor, at = varint(record, at)
        client, at = varint(record, at)
        extensions = []
        if flags & 8:
            size, at = varint(record, at)
            end = at + size
            while at < end:
                tag = record[at]
                size, at = varint(record, at + 1)
                extensions.append((tag, record[at:at + size]))
                at += size
        effects = []
        while at < len(record):
            what, type_, key_size, value_size = struct.unpack("<BBHI", record[at:at + 8])
            at += 8
            expires = 0
            if type_ & 0x80:
                expires, = struct.unpack("<Q", record[at:at + 8])
                at += 8
            key = record[at:at + key_size]
            value = record[at + key_size:at + key_size + value_size]
            at += key_size + value_size
            if at > len(record):
                raise Damage(f"LSN {lsn}: an effect is cut off")
            effects.append((what, type_ & 0x7F, expires, key, value))
        return dict(epoch=header["epoch"], lsn=lsn, time=header["base"] + time, kind=kind, level=flags & 7,
                    tenant=tenant, actor=actor, client=client, extensions=extensions, effects=effects)


def read_manifest(directory):
    with open(os.path.join(directory, "MANIFEST"), "rb") as file:
        text = file.read()
    lines = dict(line.split(" ", 1) for line in text.decode().splitlines())
    body = text[:text.rindex(b"crc ")]
    if lines["crc"] != f"{crc32c(body):08x}":
        raise Damage("the manifest's checksum does not hold")
    if int(lines["perdure"]) > 1:
        raise Newer("the directory's format is newer")
    return bytes.fromhex(lines["cluster"]), int(lines["shards"]), int(lines["epoch"])


def show(record):
    extensions = ",".join(f"{tag}:{data.hex()}" for tag, data in record["extensions"])
    effects = " ".join(f"{what}/{type_}/{expires}/{key.hex()}/{crc32c(value):08x}:{len(value)}"
                       for what, type_, expires, key, value in record["effects"])
    print(f"{record['epoch']} {record['lsn']} {record['time']} {record['kind']} {record['level']} "
          f"{record['tenant']} {record['actor']} {record['client']} [{extensions}] {effects}".rstrip())


def main():
    parser = argparse.ArgumentParser(description="Print the records of a Perdure log.")
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--log")
    parser.add_argument("--cluster", default="00" * 16)
    parser.add_argument("--shard", type=int, default=0)
    arguments = parser.parse_args()
    try:
        if arguments.log:
            logs = [Log(arguments.log, bytes.fromhex(arguments.cluster), arguments.shard)]
            epoch = 0
        else:
            cluster, shards, epoch = read_manifest(arguments.directory)
            logs = [Log(os.path.join(arguments.directory, "log", f"{i:04}"), cluster, i) for i in range(shards)]
        for log in logs:
            for record in log.records():
                show(record)
            if log.epoch < epoch:
                raise Damage(f"the log ends in epoch {log.epoch}, the manifest has seen {epoch}")
    except (Damage, Newer) as error:
        sys.exit(f"read_log: {error}")


if __name__ == "__main__":
    main()
