/*
 * function.c - the list of function families, and look-up by name.
 *
 * A few hundred names compared by length and first letter need about a microsecond; a hash table would be a mutable
 * global or a generated file.
 */
#include "sql/function.h"

#include "base/map.h"
#include "base/text.h"
#include "sql/aggregate_call.h"
#include "sql/window.h"

#include <stdio.h>

/* One a line, so that new families do not collide. */
/* clang-format off */
static const struct mr_function_family *const families[] = {
    &mr_functions_operator,
    &mr_functions_predicate,
    &mr_functions_null,
    &mr_functions_conditional,
    &mr_functions_math,
    &mr_functions_text,
    &mr_functions_time,
    &mr_functions_time_text,
    &mr_functions_nested,
    &mr_functions_encode,
    &mr_functions_time_units,
    &mr_functions_array,
    &mr_functions_array_change,
    &mr_functions_array_make,
    &mr_functions_map,
    &mr_functions_json,
    &mr_functions_to_json,
    &mr_functions_from_json,
    &mr_functions_json_object,
    &mr_functions_regex,
    &mr_functions_hash,
    &mr_functions_generator,
    &mr_functions_interval,
    &mr_functions_convert,
    &mr_functions_random,
    &mr_functions_url,
    &mr_functions_format,
    &mr_functions_number_text,
    &mr_functions_bytes,
};
/* clang-format on */

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_name(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

/* Operators with a space in their name (IS NULL) have no aliases. */
static bool row_has_name(const struct mr_function *function, const char *name, size_t size)
{
    const char *at = function->names;
    if (strncmp(at, "IS ", 3) == 0)
        return strlen(at) == size && memcmp(at, name, size) == 0;
    while (*at) {
        size_t length = strcspn(at, " ");
        if (length == size && same_name(at, name, size))
            return true;
        at += length;
        at += *at == ' ';
    }
    return false;
}

const struct mr_function *mr_function_find(const char *name, const struct mr_function *previous)
{
    size_t size = strlen(name);
    bool behind = previous == NULL;
    for (size_t f = 0; f < FAMILIES; f++) {
        const struct mr_function *first = families[f]->functions;
        const struct mr_function *end = first + families[f]->count;
        if (!behind && (previous < first || previous >= end))
            continue;
        for (const struct mr_function *row = behind ? first : previous + 1; row < end; row++) {
            if (row_has_name(row, name, size))
                return row;
        }
        behind = true;
    }
    return NULL;
}

/* The names in `names` that are nearer than *out, which is empty at first. */
static void take_nearest(const char *name, const char *names, char *out, size_t capacity)
{
    for (const char *at = names; *at; at += *at == ' ') {
        size_t length = strcspn(at, " ");
        char one[64], two[64];
        snprintf(one, sizeof(one), "%.*s", (int)length, at);
        snprintf(two, sizeof(two), "%s", out);
        const char *both[2] = {two, one};
        const char *nearest = mr_nearest_name(name, both, 2);
        if (nearest != NULL)
            snprintf(out, capacity, "%s", nearest);
        at += length;
    }
}

const char *mr_function_nearest(const char *name, char *out, size_t capacity)
{
    struct mr_function_doc doc;
    out[0] = '\0';
    for (size_t f = 0; f < FAMILIES; f++) {
        for (size_t i = 0; i < families[f]->count; i++) {
            const struct mr_function *row = &families[f]->functions[i];
            if (row->signature != NULL)
                take_nearest(name, row->names, out, capacity);
        }
    }
    for (size_t i = 0; mr_sql_aggregate_doc(i, &doc); i++)
        take_nearest(name, doc.names, out, capacity);
    for (size_t i = 0; mr_sql_window_doc(i, &doc); i++)
        take_nearest(name, doc.names, out, capacity);
    return out[0] != '\0' ? out : NULL;
}

void mr_function_refuse(const char *name, struct mr_function_refusal *out)
{
    char near[64];
    out->hint[0] = '\0';
    if (mr_aggregate_find(name) != NULL) {
        snprintf(out->message, sizeof(out->message),
                 "%.60s is an aggregate function and has no place in this expression", name);
        snprintf(out->hint, sizeof(out->hint),
                 "use aggregateData (its \"having\" filters groups) or windowColumns");
    } else if (mr_window_is_function(name)) {
        snprintf(out->message, sizeof(out->message),
                 "%.60s is a window function and has no place in this expression", name);
        snprintf(out->hint, sizeof(out->hint),
                 "make a column of it with windowColumns, or with OVER in the query of a sql step");
    } else {
        snprintf(out->message, sizeof(out->message), "unknown function %.80s", name);
        if (mr_function_nearest(name, near, sizeof(near)) != NULL)
            snprintf(out->hint, sizeof(out->hint), "did you mean %s?", near);
    }
}

const struct mr_function *mr_function_at(size_t i)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        if (i < families[f]->count)
            return &families[f]->functions[i];
        i -= families[f]->count;
    }
    return NULL;
}
