/*
 * bytes.c - growing byte strings and the reader of what they wrote.
 *
 * The first failure stays in `status` and turns later appends into nothing, so that code that
 * builds a message reads as a list of appends with one check at its end. Growth doubles up to
 * `maximum`; one byte more is always allocated for the NUL.
 */
#include "base/bytes.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/text.h"

#include <stdio.h>

#define SEAL_SIZE 4 /* a CRC-32 */

bool mr_slice_equal(struct mr_slice a, struct mr_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void mr_bytes_init(struct mr_bytes *bytes, size_t maximum)
{
    *bytes = (struct mr_bytes){.maximum = maximum};
}

void mr_bytes_reset(struct mr_bytes *bytes)
{
    mr_free(bytes->data);
    mr_bytes_init(bytes, bytes->maximum);
}

void mr_bytes_clear(struct mr_bytes *bytes)
{
    bytes->size = 0;
    bytes->status = MR_OK;
    if (bytes->data)
        bytes->data[0] = '\0';
}

/* Room for `size` more bytes and the NUL behind them. */
static bool grow(struct mr_bytes *bytes, size_t size)
{
    if (bytes->status != MR_OK)
        return false;
    if (size > bytes->maximum || bytes->size > bytes->maximum - size) {
        bytes->status = MR_LIMIT;
        return false;
    }
    size_t needed = bytes->size + size + 1;
    if (needed <= bytes->capacity)
        return true;
    size_t wanted = bytes->capacity < 32 ? 64 : bytes->capacity * 2;
    if (wanted > bytes->maximum)
        wanted = bytes->maximum + 1;
    if (wanted < needed)
        wanted = needed;
    char *data = mr_realloc(bytes->data, wanted);
    if (!data) {
        bytes->status = MR_NOMEM;
        return false;
    }
    bytes->data = data;
    bytes->capacity = wanted;
    return true;
}

char *mr_bytes_reserve(struct mr_bytes *bytes, size_t size)
{
    if (!grow(bytes, size))
        return NULL;
    bytes->data[bytes->size + size] = '\0';
    return bytes->data + bytes->size;
}

void mr_bytes_append(struct mr_bytes *bytes, const void *data, size_t size)
{
    if (!grow(bytes, size))
        return;
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = '\0';
}

void mr_bytes_text(struct mr_bytes *bytes, const char *text)
{
    mr_bytes_append(bytes, text, strlen(text));
}

void mr_bytes_char(struct mr_bytes *bytes, char c)
{
    mr_bytes_append(bytes, &c, 1);
}

void mr_bytes_printf(struct mr_bytes *bytes, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int n = vsnprintf(small, sizeof small, format, args);
    if (n >= 0 && (size_t)n < sizeof small) {
        mr_bytes_append(bytes, small, (size_t)n);
    } else if (n >= 0 && grow(bytes, (size_t)n)) {
        vsnprintf(bytes->data + bytes->size, (size_t)n + 1, format, again);
        bytes->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void mr_bytes_quoted(struct mr_bytes *bytes, const char *text, char quote)
{
    mr_bytes_char(bytes, quote);
    for (; *text; text++) {
        if (*text == quote)
            mr_bytes_char(bytes, quote);
        mr_bytes_char(bytes, *text);
    }
    mr_bytes_char(bytes, quote);
}

static void json_escape(struct mr_bytes *bytes, unsigned char c)
{
    switch (c) {
    case '"':
        mr_bytes_append(bytes, "\\\"", 2);
        break;
    case '\\':
        mr_bytes_append(bytes, "\\\\", 2);
        break;
    case '\n':
        mr_bytes_append(bytes, "\\n", 2);
        break;
    case '\r':
        mr_bytes_append(bytes, "\\r", 2);
        break;
    case '\t':
        mr_bytes_append(bytes, "\\t", 2);
        break;
    case '\b':
        mr_bytes_append(bytes, "\\b", 2);
        break;
    case '\f':
        mr_bytes_append(bytes, "\\f", 2);
        break;
    default: {
        static const char hex[] = "0123456789abcdef";
        char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        mr_bytes_append(bytes, text, 6);
    }
    }
}

void mr_bytes_json_string(struct mr_bytes *bytes, const char *text, size_t size)
{
    mr_bytes_char(bytes, '"');
    size_t run = 0, i = 0; /* [run, i) waits to be copied as it is */
    while (i < size) {
        unsigned char c = (unsigned char)text[i];
        int length = 1;
        if (c >= 0x80) {
            uint32_t code_point;
            length = mr_utf8_decode(text + i, size - i, &code_point);
        }
        if (length && c >= 0x20 && c != '"' && c != '\\') {
            i += (size_t)length;
            continue;
        }
        mr_bytes_append(bytes, text + run, i - run);
        if (length)
            json_escape(bytes, c);
        else
            mr_bytes_append(bytes, "\xEF\xBF\xBD", 3);
        run = ++i;
    }
    mr_bytes_append(bytes, size ? text + run : "", i - run);
    mr_bytes_char(bytes, '"');
}

void mr_bytes_u8(struct mr_bytes *bytes, uint8_t value)
{
    mr_bytes_append(bytes, &value, 1);
}

static void put_le(struct mr_bytes *bytes, uint64_t value, size_t size)
{
    uint8_t raw[8];
    for (size_t i = 0; i < size; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    mr_bytes_append(bytes, raw, size);
}

void mr_bytes_u32le(struct mr_bytes *bytes, uint32_t value)
{
    put_le(bytes, value, 4);
}

void mr_bytes_u64le(struct mr_bytes *bytes, uint64_t value)
{
    put_le(bytes, value, 8);
}

void mr_bytes_varint(struct mr_bytes *bytes, uint64_t value)
{
    uint8_t raw[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        raw[n++] = (uint8_t)(value | 0x80);
    raw[n++] = (uint8_t)value;
    mr_bytes_append(bytes, raw, n);
}

void mr_bytes_lenpref(struct mr_bytes *bytes, const void *data, size_t size)
{
    mr_bytes_varint(bytes, size);
    mr_bytes_append(bytes, data, size);
}

void mr_bytes_lenpref_text(struct mr_bytes *bytes, const char *text)
{
    mr_bytes_lenpref(bytes, text ? text : "", text ? strlen(text) : 0);
}

void mr_bytes_seal(struct mr_bytes *bytes, size_t start)
{
    if (bytes->status == MR_OK)
        mr_bytes_u32le(bytes, mr_crc32(0, bytes->data + start, bytes->size - start));
}

enum mr_status mr_bytes_status(const struct mr_bytes *bytes, struct mr_error *err)
{
    if (bytes->status == MR_NOMEM)
        return mr_error_nomem(err);
    if (bytes->status == MR_LIMIT)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a text or message exceeds %zu bytes",
                            bytes->maximum);
    return MR_OK;
}

char *mr_bytes_to_arena(struct mr_bytes *bytes, struct mr_arena *arena)
{
    char *copy = NULL;
    if (bytes->status == MR_OK)
        copy = mr_arena_strndup(arena, bytes->data, bytes->size);
    mr_bytes_reset(bytes);
    return copy;
}

enum mr_status mr_bytes_settle(struct mr_bytes *bytes, struct mr_arena *arena, struct mr_slice *out,
                               struct mr_error *err)
{
    enum mr_status status = mr_bytes_status(bytes, err);
    size_t size = bytes->size;
    char *copy = mr_bytes_to_arena(bytes, arena);
    if (status == MR_OK && !copy)
        status = mr_error_nomem(err);
    if (status == MR_OK)
        *out = (struct mr_slice){copy, size};
    return status;
}

char *mr_bytes_move(struct mr_bytes *bytes, size_t *size)
{
    /* An empty string is a string too. */
    if (!bytes->data && bytes->status == MR_OK)
        mr_bytes_append(bytes, "", 0);
    char *data = bytes->data;
    if (size)
        *size = bytes->size;
    bytes->data = NULL;
    mr_bytes_reset(bytes);
    return data;
}

void mr_byte_reader_init(struct mr_byte_reader *reader, const void *data, size_t size)
{
    reader->at = data;
    reader->end = size ? reader->at + size : reader->at;
    reader->bad = false;
}

/* The next `size` bytes, or NULL and `bad`. */
static const uint8_t *take(struct mr_byte_reader *reader, size_t size)
{
    if (reader->bad || (size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    return at;
}

static uint64_t get_le(struct mr_byte_reader *reader, size_t size)
{
    const uint8_t *at = take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; at && i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint8_t mr_byte_reader_u8(struct mr_byte_reader *reader)
{
    return (uint8_t)get_le(reader, 1);
}

uint32_t mr_byte_reader_u32le(struct mr_byte_reader *reader)
{
    return (uint32_t)get_le(reader, 4);
}

uint64_t mr_byte_reader_u64le(struct mr_byte_reader *reader)
{
    return get_le(reader, 8);
}

uint64_t mr_byte_reader_varint(struct mr_byte_reader *reader)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t *at = take(reader, 1);
        if (!at)
            return 0;
        /* The tenth byte holds the one last bit. */
        if (shift == 63 && *at > 1)
            break;
        value |= (uint64_t)(*at & 0x7F) << shift;
        if (!(*at & 0x80))
            return value;
    }
    reader->bad = true;
    return 0;
}

struct mr_slice mr_byte_reader_lenpref(struct mr_byte_reader *reader)
{
    uint64_t size = mr_byte_reader_varint(reader);
    const uint8_t *at = take(reader, size);
    return (struct mr_slice){(const char *)at, at ? (size_t)size : 0};
}

char *mr_byte_reader_lenpref_text(struct mr_byte_reader *reader, struct mr_arena *arena)
{
    struct mr_slice text = mr_byte_reader_lenpref(reader);
    return mr_arena_strndup(arena, text.data, text.size);
}

bool mr_byte_reader_unseal(struct mr_byte_reader *reader, struct mr_slice bytes)
{
    size_t body = bytes.size < SEAL_SIZE ? 0 : bytes.size - SEAL_SIZE;
    mr_byte_reader_init(reader, bytes.data, bytes.size);
    const uint8_t *record = take(reader, body);
    uint32_t crc = mr_byte_reader_u32le(reader);
    if (reader->bad || crc != mr_crc32(0, record, body)) {
        reader->bad = true;
        return false;
    }
    mr_byte_reader_init(reader, bytes.data, body);
    return true;
}

bool mr_byte_reader_expect(struct mr_byte_reader *reader, const void *data, size_t size)
{
    if (reader->bad || (size_t)(reader->end - reader->at) < size ||
        memcmp(reader->at, data, size) != 0)
        return false;
    reader->at += size;
    return true;
}
