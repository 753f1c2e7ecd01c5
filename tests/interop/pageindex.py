"""Reads Parquet's footer and page indexes by itself: pyarrow shows whether they exist, not what they say."""

import struct


class Compact:
    """Thrift's compact protocol: a struct is a dictionary of field number -> value."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def integer(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind, element=False):
        if kind in (1, 2):
            return self.byte() == 1 if element else kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 8:
            size = self.varint()
            self.at += size
            return bytes(self.data[self.at - size:self.at])
        if kind == 9:
            head = self.byte()
            size = head >> 4 if head >> 4 < 15 else self.varint()
            return [self.value(head & 15, True) for _ in range(size)]
        if kind == 12:
            return self.struct()
        raise ValueError(f"thrift type {kind}")

    def struct(self):
        fields, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            last = last + (head >> 4) if head >> 4 else self.integer()
            if last in fields:
                raise ValueError(f"field {last} twice")
            fields[last] = self.value(head & 15)


def footer(data):
    size, = struct.unpack("<I", data[-8:-4])
    reader = Compact(data[len(data) - 8 - size:len(data) - 8])
    meta = reader.struct()
    if reader.at != size:
        raise ValueError("bytes behind the footer")
    return meta


def decode(kind, raw, decimal_scale=None):
    """PLAIN bytes of a bound as a number or bytes, by physical type."""
    formats = {0: "<?", 1: "<i", 2: "<q", 4: "<f", 5: "<d"}
    if kind in formats:
        return struct.unpack(formats[kind], raw)[0]
    return int.from_bytes(raw, "big", signed=True) if decimal_scale is not None else raw


def indexes(path):
    """Per row group and column: (column metadata, column index or None, offset index)."""
    with open(path, "rb") as file:
        data = file.read()
    for group in footer(data)[4]:
        row = []
        for chunk in group[1]:
            index = Compact(data[chunk[6]:chunk[6] + chunk[7]]).struct() if 6 in chunk else None
            offsets = Compact(data[chunk[4]:chunk[4] + chunk[5]]).struct()
            for place in offsets[1]:
                header = Compact(data, place[1])
                page = header.struct()
                if header.at + page[3] != place[1] + place[2] or page[1] != 0:
                    raise ValueError(f"offset index does not point to a data page: {place} {page}")
            row.append((chunk[3], index, offsets[1]))
        yield group[3], row
