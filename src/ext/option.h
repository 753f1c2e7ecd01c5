/*
 * option.h - options are data: one table row is the only place where an option is described.
 *
 * A row drives parsing, "did you mean", `millrace methods`, the reference pages and the JSON
 * Schema. config/ checks a step's "config" object against its table and produces `struct
 * mr_options`; implementations read values by name.
 */
#ifndef MR_EXT_OPTION_H
#define MR_EXT_OPTION_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_option_type {
    MR_OPTION_BOOL, /* true, false, "true", "false" */
    MR_OPTION_INT,  /* number or text of one; `minimum`..`maximum` */
    MR_OPTION_DOUBLE,
    MR_OPTION_SIZE,     /* bytes: "128M", 1048576 */
    MR_OPTION_DURATION, /* microseconds; a bare number takes `unit_micros` */
    MR_OPTION_STRING,   /* numbers and booleans are taken as their text */
    MR_OPTION_ENUM,     /* one of `choices`, ASCII case ignored; value = index */
    MR_OPTION_STRINGS,  /* list of strings; one string is a list of one */
    /* {name: string} in file order; with MR_OPTION_OR_LIST also a list (texts are NULL) */
    MR_OPTION_PAIRS,
    MR_OPTION_OBJECT,  /* an object with the rows of `fields` */
    MR_OPTION_OBJECTS, /* a list of such objects; one object is a list of one */
    /* {name: object}; a list [min, max] fills the first two fields when OR_LIST */
    MR_OPTION_NAMED_OBJECTS,
    MR_OPTION_ANY, /* kept as JSON text */
};

enum mr_option_flag {
    MR_OPTION_REQUIRED = 1 << 0,
    MR_OPTION_SECRET = 1 << 1,     /* never printed */
    MR_OPTION_CONNECTION = 1 << 2, /* may come from the credentials entry or `defaults` */
    MR_OPTION_EXPRESSION = 1 << 3, /* the string(s) are SQL expressions: checked offline */
    MR_OPTION_COLUMN =
        1 << 4, /* the string(s) (or the names of the pairs) are columns of the input */
    MR_OPTION_FRAME = 1 << 5, /* the string(s) name earlier frames */
    MR_OPTION_OR_LIST = 1 << 6,
    MR_OPTION_PREFIX = 1 << 7,  /* the name is a prefix ("kafka."): all such keys, kept as PAIRS */
    MR_OPTION_UNBUILT = 1 << 8, /* known key, behaviour not built: refused by name when present */
    MR_OPTION_OR_SCALAR = 1 << 9, /* OBJECT: a scalar fills its first field */
    /* set by parts of a plan (ext/part.h) only: unknown in a file, and in no documentation */
    MR_OPTION_INTERNAL = 1 << 10,
};

struct mr_option {
    const char *name;
    const char *aliases; /* comma-separated, or NULL */
    enum mr_option_type type;
    unsigned flags;
    const char *fallback; /* default as text, in the form a user could write; NULL = unset */
    const char *unit;     /* for the docs: "rows", "bytes", "seconds", ... */
    int64_t unit_micros;  /* DURATION: unit of a bare number */
    int64_t minimum;      /* INT, SIZE, DURATION; both 0 = no bounds */
    int64_t maximum;
    const char *const *choices;     /* ENUM, NULL-terminated */
    const struct mr_option *fields; /* OBJECT(S), ended by a row without name */
    const char *doc;                /* one sentence or two */
};

/* Every table ends with this row. */
#define MR_OPTION_END                                                                              \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Where a value was written: the file and, from 1, line and column (bytes). 0 = not from a file. */
struct mr_position {
    const char *file;
    int line;
    int column;
};

struct mr_option_pair {
    const char *name;
    const char *text; /* NULL when given as a plain list */
    struct mr_position position;
    const struct mr_options *object; /* NAMED_OBJECTS */
};

