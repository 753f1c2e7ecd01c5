/*
 * arrow_import.c - arrays in through the Arrow C data interface.
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

#include <stdlib.h>

/* Dictionaries of the array in hand, so that its slices share one column each. */
struct entries {
    struct entries *next;
    const struct ArrowArray *array;
    struct mr_column *column; /* FLAT */
};

/* One array to be copied: rows [at, at + count) of its buffers. */
struct part {
    const struct ArrowArray *array;
    const struct ArrowSchema *schema;
    const struct mr_type *type;
    int64_t at; /* the array's offset included */
    int64_t count;
    struct entries **entries;
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

/* Width of a decimal's values: "d:precision,scale" has 128 bits, "d:precision,scale,bits" those. */
static int decimal_bits(const char *format)
{
    const char *comma = strchr(format, ',');
    comma = comma ? strchr(comma + 1, ',') : NULL;
    return comma ? atoi(comma + 1) : 128;
}

static mr_int128 read_decimal(const struct part *part, int64_t i)
{
    const void *data = part->array->buffers[1];
    if (part->schema->format[0] == 'L')
        return ((const uint64_t *)data)[i];
    int bits = decimal_bits(part->schema->format);
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

/* Same layout on both sides: one memcpy, whatever is under NULL. */
static bool is_same_layout(const struct part *part)
{
    const char *format = part->schema->format;
    if (strncmp(format, "d:", 2) == 0)
        return decimal_bits(format) == 8 * mr_layout_width(mr_type_layout(part->type));
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

/* A decimal of up to 18 digits in 128 bits there, 64 here. */
static enum mr_status import_narrow_decimal(const struct part *part, struct mr_column **out)
{
    struct mr_buffer *validity, *values = NULL;
    int64_t nulls;
    MR_TRY(copy_validity(part, &validity, &nulls));
    size_t size = (size_t)part->count * sizeof(int64_t);
    enum mr_status status = mr_buffer_new(part->memory, size, &values, part->err);
    const uint8_t *from = (const uint8_t *)part->array->buffers[1] + part->at * 16;
    int64_t *to = values ? (int64_t *)(void *)values->data : NULL;
    for (int64_t i = 0; status == MR_OK && i < part->count; i++) {
        int64_t words[2];
        memcpy(words, from + i * 16, sizeof words);
        to[i] = words[0];
        if (words[1] != words[0] >> 63 && (!validity || mr_bitmap_get(validity->data, i)))
            status = mr_error_data(part->err, MR_SOURCE,
                                   "a decimal in Arrow column \"%s\" has more digits than its type",
                                   part->schema->name);
    }
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        mr_buffer_unref(values);
        return status;
    }
    mr_buffer_finish(values, size);
    return mr_column_new(part->type, part->count, nulls, validity, values, NULL, out, part->err);
}

static bool is_narrow_decimal(const struct part *part)
{
    const char *format = part->schema->format;
    return strncmp(format, "d:", 2) == 0 && decimal_bits(format) == 128 &&
           mr_type_layout(part->type) == MR_LAYOUT_I64;
}

/* Where the text of row i begins, with offsets of 4 or 8 bytes. */
static int64_t text_offset(const struct part *part, int64_t i)
{
    const void *offsets = part->array->buffers[1];
    char format = part->schema->format[0];
    return format == 'U' || format == 'Z' ? ((const int64_t *)offsets)[i]
                                          : ((const int32_t *)offsets)[i];
}

/*
 * Offsets rebased to 0. *plain false where the bytes cannot be taken over as they are: a NULL with
 * bytes, or a text that begins in the middle of a code point.
 */
static void rebase_offsets(const struct part *part, int32_t *to, const uint8_t *bytes, bool utf8,
                           bool *plain)
{
    int64_t first = text_offset(part, part->at), end = text_offset(part, part->at + part->count);
    bool good = true;
    for (int64_t i = 0; i <= part->count; i++) {
        int64_t offset = text_offset(part, part->at + i);
        to[i] = (int32_t)(offset - first);
        if (utf8 && offset < end)
            good = good && (bytes[offset] & 0xC0) != 0x80;
    }
    for (int64_t i = 0; good && i < part->count; i++)
        good = to[i] == to[i + 1] || !null_at(part, part->at + i);
    *plain = good;
}

/* Text and bytes in bulk; *out stays NULL where that would not do. */
static enum mr_status import_text(const struct part *part, struct mr_column **out)
{
    const uint8_t *bytes = part->array->buffers[2];
    int64_t first = text_offset(part, part->at), end = text_offset(part, part->at + part->count);
    bool utf8 = mr_type_is_string(part->type), plain = false;
    size_t size = (size_t)(end - first), offsets_size = (size_t)(part->count + 1) * sizeof(int32_t);
    struct mr_buffer *validity = NULL, *offsets = NULL, *data = NULL;
    int64_t nulls = 0;
    if (size > INT32_MAX ||
        (utf8 && size && mr_utf8_valid_prefix((const char *)bytes + first, size) != size))
        return MR_OK;
    enum mr_status status = mr_buffer_new(part->memory, offsets_size, &offsets, part->err);
    if (status == MR_OK)
        rebase_offsets(part, (int32_t *)(void *)offsets->data, bytes, utf8, &plain);
    if (plain)
        status = mr_buffer_new(part->memory, size, &data, part->err);
    if (status == MR_OK && plain)
        status = copy_validity(part, &validity, &nulls);
    if (status != MR_OK || !plain) {
        mr_buffer_unref(offsets);
        mr_buffer_unref(data);
        return status;
    }
    if (size)
        memcpy(data->data, bytes + first, size);
    mr_buffer_finish(offsets, offsets_size);
    mr_buffer_finish(data, size);
    return mr_column_new(part->type, part->count, nulls, validity, offsets, data, out, part->err);
}

/* The entries of a dictionary, FLAT, imported once for all slices of an array. */
static enum mr_status import_entries(const struct part *part, struct mr_column **out)
{
    for (struct entries *known = *part->entries; known; known = known->next)
        if (known->array == part->array->dictionary) {
            *out = known->column;
            return MR_OK;
        }
    struct part all = *part;
    all.array = part->array->dictionary;
    all.schema = part->schema->dictionary;
    all.at = all.array->offset;
    all.count = all.array->length;
    struct mr_column *column = NULL;
    struct entries *entries = mr_calloc(1, sizeof *entries);
    enum mr_status status = entries ? import_part(&all, &column) : mr_error_nomem(part->err);
    if (status == MR_OK)
        status = mr_column_flatten(part->memory, column, &entries->column, part->err);
    mr_column_unref(column);
    if (status != MR_OK) {
        mr_free(entries);
        return status;
    }
    entries->array = all.array;
    entries->next = *part->entries;
    *part->entries = entries;
    *out = entries->column;
    return MR_OK;
}

static void forget_entries(struct entries *entries)
{
    while (entries) {
        struct entries *next = entries->next;
        mr_column_unref(entries->column);
        mr_free(entries);
        entries = next;
    }
}

/*
 * Codes with -1 for NULL, and from them a column that stays dictionary-coded if its entries allow.
 */
static enum mr_status import_dictionary(const struct part *part, struct mr_column **out)
{
    struct mr_column *flat = NULL, *index = NULL;
    struct mr_builder codes;
    enum mr_status status;
    MR_TRY(mr_builder_init(&codes, part->memory, mr_type_of(MR_TYPE_INT32), part->err));
    MR_TRY_OUT(import_entries(part, &flat));
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
                                      mr_buffer_ref(index->values), out, part->err);
out:
    mr_column_unref(index);
    mr_builder_reset(&codes);
    return status;
}

static enum mr_status import_scalars(const struct part *part, struct mr_column **out)
{
    if (part->count == 0) /* its buffers may be NULL */
        return import_flat(part, out);
    if (is_same_layout(part))
        return import_same(part, out);
    if (is_narrow_decimal(part))
        return import_narrow_decimal(part, out);
    const char *format = part->schema->format;
    if (format[1] == '\0' && strchr("uUzZ", format[0])) {
        MR_TRY(import_text(part, out));
        if (*out)
            return MR_OK;
    }
    return import_flat(part, out);
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
        return import_scalars(part, out);
    }
}

