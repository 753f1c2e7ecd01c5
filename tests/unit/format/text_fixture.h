/*
 * text_fixture.h - files in memory, read by a text format and shown as JSON lines.
 */
#ifndef MR_TESTS_TEXT_FIXTURE_H
#define MR_TESTS_TEXT_FIXTURE_H

#include "enc/csv_text.h"
#include "enc/json_text.h"
#include "ext/format.h"
#include "ext/registry.h"

struct text_file {
    struct mr_byte_source source;
    const char *data;
};

struct text_fixture {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_runtime runtime;
    struct mr_counters counters;
    struct text_file file;
    struct mr_format_read read;
    struct mr_error err;
    struct mr_bytes out; /* rows as JSON lines */
    struct mr_bytes bad; /* "line:offset:column:reason|record" a line */
    int64_t rows;
};

/* `options`: name, text, .., NULL, rows of the format; may be NULL. */
void text_init(struct text_fixture *f, const struct mr_format *format, const char *const *options,
               int64_t memory);
void text_reset(struct text_fixture *f);
/* The file to read; borrowed. The schema as text, or NULL: as the probe says. */
void text_file(struct text_fixture *f, const char *data, size_t size, const char *schema);
/* Reads a range and appends to out and bad. */
enum mr_status text_read(struct text_fixture *f, const struct mr_format *format, int64_t offset,
                         int64_t size);
/* Clears what was read. */
void text_clear(struct text_fixture *f);
/* The schema that a probe finds, as text in the arena; NULL on failure. */
const char *text_probe(struct text_fixture *f, const struct mr_format *format,
                       struct mr_file_info *info);

#endif