struct mr_option_value {
    const struct mr_option *option;
    bool set; /* written by the user or by a preset, or filled from the default */
    bool by_user;
    struct mr_position position;
    union {
        bool boolean;
        int64_t integer; /* INT, SIZE (bytes), DURATION (microseconds), ENUM (index) */
        double number;
        const char *text; /* STRING, ANY (JSON) */
        struct {
            const char *const *items;
            int count;
        } strings;
        struct {
            const struct mr_option_pair *items;
            int count;
        } pairs; /* PAIRS, PREFIX, NAMED_OBJECTS */
        const struct mr_options *object;
        struct {
            const struct mr_options *const *items;
            int count;
        } objects;
    } u;
};

/*
 * The checked options of one step (or of one nested object): a value per row of the table.
 * Arena-owned, immutable.
 */
struct mr_options {
    const struct mr_option *table;
    int count;
    struct mr_option_value *values;
    struct mr_position position; /* of the object */
};

/*
 * Never NULL for a name of the table (asserts); `set` tells whether there is a value. Names are
 * exact.
 */
const struct mr_option_value *mr_options_get(const struct mr_options *options, const char *name);
bool mr_options_has(const struct mr_options *options, const char *name);
/* The value (of an ENUM the choice's text), or the argument/NULL/0 when unset. */
const char *mr_options_text(const struct mr_options *options, const char *name);
int64_t mr_options_integer(const struct mr_options *options, const char *name, int64_t fallback);
bool mr_options_boolean(const struct mr_options *options, const char *name, bool fallback);
/* Is there such a row, set, and to something else than false? For names that not every table has. */
bool mr_options_wants(const struct mr_options *options, const char *name);
/* MR_CONFIG at the position of the option, naming it. */
enum mr_status mr_options_error(const struct mr_options *options, const char *name,
                                struct mr_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* All values unset; NULL when out of memory. */
struct mr_options *mr_options_new(struct mr_arena *arena, const struct mr_option *table);
/*
 * Sets one option from a text, as mr_options_from_texts does. `name` is exact, or the full key of a
 * PREFIX row.
 */
enum mr_status mr_options_set_text(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *text, struct mr_error *err);
/*
 * For operators that make options for others (mr_op.expand), on options of mr_options_new. Texts are
 * copied; the position, for errors, is that of the option which they come from.
 */
enum mr_status mr_options_set_list(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *const *items, int count,
                                   struct mr_error *err);
/* Appends to a PAIRS option; `text` NULL where OR_LIST. */
enum mr_status mr_options_add_pair(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *key, const char *text,
                                   struct mr_error *err);
/* OBJECT sets, OBJECTS appends: made by mr_options_new from the row's `fields`. */
enum mr_status mr_options_add_object(struct mr_arena *arena, struct mr_options *options,
                                     const char *name, const struct mr_options *object,
                                     struct mr_error *err);
/*
 * Values from the `fallback` of every row that is not set. An OBJECT whose fallback is "{}" gets
 * its fields' defaults.
 */
enum mr_status mr_options_fill_defaults(struct mr_arena *arena, struct mr_options *options,
                                        struct mr_error *err);
/*
 * Builds options from texts, with defaults and checks, for tests, presets and embedding: `pairs` is
 * name, text,
 * ..., NULL. Scalar and ENUM rows; STRINGS (comma-separated); PAIRS ("name=text" or "name", one
 * pair each time the option is repeated); PREFIX rows.
 */
enum mr_status mr_options_from_texts(struct mr_arena *arena, const struct mr_option *table,
                                     const char *const *pairs, const struct mr_options **out,
                                     struct mr_error *err);
/* A bound of the row as people write it: with units if it is a size or a duration. */
#define MR_OPTION_BOUND_TEXT 48
void mr_option_bound_text(const struct mr_option *option, int64_t value,
                          char out[MR_OPTION_BOUND_TEXT]);
/* Parses one scalar text by a row (bounds, units and choices checked). Used by config/ as well. */
enum mr_status mr_option_parse(const struct mr_option *option, const char *text,
                               struct mr_option_value *out, struct mr_error *err);
/* What was set, but for options with a flag of `without`: the same bytes for the same options, for hashing. */
void mr_options_write(const struct mr_options *options, unsigned without, struct mr_bytes *out);
int mr_option_table_size(const struct mr_option *table);
/* The row that a key means (name, alias, or prefix), or NULL. */
const struct mr_option *mr_option_find(const struct mr_option *table, const char *key);

#endif
