/*
 * bytes.h - a growing byte string with a stated maximum, and a borrowed slice.
 *
 * `mr_bytes` builds text and binary messages (SQL, JSON, page headers, versioned split strings). It
 * is always NUL-terminated behind `size`, so `data` of a text can be used as a C string. It keeps
 * the first failure: after one, appends do nothing and mr_bytes_status tells, so that builders need
 * one check at the end.
 */
#ifndef MR_BASE_BYTES_H
#define MR_BASE_BYTES_H

#include "base/alloc.h"

#include <string.h>

struct mr_arena;

/* A borrowed byte string; the owner says for how long. */
struct mr_slice {
    const char *data;
    size_t size;
};

static inline struct mr_slice mr_slice_of(const char *text)
{
    return (struct mr_slice){text, text ? strlen(text) : 0};
}
bool mr_slice_equal(struct mr_slice a, struct mr_slice b);

struct mr_bytes {
    char *data; /* NULL until the first append */
    size_t size;
    size_t capacity;
    size_t maximum; /* more than this many bytes is MR_LIMIT */
    enum mr_status status;
};

#define MR_BYTES_DEFAULT_MAXIMUM ((size_t)64 << 20)

void mr_bytes_init(struct mr_bytes *bytes, size_t maximum);
/* Frees; `bytes` is as after init with the same maximum. */
void mr_bytes_reset(struct mr_bytes *bytes);
/* Empties and keeps the storage. */
void mr_bytes_clear(struct mr_bytes *bytes);
void mr_bytes_append(struct mr_bytes *bytes, const void *data, size_t size);
void mr_bytes_text(struct mr_bytes *bytes, const char *text);
void mr_bytes_char(struct mr_bytes *bytes, char c);
void mr_bytes_printf(struct mr_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `size` more bytes at data+size; the caller then adds to `size`. NULL on failure. */
char *mr_bytes_reserve(struct mr_bytes *bytes, size_t size);
/* `text` between two `quote`s, those inside it doubled: a name as SQL writes it. */
void mr_bytes_quoted(struct mr_bytes *bytes, const char *text, char quote);
/* JSON string with quotes and escapes; bytes that are not UTF-8 become U+FFFD. */
void mr_bytes_json_string(struct mr_bytes *bytes, const char *text, size_t size);
/* Little-endian fixed and LEB128 integers, for versioned byte strings and file formats. */
void mr_bytes_u8(struct mr_bytes *bytes, uint8_t value);
void mr_bytes_u32le(struct mr_bytes *bytes, uint32_t value);
void mr_bytes_u64le(struct mr_bytes *bytes, uint64_t value);
void mr_bytes_varint(struct mr_bytes *bytes, uint64_t value);
/* varint length, then the bytes. */
void mr_bytes_lenpref(struct mr_bytes *bytes, const void *data, size_t size);
/* The same of a C string, without its NUL; NULL is as "". */
void mr_bytes_lenpref_text(struct mr_bytes *bytes, const char *text);
/*
 * Ends a record that began at `start` with the CRC-32 of its bytes, so that every flipped bit of it is noticed
 * (mr_byte_reader_unseal).
 */
void mr_bytes_seal(struct mr_bytes *bytes, size_t start);
/* MR_OK, MR_NOMEM or MR_LIMIT, as an error if `err` is given. */
enum mr_status mr_bytes_status(const struct mr_bytes *bytes, struct mr_error *err);
/*
 * A copy in the arena, with a NUL behind it; resets `bytes`, whatever comes of it. NULL (settle: the status and an
 * error) if an append had failed or memory is out.
 */
char *mr_bytes_to_arena(struct mr_bytes *bytes, struct mr_arena *arena);
enum mr_status mr_bytes_settle(struct mr_bytes *bytes, struct mr_arena *arena, struct mr_slice *out,
                               struct mr_error *err);
/* The storage moves to the caller (mr_free); `bytes` is empty afterwards. */
char *mr_bytes_move(struct mr_bytes *bytes, size_t *size);

/*
 * Reads what the functions above wrote. After the first shortage `bad` is set and zeroes are
 * returned.
 */
struct mr_byte_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};
void mr_byte_reader_init(struct mr_byte_reader *reader, const void *data, size_t size);
uint8_t mr_byte_reader_u8(struct mr_byte_reader *reader);
uint32_t mr_byte_reader_u32le(struct mr_byte_reader *reader);
uint64_t mr_byte_reader_u64le(struct mr_byte_reader *reader);
uint64_t mr_byte_reader_varint(struct mr_byte_reader *reader);
struct mr_slice mr_byte_reader_lenpref(struct mr_byte_reader *reader);
/* The same as a string of the arena, "" when `bad`; NULL when memory is out. */
char *mr_byte_reader_lenpref_text(struct mr_byte_reader *reader, struct mr_arena *arena);
/*
 * Init for the whole of a sealed record, without its CRC-32; false (and `bad`) if that is not the CRC-32 of
 * the bytes in front of it.
 */
bool mr_byte_reader_unseal(struct mr_byte_reader *reader, struct mr_slice bytes);
/* Skips these bytes if they come next; else reads nothing and returns false. */
bool mr_byte_reader_expect(struct mr_byte_reader *reader, const void *data, size_t size);
/* All was read, and nothing was short. */
static inline bool mr_byte_reader_done(const struct mr_byte_reader *reader)
{
    return !reader->bad && reader->at == reader->end;
}

#endif
