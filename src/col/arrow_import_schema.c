/*
 * arrow_import_schema.c - an Arrow schema as ours.
 *
 * Types that we do not have become the next wider one (unsigned integers, seconds, 64-bit offsets);
 * arrow_import.c widens the values to match. What has no wider one is refused by name: half floats,
 * durations, unions, run-end encoding, list views, decimals of 256 bits.
 */
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"

#include <stdio.h>

static enum mr_status unsupported(const struct ArrowSchema *in, struct mr_error *err)
{
    return mr_error_config(err, "Arrow column \"%s\" of format \"%s\" has no type here",
                           in->name ? in->name : "", in->format);
}

/* The extension name of a schema node, or an empty slice. */
static struct mr_slice extension_name(const struct ArrowSchema *in)
{
    static const char wanted[] = "ARROW:extension:name";
    const char *at = in->metadata;
    int32_t pairs, size;
    if (!at)
        return (struct mr_slice){"", 0};
    memcpy(&pairs, at, 4);
    at += 4;
    for (int32_t i = 0; i < pairs; i++) {
        memcpy(&size, at, 4);
        struct mr_slice key = {at + 4, (size_t)size};
        at += 4 + size;
        memcpy(&size, at, 4);
        struct mr_slice value = {at + 4, (size_t)size};
        at += 4 + size;
        if (mr_slice_equal(key, mr_slice_of(wanted)))
            return value;
    }
    return (struct mr_slice){"", 0};
}

static bool is_extension(const struct ArrowSchema *in, const char *name)
{
    return mr_slice_equal(extension_name(in), mr_slice_of(name));
}

static enum mr_status checked(const struct mr_type *type, const struct mr_type **out,
                              struct mr_error *err)
{
    *out = type;
    return type ? MR_OK : mr_error_nomem(err);
}

static enum mr_status import_field(const struct ArrowSchema *in, struct mr_arena *arena,
                                   struct mr_field *out, struct mr_error *err);

static enum mr_status import_nested_type(const struct ArrowSchema *in, struct mr_arena *arena,
                                         const struct mr_type **out, struct mr_error *err)
{
    size_t n = (size_t)in->n_children;
    struct mr_field *fields = mr_arena_calloc(arena, n, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (size_t i = 0; i < n; i++)
        MR_TRY(import_field(in->children[i], arena, &fields[i], err));
    switch (in->format[1]) {
    case 's':
        return checked(mr_type_struct(arena, fields, (int)n), out, err);
    case 'l':
    case 'L':
    case 'w':
        return checked(mr_type_list(arena, fields[0].type, fields[0].nullable), out, err);
    case 'm': {
        const struct mr_field *pair = fields[0].type->fields;
        return checked(mr_type_map(arena, pair[0].type, pair[1].type, pair[1].nullable), out, err);
    }
    default:
        return unsupported(in, err);
    }
}

static enum mr_status import_decimal(const struct ArrowSchema *in, struct mr_arena *arena,
                                     const struct mr_type **out, struct mr_error *err)
{
    int precision = 0, scale = 0, bits = 128;
    int n = sscanf(in->format, "d:%d,%d,%d", &precision, &scale, &bits);
    if (n < 2 || bits > 128 || precision < 1 || precision > 38 || scale < 0 || scale > precision)
        return unsupported(in, err);
    return checked(mr_type_decimal(arena, precision, scale), out, err);
}

static const struct {
    const char *format; /* a trailing ':' stands for anything behind it */
    enum mr_type_id id;
} plain_formats[] = {
    {"n", MR_TYPE_NULL},       {"b", MR_TYPE_BOOL},       {"c", MR_TYPE_INT8},
    {"C", MR_TYPE_INT16},      {"s", MR_TYPE_INT16},      {"S", MR_TYPE_INT32},
    {"i", MR_TYPE_INT32},      {"I", MR_TYPE_INT64},      {"l", MR_TYPE_INT64},
    {"f", MR_TYPE_FLOAT32},    {"g", MR_TYPE_FLOAT64},    {"tdD", MR_TYPE_DATE},
    {"tdm", MR_TYPE_DATE},     {"tts", MR_TYPE_TIME},     {"ttm", MR_TYPE_TIME},
    {"ttu", MR_TYPE_TIME},     {"ttn", MR_TYPE_TIME},     {"tiM", MR_TYPE_INTERVAL},
    {"tiD", MR_TYPE_INTERVAL}, {"tin", MR_TYPE_INTERVAL}, {"u", MR_TYPE_STRING},
    {"U", MR_TYPE_STRING},     {"vu", MR_TYPE_STRING},    {"z", MR_TYPE_BINARY},
    {"Z", MR_TYPE_BINARY},     {"vz", MR_TYPE_BINARY},
};

static enum mr_status import_type(const struct ArrowSchema *in, struct mr_arena *arena,
                                  const struct mr_type **out, struct mr_error *err)
{
    const char *format = in->format;
    if (in->dictionary)
        return import_type(in->dictionary, arena, out, err);
    if (format[0] == '+')
        return import_nested_type(in, arena, out, err);
    if (format[0] == 'd')
        return import_decimal(in, arena, out, err);
    if (strcmp(format, "L") == 0)
        return checked(mr_type_decimal(arena, 20, 0), out, err);
    if (strncmp(format, "ts", 2) == 0 && format[2] && format[3] == ':') {
        *out = mr_type_of(format[4] ? MR_TYPE_TIMESTAMP : MR_TYPE_TIMESTAMP_NTZ);
        return MR_OK;
    }
    if (strncmp(format, "w:", 2) == 0) {
        bool uuid = strcmp(format, "w:16") == 0 && is_extension(in, "arrow.uuid");
        *out = mr_type_of(uuid ? MR_TYPE_UUID : MR_TYPE_BINARY);
        return MR_OK;
    }
    for (size_t i = 0; i < sizeof plain_formats / sizeof plain_formats[0]; i++) {
        if (strcmp(plain_formats[i].format, format) != 0)
            continue;
        enum mr_type_id id = plain_formats[i].id;
        if (id == MR_TYPE_STRING && is_extension(in, "arrow.json"))
            id = MR_TYPE_JSON;
        *out = mr_type_of(id);
        return MR_OK;
    }
    return unsupported(in, err);
}

static enum mr_status import_field(const struct ArrowSchema *in, struct mr_arena *arena,
                                   struct mr_field *out, struct mr_error *err)
{
    out->name = in->name ? in->name : "";
    out->nullable = (in->flags & ARROW_FLAG_NULLABLE) != 0;
    return import_type(in, arena, &out->type, err);
}

enum mr_status mr_arrow_import_schema(const struct ArrowSchema *in, struct mr_arena *arena,
                                      const struct mr_schema **out, struct mr_error *err)
{
    if (strcmp(in->format, "+s") != 0)
        return mr_error_config(err, "an Arrow stream must be of structs, not \"%s\"", in->format);
    size_t n = (size_t)in->n_children;
    struct mr_field *fields = mr_arena_calloc(arena, n, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (size_t i = 0; i < n; i++)
        MR_TRY(import_field(in->children[i], arena, &fields[i], err));
    *out = mr_schema_new(arena, fields, (int)n);
    return *out ? MR_OK : mr_error_nomem(err);
}