/* What to import, and how the rows are cut. */
struct import {
    const struct ArrowArray *in;
    const struct ArrowSchema *in_schema;
    const struct mr_schema *schema;
    struct mr_memory *memory;
    struct entries *entries;
};

/* Rows [from, from + count). A struct array's own NULL rows have no place in a batch. */
static enum mr_status import_rows(struct import *import, int64_t from, int64_t count,
                                  struct mr_batch **out, struct mr_error *err)
{
    const struct ArrowArray *in = import->in;
    const struct mr_schema *schema = import->schema;
    if (in->n_children != schema->nfields || import->in_schema->n_children != schema->nfields)
        return mr_error_internal(err, "an Arrow batch of %lld columns where %d are expected",
                                 (long long)in->n_children, schema->nfields);
    int n = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields, sizeof *columns);
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    struct part whole = {.array = in,
                         .schema = import->in_schema,
                         .entries = &import->entries,
                         .memory = import->memory,
                         .err = err};
    for (; status == MR_OK && n < schema->nfields; n++) {
        struct part part = child_part(&whole, n, schema->fields[n].type, in->offset + from, count);
        status = import_part(&part, &columns[n]);
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, count, columns, out, err);
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
    struct import import = {.in = in, .in_schema = in_schema, .schema = schema, .memory = memory};
    *out = NULL;
    enum mr_status status = import_rows(&import, 0, in->length, out, err);
    forget_entries(import.entries);
    if (in->release)
        in->release(in);
    return status;
}

