/*
 * option.c - reading values by an option table.
 *
 * A table row says all there is to say about an option; this file holds the few generic functions
 * over rows: finding the row of a key, reading one text by a row, filling defaults, and getting
 * values by name. A step has at most a few dozen options, so that a linear search by name beats a
 * map in both time and code.
 *
 * Errors name the option and quote what was written, cut to 60 bytes, and never quote the value of
 * a secret row.
 */
#include "ext/option.h"

#include "base/map.h"
#include "base/text.h"
#include "base/time.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#define SHOWN_MAX 60

/* Does `key` occur in a comma-separated list? */
static bool listed(const char *list, const char *key)
{
    size_t size = strlen(key);
    while (list != NULL && *list != '\0') {
        size_t part = strcspn(list, ",");
        if (part == size && memcmp(list, key, size) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

int mr_option_table_size(const struct mr_option *table)
{
    int count = 0;
    while (table != NULL && table[count].name != NULL)
        count++;
    return count;
}

const struct mr_option *mr_option_find(const struct mr_option *table, const char *key)
{
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++)
        if (strcmp(row->name, key) == 0 || listed(row->aliases, key))
            return row;
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++)
        if ((row->flags & MR_OPTION_PREFIX) && strncmp(key, row->name, strlen(row->name)) == 0)
            return row;
    return NULL;
}

/* What was written, quoted and cut for a message. */
static const char *shown(const struct mr_option *option, const char *text, char out[SHOWN_MAX + 8])
{
    if (option->flags & MR_OPTION_SECRET)
        return "a secret value";
    size_t size = strlen(text);
    size_t keep = size > SHOWN_MAX ? SHOWN_MAX : size;
    keep = mr_utf8_valid_prefix(text, keep);
    snprintf(out, SHOWN_MAX + 8, "\"%.*s%s\"", (int)keep, text, keep < size ? "..." : "");
    return out;
}

static enum mr_status bad_value(const struct mr_option *option, const char *text,
                                const char *expected, struct mr_error *err)
{
    char buffer[SHOWN_MAX + 8];
    return mr_error_config(err, "\"%s\" must be %s, not %s", option->name, expected,
                           shown(option, text, buffer));
}

static enum mr_status bad_duration(const struct mr_option *option, const char *text,
                                   struct mr_error *err)
{
    bad_value(option, text, "a duration such as \"5 seconds\"", err);
    mr_error_hint(err, "a number and microseconds, milliseconds, seconds, minutes, hours, days or "
                       "weeks; months and years have no fixed length");
    return MR_CONFIG;
}

void mr_option_bound_text(const struct mr_option *option, int64_t value,
                          char out[MR_OPTION_BOUND_TEXT])
{
    if (option->type == MR_OPTION_SIZE)
        mr_size_format(value, out, MR_OPTION_BOUND_TEXT);
    else if (option->type == MR_OPTION_DURATION)
        mr_duration_format(value, out, MR_OPTION_BOUND_TEXT);
    else
        snprintf(out, MR_OPTION_BOUND_TEXT, "%lld", (long long)value);
}

static enum mr_status check_bounds(const struct mr_option *option, int64_t value,
                                   struct mr_error *err)
{
    if (option->minimum == 0 && option->maximum == 0)
        return MR_OK;
    if (value >= option->minimum && (option->maximum == 0 || value <= option->maximum))
        return MR_OK;
    char low[MR_OPTION_BOUND_TEXT], high[MR_OPTION_BOUND_TEXT];
    mr_option_bound_text(option, option->minimum, low);
    mr_option_bound_text(option, option->maximum, high);
    if (option->maximum == 0 || option->maximum == INT64_MAX)
        return mr_error_config(err, "\"%s\" must be at least %s", option->name, low);
    return mr_error_config(err, "\"%s\" must be between %s and %s", option->name, low, high);
}

/* A whole number; also "1e6" and "10.0", which JSON writers produce for whole numbers. */
static bool parse_integer(const char *text, int64_t *out)
{
    if (mr_text_to_int64(mr_slice_of(text), true, out))
        return true;
    double number;
    if (!mr_text_to_double(mr_slice_of(text), true, &number))
        return false;
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return false;
    *out = (int64_t)number;
    return true;
}

static enum mr_status parse_choice(const struct mr_option *option, const char *text,
                                   struct mr_option_value *out, struct mr_error *err)
{
    size_t count = 0;
    for (; option->choices[count] != NULL; count++) {
        if (mr_text_equal_nocase(option->choices[count], text)) {
            out->u.integer = (int64_t)count;
            return MR_OK;
        }
    }
    char list[320] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof(list) - 1; i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
                                 option->choices[i]);
    char expected[352];
    snprintf(expected, sizeof(expected), "one of %s", list);
    bad_value(option, text, expected, err);
    const char *nearest = mr_nearest_name(text, option->choices, count);
    if (nearest != NULL)
        mr_error_hint(err, "did you mean \"%s\"?", nearest);
    return MR_CONFIG;
}

