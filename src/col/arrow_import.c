/*
 * arrow_import.c - schemas and arrays in through the Arrow C data interface.
 *
 * Everything is copied. Sharing foreign buffers would save a memcpy, at the price that every kernel
 * must expect buffers without padding, with offsets, at any alignment, and memory that no account
 * knows of. Widths that we do not have are widened on the way (unsigned integers, half of the time
 * units), 64-bit offsets and string views become 32-bit offsets, and values under NULL are dropped,
 * as column.h wants it.
 */
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"

#include "base/text.h"
#include "col/builder.h"
#include "col/kernel.h"

#include <stdio.h>
#include <stdlib.h>

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

/* One array to be copied: rows [at, at + count) of its buffers. */
struct part {
    const struct ArrowArray *array;
    const struct ArrowSchema *schema;
    const struct mr_type *type;
    int64_t at; /* the array's offset included */
    int64_t count;
    struct mr_memory *memory;
    struct mr_error *err;
};

static enum mr_status import_part(const struct part *part, struct mr_column **out);

static enum mr_status copy_validity(const struct part *part, struct mr_buffer **out, int64_t *nulls)
{
    const uint8_t *bits = part->array->n_buffers > 0 ? part->array->buffers[0] : NULL;
    *out = NULL;
    *nulls = 0;
    if (!bits || part->array->null_count == 0)
        return MR_OK;
    size_t size = mr_bitmap_bytes(part->count);
    MR_TRY(mr_buffer_new(part->memory, size, out, part->err));
    memset((*out)->data, 0, size);
    mr_bitmap_copy((*out)->data, 0, bits, part->at, part->count);
    mr_buffer_finish(*out, size);
    *nulls = part->count - mr_bitmap_count((*out)->data, part->count);
    return MR_OK;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* An integer of the format's width and sign at row i of the buffer. */
static int64_t read_int(const void *data, char format, int64_t i)
{
    switch (format) {
    case 'c':
        return ((const int8_t *)data)[i];
    case 'C':
        return ((const uint8_t *)data)[i];
    case 's':
        return ((const int16_t *)data)[i];
    case 'S':
        return ((const uint16_t *)data)[i];
    case 'i':
        return ((const int32_t *)data)[i];
    case 'I':
        return ((const uint32_t *)data)[i];
    default:
        return ((const int64_t *)data)[i];
    }
}

/* A date or time in our unit; false when it does not fit. */
static bool read_time(const struct part *part, int64_t i, int64_t *out)
{
    const char *format = part->schema->format;
    const void *data = part->array->buffers[1];
    char unit = format[2];
    bool narrow =
        (format[1] == 'd' && unit == 'D') || (format[1] == 't' && unit <= 's' && unit != 'n');
    int64_t raw = narrow ? ((const int32_t *)data)[i] : ((const int64_t *)data)[i];
    if (format[1] == 'd') {
        *out = unit == 'm' ? floor_div(raw, 86400000) : raw;
        return *out >= INT32_MIN && *out <= INT32_MAX;
    }
    switch (unit) {
    case 's':
        return !__builtin_mul_overflow(raw, INT64_C(1000000), out);
    case 'm':
        return !__builtin_mul_overflow(raw, INT64_C(1000), out);
    case 'n':
        *out = floor_div(raw, 1000);
        return true;
    default:
        *out = raw;
        return true;
    }
}

static void read_interval(const struct part *part, int64_t i, struct mr_interval *out)
{
    const void *data = part->array->buffers[1];
    char unit = part->schema->format[2];
    *out = (struct mr_interval){0};
    if (unit == 'M') {
        out->months = ((const int32_t *)data)[i];
    } else if (unit == 'D') {
        out->days = ((const int32_t *)data)[i * 2];
        out->micros = ((const int32_t *)data)[i * 2 + 1] * INT64_C(1000);
    } else {
        memcpy(out, (const uint8_t *)data + i * 16, 16);
        out->micros = floor_div(out->micros, 1000);
    }
}

static mr_int128 read_decimal(const struct part *part, int64_t i)
{
    const void *data = part->array->buffers[1];
    if (part->schema->format[0] == 'L')
        return ((const uint64_t *)data)[i];
    int precision, scale, bits = 128;
    sscanf(part->schema->format, "d:%d,%d,%d", &precision, &scale, &bits);
    if (bits == 32)
        return ((const int32_t *)data)[i];
    if (bits == 64)
        return ((const int64_t *)data)[i];
    mr_int128 value;
    memcpy(&value, (const uint8_t *)data + i * 16, 16);
    return value;
}

static enum mr_status append_fixed(const struct part *part, int64_t i, struct mr_builder *builder)
{
    const void *data = part->array->buffers[1];
    struct mr_interval interval;
    int64_t value;
    switch (part->type->id) {
    case MR_TYPE_BOOL:
        return mr_builder_int(builder, mr_bitmap_get(data, i), part->err);
    case MR_TYPE_FLOAT32:
        return mr_builder_double(builder, (double)((const float *)data)[i], part->err);
    case MR_TYPE_FLOAT64:
        return mr_builder_double(builder, ((const double *)data)[i], part->err);
    case MR_TYPE_DECIMAL:
        return mr_builder_decimal(builder, read_decimal(part, i), part->err);
    case MR_TYPE_UUID:
        return mr_builder_fixed16(builder, (const uint8_t *)data + i * 16, part->err);
    case MR_TYPE_INTERVAL:
        read_interval(part, i, &interval);
        return mr_builder_fixed16(builder, &interval, part->err);
    case MR_TYPE_DATE:
    case MR_TYPE_TIME:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        if (!read_time(part, i, &value))
            return mr_error_data(part->err, MR_SOURCE, "a time in Arrow column \"%s\" is too large",
                                 part->schema->name);
        return mr_builder_int(builder, value, part->err);
    default:
        return mr_builder_int(builder, read_int(data, part->schema->format[0], i), part->err);
    }
}

/* Text or bytes of row i, whatever form they have. */
static struct mr_slice read_bytes(const struct part *part, int64_t i)
{
    const void *const *buffers = part->array->buffers;
    const char *format = part->schema->format;
    if (format[0] == 'w') {
        size_t size = (size_t)atoi(format + 2);
        return (struct mr_slice){(const char *)buffers[1] + (size_t)i * size, size};
    }
    if (format[0] == 'U' || format[0] == 'Z') {
        const int64_t *offsets = buffers[1];
        return (struct mr_slice){(const char *)buffers[2] + offsets[i],
                                 (size_t)(offsets[i + 1] - offsets[i])};
    }
    if (format[0] != 'v') {
        const int32_t *offsets = buffers[1];
        return (struct mr_slice){(const char *)buffers[2] + offsets[i],
                                 (size_t)(offsets[i + 1] - offsets[i])};
    }
    /* View: int32 size, then up to 12 bytes, or 4 of them, int32 buffer number, int32 offset. */
    const char *view = (const char *)buffers[1] + i * 16;
    int32_t words[4];
    memcpy(words, view, sizeof words);
    if (words[0] <= 12)
        return (struct mr_slice){view + 4, (size_t)words[0]};
    return (struct mr_slice){(const char *)buffers[2 + words[2]] + words[3], (size_t)words[0]};
}

static enum mr_status append_bytes(const struct part *part, int64_t i, struct mr_builder *builder)
{
    struct mr_slice bytes = read_bytes(part, i);
    if (mr_type_is_string(part->type) && mr_utf8_valid_prefix(bytes.data, bytes.size) != bytes.size)
        return mr_error_data(part->err, MR_SOURCE,
                             "Arrow column \"%s\" holds text that is not UTF-8",
                             part->schema->name);
    return mr_builder_bytes(builder, bytes.data, bytes.size, part->err);
}

static bool null_at(const struct part *part, int64_t i)
{
    return part->array->null_count != 0 && part->array->n_buffers > 0 &&
           !mr_bitmap_get(part->array->buffers[0], i);
}

static enum mr_status import_flat(const struct part *part, struct mr_column **out)
{
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, part->memory, part->type, part->err));
    bool bytes = builder.layout == MR_LAYOUT_BYTES;
    enum mr_status status = mr_builder_reserve(&builder, part->count, 0, part->err);
    for (int64_t i = part->at; status == MR_OK && i < part->at + part->count; i++) {
        if (builder.layout == MR_LAYOUT_NONE || null_at(part, i))
            status = mr_builder_null(&builder, part->err);
        else
            status = bytes ? append_bytes(part, i, &builder) : append_fixed(part, i, &builder);
    }
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, part->err);
    mr_builder_reset(&builder);
    return status;
}

