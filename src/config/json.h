/*
 * json.h - a JSON document as a tree that remembers where every value was written.
 */
#ifndef MR_CONFIG_JSON_H
#define MR_CONFIG_JSON_H

#include "ext/option.h"

#define MR_JSON_MAX_BYTES ((size_t)16 << 20)
#define MR_JSON_MAX_DEPTH 64

enum mr_json_kind {
    MR_JSON_NULL,
    MR_JSON_BOOL,
    MR_JSON_NUMBER,
    MR_JSON_STRING,
    MR_JSON_ARRAY,
    MR_JSON_OBJECT,
};

/* Arena-owned. Key order is kept. */
struct mr_json {
    enum mr_json_kind kind;
    bool escaped; /* STRING: the source has escapes, so that offsets in `text` are not columns */
    struct mr_position at; /* of the value */
    const char *text;      /* scalars: the string, or the number or word as written */
    const char *name;      /* as a member of an object: its key */
    struct mr_position name_at;
    struct mr_json *children; /* ARRAY, OBJECT: the first one */
    struct mr_json *next;     /* of the same parent */
    int count;
};

struct mr_config_context;

/*
 * Reads UTF-8 text; a leading UTF-8 byte order mark is skipped, UTF-16 is refused. *out is NULL when an error was
 * reported. A key written twice in one object is reported with both places, and the first one kept. `secret`: messages
 * never quote the text. Fails only when memory is out.
 */
enum mr_status mr_json_parse(struct mr_config_context *context, const char *file, const char *text,
                             size_t size, bool secret, struct mr_json **out);
/* Reads a whole file, then as above. A file that cannot be read is reported at `from`. */
enum mr_status mr_json_parse_file(struct mr_config_context *context, const char *file,
                                  struct mr_position from, bool secret, struct mr_json **out);
/* Member by exact key, or NULL. */
struct mr_json *mr_json_member(const struct mr_json *object, const char *name);
/* "text", "a list": what a value is, for messages. */
const char *mr_json_kind_name(enum mr_json_kind kind);
/* Compact JSON text. */
void mr_json_write(const struct mr_json *value, struct mr_bytes *out);

#endif