enum mr_status mr_option_parse(const struct mr_option *option, const char *text,
                               struct mr_option_value *out, struct mr_error *err)
{
    switch (option->type) {
    case MR_OPTION_BOOL:
        if (mr_text_equal_nocase(text, "true"))
            out->u.boolean = true;
        else if (mr_text_equal_nocase(text, "false"))
            out->u.boolean = false;
        else
            return bad_value(option, text, "true or false", err);
        break;
    case MR_OPTION_INT:
        if (!parse_integer(text, &out->u.integer))
            return bad_value(option, text, "a whole number", err);
        MR_TRY(check_bounds(option, out->u.integer, err));
        break;
    case MR_OPTION_DOUBLE:
        if (!mr_text_to_double(mr_slice_of(text), true, &out->u.number) || !isfinite(out->u.number))
            return bad_value(option, text, "a number", err);
        break;
    case MR_OPTION_SIZE:
        if (!mr_size_parse(text, &out->u.integer))
            return bad_value(option, text, "a size such as \"128M\" or 104857600", err);
        MR_TRY(check_bounds(option, out->u.integer, err));
        break;
    case MR_OPTION_DURATION:
        if (!mr_duration_parse(text, option->unit_micros > 0 ? option->unit_micros : 1,
                               &out->u.integer))
            return bad_duration(option, text, err);
        MR_TRY(check_bounds(option, out->u.integer, err));
        break;
    case MR_OPTION_ENUM:
        MR_TRY(parse_choice(option, text, out, err));
        break;
    case MR_OPTION_STRING:
    case MR_OPTION_ANY:
        out->u.text = text;
        break;
    default:
        return bad_value(option, text, "given in another form", err);
    }
    out->option = option;
    out->set = true;
    return MR_OK;
}

struct mr_options *mr_options_new(struct mr_arena *arena, const struct mr_option *table)
{
    int count = mr_option_table_size(table);
    struct mr_options *options = mr_arena_calloc(arena, 1, sizeof(*options));
    if (options == NULL)
        return NULL;
    options->table = table;
    options->count = count;
    options->values = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*options->values));
    if (options->values == NULL)
        return NULL;
    for (int i = 0; i < count; i++)
        options->values[i].option = &table[i];
    return options;
}

/* "a, b ,c" -> three strings. */
static enum mr_status split_list(struct mr_arena *arena, const char *text,
                                 struct mr_option_value *value, struct mr_error *err)
{
    size_t count = 1;
    for (const char *at = text; *at != '\0'; at++)
        count += *at == ',';
    const char **items = mr_arena_calloc(arena, count, sizeof(*items));
    if (items == NULL)
        return mr_error_nomem(err);
    int used = 0;
    for (const char *at = text; count-- > 0;) {
        size_t part = strcspn(at, ",");
        size_t from = 0, to = part;
        while (from < to && at[from] == ' ')
            from++;
        while (to > from && at[to - 1] == ' ')
            to--;
        if (to > from) {
            items[used] = mr_arena_strndup(arena, at + from, to - from);
            if (items[used++] == NULL)
                return mr_error_nomem(err);
        }
        at += part + (at[part] == ',');
    }
    value->u.strings.items = items;
    value->u.strings.count = used;
    value->set = true;
    return MR_OK;
}

/* Appends "name=text", or a bare name, to a PAIRS or PREFIX value. */
static enum mr_status append_pair(struct mr_arena *arena, const char *name, const char *text,
                                  struct mr_option_value *value, struct mr_error *err)
{
    int count = value->u.pairs.count;
    struct mr_option_pair *items = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*items));
    if (items == NULL)
        return mr_error_nomem(err);
    if (count > 0)
        memcpy(items, value->u.pairs.items, (size_t)count * sizeof(*items));
    items[count].name = mr_arena_strdup(arena, name);
    items[count].text = text != NULL ? mr_arena_strdup(arena, text) : NULL;
    if (items[count].name == NULL || (text != NULL && items[count].text == NULL))
        return mr_error_nomem(err);
    value->u.pairs.items = items;
    value->u.pairs.count = count + 1;
    value->set = true;
    return MR_OK;
}