/* Same layout on both sides and no NULL: one memcpy. */
static bool is_same_layout(const struct part *part)
{
    const char *format = part->schema->format;
    return strlen(format) == 1 ? strchr("csilfg", format[0]) != NULL
                               : strcmp(format, "tdD") == 0 || strcmp(format, "ttu") == 0 ||
                                     strncmp(format, "tsu:", 4) == 0;
}

static enum mr_status import_same(const struct part *part, struct mr_column **out)
{
    struct mr_buffer *validity, *values = NULL;
    int64_t nulls;
    MR_TRY(copy_validity(part, &validity, &nulls));
    size_t width = (size_t)mr_layout_width(mr_type_layout(part->type));
    size_t size = (size_t)part->count * width;
    enum mr_status status = mr_buffer_new(part->memory, size, &values, part->err);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    if (size)
        memcpy(values->data, (const uint8_t *)part->array->buffers[1] + (size_t)part->at * width,
               size);
    mr_buffer_finish(values, size);
    return mr_column_new(part->type, part->count, nulls, validity, values, NULL, out, part->err);
}

static struct part child_part(const struct part *part, int c, const struct mr_type *type,
                              int64_t from, int64_t count)
{
    struct part child = *part;
    child.array = part->array->children[c];
    child.schema = part->schema->children[c];
    child.type = type;
    child.at = child.array->offset + from;
    child.count = count;
    return child;
}