/* Bytes of one row, on average over the array; nested columns are counted by their children. */
static int64_t row_bytes(const struct ArrowArray *array, const struct ArrowSchema *schema)
{
    struct part part = {.array = array, .schema = schema};
    int64_t rows = array->length > 0 ? array->length : 1, bytes = 0;
    if (array->dictionary)
        return 4;
    if (schema->format[0] != '+' && schema->format[1] == '\0' &&
        strchr("uUzZ", schema->format[0]) && array->length > 0)
        return 4 + (text_offset(&part, array->offset + rows) - text_offset(&part, array->offset)) /
                       rows;
    for (int64_t i = 0; i < array->n_children; i++)
        bytes += row_bytes(array->children[i], schema->children[i]) *
                 (array->children[i]->length / rows + (array->children[i]->length % rows > 0));
    return bytes > 0 ? bytes : 16;
}

enum mr_status mr_arrow_import_slices(struct ArrowArray *in, const struct ArrowSchema *in_schema,
                                      const struct mr_schema *schema, struct mr_memory *memory,
                                      const struct mr_arrow_cut *cut, struct mr_error *err)
{
    struct import import = {.in = in, .in_schema = in_schema, .schema = schema, .memory = memory};
    enum mr_status status = MR_OK;
    int64_t most = cut->bytes / row_bytes(in, in_schema);
    if (most > cut->rows)
        most = cut->rows;
    if (most < 1)
        most = 1;
    for (int64_t from = 0; status == MR_OK && from < in->length; from += most) {
        struct mr_batch *batch = NULL;
        int64_t count = in->length - from < most ? in->length - from : most;
        status = import_rows(&import, from, count, &batch, err);
        if (status == MR_OK)
            status = cut->take(cut->context, batch, err);
    }
    forget_entries(import.entries);
    if (in->release)
        in->release(in);
    return status;
}