static enum mr_status take_text(struct mr_arena *arena, const char *key, const char *text,
                                struct mr_option_value *value, struct mr_error *err)
{
    const struct mr_option *option = value->option;
    if (option->flags & MR_OPTION_PREFIX)
        return append_pair(arena, key, text, value, err);
    if (option->type == MR_OPTION_STRINGS)
        return split_list(arena, text, value, err);
    if (option->type == MR_OPTION_PAIRS) {
        const char *equals = strchr(text, '=');
        if (equals == NULL)
            return append_pair(arena, text, NULL, value, err);
        char *name = mr_arena_strndup(arena, text, (size_t)(equals - text));
        if (name == NULL)
            return mr_error_nomem(err);
        return append_pair(arena, name, equals + 1, value, err);
    }
    char *copy = mr_arena_strdup(arena, text);
    if (copy == NULL)
        return mr_error_nomem(err);
    return mr_option_parse(option, copy, value, err);
}

enum mr_status mr_options_set_text(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *text, struct mr_error *err)
{
    const struct mr_option *option = mr_option_find(options->table, name);
    if (option == NULL)
        return mr_error_config(err, "unknown option \"%s\"", name);
    return take_text(arena, name, text, &options->values[option - options->table], err);
}

static struct mr_option_value *value_named(struct mr_options *options, const char *name)
{
    return (struct mr_option_value *)(uintptr_t)mr_options_get(options, name);
}

enum mr_status mr_options_set_list(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *const *items, int count,
                                   struct mr_error *err)
{
    struct mr_option_value *value = value_named(options, name);
    assert(value->option->type == MR_OPTION_STRINGS);
    const char **copies = mr_arena_calloc(arena, (size_t)count + 1, sizeof *copies);
    if (copies == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++)
        if ((copies[i] = mr_arena_strdup(arena, items[i])) == NULL)
            return mr_error_nomem(err);
    value->u.strings.items = copies;
    value->u.strings.count = count;
    value->set = true;
    return MR_OK;
}

enum mr_status mr_options_add_pair(struct mr_arena *arena, struct mr_options *options,
                                   const char *name, const char *key, const char *text,
                                   struct mr_error *err)
{
    struct mr_option_value *value = value_named(options, name);
    assert(value->option->type == MR_OPTION_PAIRS);
    size_t count = value->set ? (size_t)value->u.pairs.count : 0;
    struct mr_option_pair *pairs = mr_arena_calloc(arena, count + 1, sizeof *pairs);
    if (pairs == NULL)
        return mr_error_nomem(err);
    if (count > 0)
        memcpy(pairs, value->u.pairs.items, count * sizeof *pairs);
    pairs[count] = (struct mr_option_pair){
        .name = mr_arena_strdup(arena, key),
        .text = text != NULL ? mr_arena_strdup(arena, text) : NULL,
        .position = options->position,
    };
    if (pairs[count].name == NULL || (text != NULL && pairs[count].text == NULL))
        return mr_error_nomem(err);
    value->u.pairs.items = pairs;
    value->u.pairs.count = (int)count + 1;
    value->set = true;
    return MR_OK;
}

enum mr_status mr_options_add_object(struct mr_arena *arena, struct mr_options *options,
                                     const char *name, const struct mr_options *object,
                                     struct mr_error *err)
{
    struct mr_option_value *value = value_named(options, name);
    if (value->option->type == MR_OPTION_OBJECT) {
        value->u.object = object;
        value->set = true;
        return MR_OK;
    }
    assert(value->option->type == MR_OPTION_OBJECTS);
    size_t count = value->set ? (size_t)value->u.objects.count : 0;
    const struct mr_options **objects = mr_arena_calloc(arena, count + 1, sizeof *objects);
    if (objects == NULL)
        return mr_error_nomem(err);
    if (count > 0)
        memcpy(objects, value->u.objects.items, count * sizeof *objects);
    objects[count] = object;
    value->u.objects.items = objects;
    value->u.objects.count = (int)count + 1;
    value->set = true;
    return MR_OK;
}

enum mr_status mr_options_fill_defaults(struct mr_arena *arena, struct mr_options *options,
                                        struct mr_error *err)
{
    for (int i = 0; i < options->count; i++) {
        struct mr_option_value *value = &options->values[i];
        const struct mr_option *option = value->option;
        if (value->set || option->fallback == NULL)
            continue;
        if (option->type == MR_OPTION_OBJECT) {
            struct mr_options *object = mr_options_new(arena, option->fields);
            if (object == NULL)
                return mr_error_nomem(err);
            MR_TRY(mr_options_fill_defaults(arena, object, err));
            value->u.object = object;
            value->set = true;
            continue;
        }
        MR_TRY(take_text(arena, option->name, option->fallback, value, err));
    }
    return MR_OK;
}

