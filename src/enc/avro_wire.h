/*
 * avro_wire.h - the primitive encodings: zigzag varints, little-endian floats.
 *
 * Readers take a cursor and say false when the bytes end or a varint is longer than its type allows.
 */
#ifndef MR_ENC_AVRO_WIRE_H
#define MR_ENC_AVRO_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MR_AVRO_LONG_MAX 10

struct mr_avro_cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline bool mr_avro_get_long_slow(struct mr_avro_cursor *in, int64_t *out)
{
    uint64_t value = 0;
    const uint8_t *at = in->at;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at >= in->end)
            return false;
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            in->at = at;
            *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return true;
        }
    }
    return false;
}

static inline bool mr_avro_get_long(struct mr_avro_cursor *in, int64_t *out)
{
    if (in->end - in->at >= 3) {
        uint32_t a = in->at[0], b = in->at[1], c = in->at[2];
        uint32_t value;
        if (a < 0x80) {
            value = a;
            in->at += 1;
        } else if (b < 0x80) {
            value = (a & 0x7F) | b << 7;
            in->at += 2;
        } else if (c < 0x80) {
            value = (a & 0x7F) | (b & 0x7F) << 7 | c << 14;
            in->at += 3;
        } else {
            return mr_avro_get_long_slow(in, out);
        }
        *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        return true;
    }
    return mr_avro_get_long_slow(in, out);
}

/* An int: a long that must fit. */
static inline bool mr_avro_get_int(struct mr_avro_cursor *in, int64_t *out)
{
    return mr_avro_get_long(in, out) && *out >= INT32_MIN && *out <= INT32_MAX;
}

static inline bool mr_avro_get_raw(struct mr_avro_cursor *in, void *out, size_t size)
{
    if ((size_t)(in->end - in->at) < size)
        return false;
    memcpy(out, in->at, size);
    in->at += size;
    return true;
}

/* The length of a string or bytes, which must be there. */
static inline bool mr_avro_get_size(struct mr_avro_cursor *in, int64_t *out)
{
    return mr_avro_get_long(in, out) && *out >= 0 && *out <= in->end - in->at;
}

/* Room for MR_AVRO_LONG_MAX bytes is the caller's business. */
static inline uint8_t *mr_avro_put_long(uint8_t *at, int64_t value)
{
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    while (rest >= 0x80) {
        *at++ = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    *at++ = (uint8_t)rest;
    return at;
}

#endif