static enum mr_status import_struct(const struct part *part, struct mr_column **out)
{
    struct mr_buffer *validity;
    int64_t nulls;
    int n = 0, nfields = part->type->nfields;
    MR_TRY(copy_validity(part, &validity, &nulls));
    struct mr_column **children = mr_calloc((size_t)nfields, sizeof *children);
    enum mr_status status = children ? MR_OK : mr_error_nomem(part->err);
    for (; status == MR_OK && n < nfields; n++) {
        struct part child = child_part(part, n, part->type->fields[n].type, part->at, part->count);
        status = import_part(&child, &children[n]);
    }
    if (status == MR_OK) {
        status = mr_column_new_nested(part->type, part->count, nulls, validity, NULL, children, n,
                                      out, part->err);
    } else {
        for (int i = 0; i < n; i++)
            mr_column_unref(children[i]);
        mr_buffer_unref(validity);
    }
    mr_free(children);
    return status;
}

/* Where the list of row i begins among the elements. */
static int64_t list_offset(const struct part *part, int64_t i)
{
    const char *format = part->schema->format;
    if (format[1] == 'w')
        return i * atoi(format + 3);
    if (format[1] == 'L')
        return ((const int64_t *)part->array->buffers[1])[i];
    return ((const int32_t *)part->array->buffers[1])[i];
}

/* Rows of the list's elements that are wanted: those under NULL lists are not. */
static enum mr_status list_rows(const struct part *part, struct mr_builder *rows,
                                struct mr_buffer *offsets)
{
    int32_t *to = (int32_t *)(void *)offsets->data;
    int64_t first = list_offset(part, part->at);
    to[0] = 0;
    for (int64_t i = 0; i < part->count; i++) {
        int64_t from = list_offset(part, part->at + i), end = list_offset(part, part->at + i + 1);
        for (int64_t j = from; j < end && !null_at(part, part->at + i); j++)
            MR_TRY(mr_builder_int(rows, j - first, part->err));
        to[i + 1] = (int32_t)rows->length;
    }
    mr_buffer_finish(offsets, (size_t)(part->count + 1) * sizeof(int32_t));
    return MR_OK;
}

static enum mr_status import_list(const struct part *part, struct mr_column **out)
{
    int64_t first = part->count ? list_offset(part, part->at) : 0;
    int64_t last = part->count ? list_offset(part, part->at + part->count) : 0;
    if (last - first > INT32_MAX)
        return mr_error_set(part->err, MR_LIMIT, MR_CLASS_DATA,
                            "an Arrow list column has more than 2^31 elements");
    struct part child = child_part(part, 0, mr_type_child(part->type, 0), first, last - first);
    struct mr_column *all = NULL, *wanted = NULL;
    struct mr_buffer *validity = NULL, *offsets = NULL;
    struct mr_builder rows;
    int64_t nulls;
    enum mr_status status;
    MR_TRY(mr_builder_init(&rows, part->memory, mr_type_of(MR_TYPE_INT32), part->err));
    MR_TRY_OUT(import_part(&child, &all));
    MR_TRY_OUT(mr_builder_reserve(&rows, last - first, 0, part->err));
    MR_TRY_OUT(copy_validity(part, &validity, &nulls));
    MR_TRY_OUT(mr_buffer_new(part->memory, (size_t)(part->count + 1) * sizeof(int32_t), &offsets,
                             part->err));
    MR_TRY_OUT(list_rows(part, &rows, offsets));
    if (rows.length == all->length)
        wanted = mr_column_ref(all);
    else
        MR_TRY_OUT(mr_column_take(part->memory, all,
                                  (const int32_t *)(const void *)rows.values->data, rows.length,
                                  &wanted, part->err));
    status = mr_column_new_nested(part->type, part->count, nulls, validity, offsets, &wanted, 1,
                                  out, part->err);
    validity = offsets = NULL;
    wanted = NULL;
out:
    mr_buffer_unref(validity);
    mr_buffer_unref(offsets);
    mr_column_unref(wanted);
    mr_column_unref(all);
    mr_builder_reset(&rows);
    return status;
}