enum mr_status mr_options_from_texts(struct mr_arena *arena, const struct mr_option *table,
                                     const char *const *pairs, const struct mr_options **out,
                                     struct mr_error *err)
{
    struct mr_options *options = mr_options_new(arena, table);
    if (options == NULL)
        return mr_error_nomem(err);
    for (; pairs != NULL && pairs[0] != NULL; pairs += 2) {
        MR_TRY(mr_options_set_text(arena, options, pairs[0], pairs[1], err));
        options->values[mr_option_find(table, pairs[0]) - table].by_user = true;
    }
    MR_TRY(mr_options_fill_defaults(arena, options, err));
    for (int i = 0; i < options->count; i++)
        if ((table[i].flags & MR_OPTION_REQUIRED) && !options->values[i].set)
            return mr_error_config(err, "\"%s\" is required", table[i].name);
    *out = options;
    return MR_OK;
}

const struct mr_option_value *mr_options_get(const struct mr_options *options, const char *name)
{
    for (int i = 0; i < options->count; i++)
        if (strcmp(options->table[i].name, name) == 0)
            return &options->values[i];
    assert(!"option is not in the table");
    return NULL;
}

bool mr_options_has(const struct mr_options *options, const char *name)
{
    return mr_options_get(options, name)->set;
}

const char *mr_options_text(const struct mr_options *options, const char *name)
{
    const struct mr_option_value *value = mr_options_get(options, name);
    if (!value->set)
        return NULL;
    if (value->option->type == MR_OPTION_ENUM)
        return value->option->choices[value->u.integer];
    assert(value->option->type == MR_OPTION_STRING || value->option->type == MR_OPTION_ANY);
    return value->u.text;
}

int64_t mr_options_integer(const struct mr_options *options, const char *name, int64_t fallback)
{
    const struct mr_option_value *value = mr_options_get(options, name);
    return value->set ? value->u.integer : fallback;
}

bool mr_options_boolean(const struct mr_options *options, const char *name, bool fallback)
{
    const struct mr_option_value *value = mr_options_get(options, name);
    return value->set ? value->u.boolean : fallback;
}

bool mr_options_wants(const struct mr_options *options, const char *name)
{
    if (options == NULL || mr_option_find(options->table, name) == NULL)
        return false;
    const struct mr_option_value *value = mr_options_get(options, name);
    return value->set && (value->option->type != MR_OPTION_BOOL || value->u.boolean);
}

enum mr_status mr_options_error(const struct mr_options *options, const char *name,
                                struct mr_error *err, const char *format, ...)
{
    const struct mr_option_value *value = mr_options_get(options, name);
    char message[768];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    mr_error_config(err, "\"%s\": %s", name, message);
    struct mr_position at = value->position.line > 0 ? value->position : options->position;
    if (at.line > 0)
        mr_error_where(err, "%s:%d:%d", at.file, at.line, at.column);
    return MR_CONFIG;
}

/* ---- as bytes ---- */

static void write_value(const struct mr_option_value *value, unsigned without, struct mr_bytes *out)
{
    switch (value->option->type) {
    case MR_OPTION_BOOL:
        mr_bytes_printf(out, "%d", value->u.boolean);
        break;
    case MR_OPTION_INT:
    case MR_OPTION_SIZE:
    case MR_OPTION_DURATION:
    case MR_OPTION_ENUM:
        mr_bytes_printf(out, "%lld", (long long)value->u.integer);
        break;
    case MR_OPTION_DOUBLE:
        mr_bytes_printf(out, "%.17g", value->u.number);
        break;
    case MR_OPTION_STRING:
    case MR_OPTION_ANY:
        mr_bytes_lenpref(out, value->u.text, value->u.text != NULL ? strlen(value->u.text) : 0);
        break;
    case MR_OPTION_STRINGS:
        for (int i = 0; i < value->u.strings.count; i++)
            mr_bytes_lenpref_text(out, value->u.strings.items[i]);
        break;
    case MR_OPTION_PAIRS:
    case MR_OPTION_NAMED_OBJECTS:
        for (int i = 0; i < value->u.pairs.count; i++) {
            const struct mr_option_pair *pair = &value->u.pairs.items[i];
            mr_bytes_lenpref_text(out, pair->name);
            if (pair->text != NULL)
                mr_bytes_lenpref_text(out, pair->text);
            mr_options_write(pair->object, without, out);
        }
        break;
    case MR_OPTION_OBJECT:
        mr_options_write(value->u.object, without, out);
        break;
    case MR_OPTION_OBJECTS:
        for (int i = 0; i < value->u.objects.count; i++)
            mr_options_write(value->u.objects.items[i], without, out);
        break;
    }
}

void mr_options_write(const struct mr_options *options, unsigned without, struct mr_bytes *out)
{
    for (int i = 0; options != NULL && i < options->count; i++) {
        const struct mr_option_value *value = &options->values[i];
        if (!value->set || (value->option->flags & without))
            continue;
        mr_bytes_text(out, value->option->name);
        mr_bytes_char(out, '=');
        write_value(value, without, out);
        mr_bytes_char(out, ';');
    }
}