/*
 * Codes with -1 for NULL, and from them a column that stays dictionary-coded if its entries allow.
 */
static enum mr_status import_dictionary(const struct part *part, struct mr_column **out)
{
    struct part entries = *part;
    entries.array = part->array->dictionary;
    entries.schema = part->schema->dictionary;
    entries.at = entries.array->offset;
    entries.count = entries.array->length;
    struct mr_column *dictionary = NULL, *flat = NULL, *index = NULL, *coded = NULL;
    struct mr_builder codes;
    enum mr_status status;
    MR_TRY(mr_builder_init(&codes, part->memory, mr_type_of(MR_TYPE_INT32), part->err));
    MR_TRY_OUT(import_part(&entries, &dictionary));
    MR_TRY_OUT(mr_column_flatten(part->memory, dictionary, &flat, part->err));
    MR_TRY_OUT(mr_builder_reserve(&codes, part->count, 0, part->err));
    for (int64_t i = part->at; i < part->at + part->count; i++)
        MR_TRY_OUT(mr_builder_int(&codes,
                                  null_at(part, i) ? -1
                                                   : read_int(part->array->buffers[1],
                                                              part->schema->format[0], i),
                                  part->err));
    MR_TRY_OUT(mr_builder_finish(&codes, &index, part->err));
    const int32_t *rows = (const int32_t *)(const void *)index->values->data;
    if (flat->nulls > 0) {
        status = mr_column_take(part->memory, flat, rows, part->count, out, part->err);
        goto out;
    }
    struct mr_buffer *validity;
    int64_t nulls;
    MR_TRY_OUT(copy_validity(part, &validity, &nulls));
    status = mr_column_new_dictionary(mr_column_ref(flat), part->count, nulls, validity,
                                      mr_buffer_ref(index->values), &coded, part->err);
    *out = coded;
out:
    mr_column_unref(dictionary);
    mr_column_unref(flat);
    mr_column_unref(index);
    mr_builder_reset(&codes);
    return status;
}

static enum mr_status import_part(const struct part *part, struct mr_column **out)
{
    *out = NULL;
    if (part->array->dictionary)
        return import_dictionary(part, out);
    switch (mr_type_layout(part->type)) {
    case MR_LAYOUT_STRUCT:
        return import_struct(part, out);
    case MR_LAYOUT_LIST:
        return import_list(part, out);
    default:
        return is_same_layout(part) ? import_same(part, out) : import_flat(part, out);
    }
}

/* A struct array's own NULL rows have no place in a batch. */
static enum mr_status import_columns(const struct ArrowArray *in,
                                     const struct ArrowSchema *in_schema,
                                     const struct mr_schema *schema, struct mr_memory *memory,
                                     struct mr_batch **out, struct mr_error *err)
{
    if (in->n_children != schema->nfields || in_schema->n_children != schema->nfields)
        return mr_error_internal(err, "an Arrow batch of %lld columns where %d are expected",
                                 (long long)in->n_children, schema->nfields);
    int n = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields, sizeof *columns);
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    struct part whole = {
        .array = in, .schema = in_schema, .at = in->offset, .memory = memory, .err = err};
    for (; status == MR_OK && n < schema->nfields; n++) {
        struct part part = child_part(&whole, n, schema->fields[n].type, in->offset, in->length);
        status = import_part(&part, &columns[n]);
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, in->length, columns, out, err);
    else
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

enum mr_status mr_arrow_import_batch(struct ArrowArray *in, const struct ArrowSchema *in_schema,
                                     const struct mr_schema *schema, struct mr_memory *memory,
                                     struct mr_batch **out, struct mr_error *err)
{
    *out = NULL;
    enum mr_status status = import_columns(in, in_schema, schema, memory, out, err);
    if (in->release)
        in->release(in);
    return status;
}
