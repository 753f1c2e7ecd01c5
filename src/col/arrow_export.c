/*
 * arrow_export.c - schemas and batches out through the Arrow C data interface.
 *
 * Buffers are handed out as they are wherever the layouts agree, which is nearly everywhere; only
 * booleans (bits there, bytes here), decimals of up to 18 digits (16 bytes there, 8 here) and
 * intervals (nanoseconds there) are converted. Every exported node owns what it needs and frees it
 * in its own release, because a consumer may move a child out of its parent and release the parent
 * first.
 */
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"

#include "col/kernel.h"

#include <assert.h>
#include <stdio.h>

/* Frees a schema node; its children unless they were moved away. */
static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
        mr_free(schema->children[i]);
    }
    mr_free(schema->children);
    mr_free((char *)(uintptr_t)schema->format);
    mr_free((char *)(uintptr_t)schema->name);
    mr_free((char *)(uintptr_t)schema->metadata);
    schema->release = NULL;
}

static const char *format_of(const struct mr_type *type, char text[32])
{
    switch (type->id) {
    case MR_TYPE_NULL:
        return "n";
    case MR_TYPE_BOOL:
        return "b";
    case MR_TYPE_INT8:
        return "c";
    case MR_TYPE_INT16:
        return "s";
    case MR_TYPE_INT32:
        return "i";
    case MR_TYPE_INT64:
        return "l";
    case MR_TYPE_FLOAT32:
        return "f";
    case MR_TYPE_FLOAT64:
        return "g";
    case MR_TYPE_DECIMAL:
        snprintf(text, 32, "d:%d,%d", type->precision, type->scale);
        return text;
    case MR_TYPE_DATE:
        return "tdD";
    case MR_TYPE_TIME:
        return "ttu";
    case MR_TYPE_TIMESTAMP:
        return "tsu:UTC";
    case MR_TYPE_TIMESTAMP_NTZ:
        return "tsu:";
    case MR_TYPE_INTERVAL:
        return "tin";
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
        return "u";
    case MR_TYPE_BINARY:
        return "z";
    case MR_TYPE_UUID:
        return "w:16";
    case MR_TYPE_LIST:
        return "+l";
    case MR_TYPE_STRUCT:
        return "+s";
    case MR_TYPE_MAP:
        return "+m";
    }
    return "n";
}

/*
 * One key of metadata: int32 number of pairs, then length and bytes of key and value, native byte
 * order.
 */
static char *extension_metadata(const char *name)
{
    static const char key[] = "ARROW:extension:name";
    static const char body[] = "ARROW:extension:metadata";
    struct mr_bytes out;
    mr_bytes_init(&out, 4096);
    int32_t numbers[] = {2, (int32_t)strlen(key), (int32_t)strlen(name), (int32_t)strlen(body), 0};
    mr_bytes_append(&out, &numbers[0], 4);
    mr_bytes_append(&out, &numbers[1], 4);
    mr_bytes_text(&out, key);
    mr_bytes_append(&out, &numbers[2], 4);
    mr_bytes_text(&out, name);
    mr_bytes_append(&out, &numbers[3], 4);
    mr_bytes_text(&out, body);
    mr_bytes_append(&out, &numbers[4], 4);
    if (out.status != MR_OK)
        mr_bytes_reset(&out);
    return out.data;
}

static enum mr_status export_type(const struct mr_type *type, const char *name, bool nullable,
                                  struct ArrowSchema *out, struct mr_error *err);

static enum mr_status export_child_types(const struct mr_type *type, struct ArrowSchema *out,
                                         struct mr_error *err)
{
    int n = type->id == MR_TYPE_MAP ? 1 : type->nfields;
    out->children = mr_calloc((size_t)n, sizeof(struct ArrowSchema *));
    if (!out->children)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        struct ArrowSchema *child = mr_calloc(1, sizeof *child);
        if (!child)
            return mr_error_nomem(err);
        out->children[i] = child;
        out->n_children = i + 1;
        bool map = type->id == MR_TYPE_MAP;
        MR_TRY(export_type(mr_type_child(type, i), map ? "entries" : type->fields[i].name,
                           !map && type->fields[i].nullable, child, err));
    }
    return MR_OK;
}

/* On failure `out` is released. */
static enum mr_status export_type(const struct mr_type *type, const char *name, bool nullable,
                                  struct ArrowSchema *out, struct mr_error *err)
{
    char text[32];
    *out = (struct ArrowSchema){.release = release_schema};
    out->flags = nullable ? ARROW_FLAG_NULLABLE : 0;
    out->format = mr_strdup(format_of(type, text));
    out->name = mr_strdup(name);
    const char *extension = type->id == MR_TYPE_UUID   ? "arrow.uuid"
                            : type->id == MR_TYPE_JSON ? "arrow.json"
                                                       : NULL;
    if (extension)
        out->metadata = extension_metadata(extension);
    enum mr_status status = MR_OK;
    if (!out->format || !out->name || (extension && !out->metadata))
        status = mr_error_nomem(err);
    if (status == MR_OK && mr_type_is_nested(type))
        status = export_child_types(type, out, err);
    if (status != MR_OK)
        release_schema(out);
    return status;
}

enum mr_status mr_arrow_export_schema(const struct mr_schema *schema, struct ArrowSchema *out,
                                      struct mr_error *err)
{
    struct mr_type type = {.id = MR_TYPE_STRUCT,
                           .nfields = schema->nfields,
                           .fields = schema->fields};
    return export_type(&type, "", false, out, err);
}

/* What an exported array keeps alive. */
struct holder {
    const void *buffers[3];
    struct mr_buffer *owned[3];
};

static void release_array(struct ArrowArray *array)
{
    struct holder *holder = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
        mr_free(array->children[i]);
    }
    mr_free(array->children);
    for (int i = 0; holder && i < 3; i++)
        mr_buffer_unref(holder->owned[i]);
    mr_free(holder);
    array->release = NULL;
}

static enum mr_status init_array(struct ArrowArray *array, int64_t length, int64_t nulls,
                                 int64_t nbuffers, struct mr_error *err)
{
    *array = (struct ArrowArray){.length = length,
                                 .null_count = nulls,
                                 .n_buffers = nbuffers,
                                 .release = release_array};
    struct holder *holder = mr_calloc(1, sizeof *holder);
    if (!holder)
        return mr_error_nomem(err);
    array->private_data = holder;
    array->buffers = holder->buffers;
    return MR_OK;
}

/* Takes the reference. */
static void set_buffer(struct ArrowArray *array, int i, struct mr_buffer *buffer)
{
    struct holder *holder = array->private_data;
    holder->owned[i] = buffer;
    holder->buffers[i] = buffer ? buffer->data : NULL;
}

static enum mr_status pack_bools(const struct mr_column *column, struct mr_buffer **out,
                                 struct mr_error *err)
{
    size_t size = mr_bitmap_bytes(column->length);
    MR_TRY(mr_buffer_new(column->values->memory, size, out, err));
    const uint8_t *in = column->values->data;
    for (int64_t i = 0; i < column->length; i += 8) {
        unsigned byte = 0;
        for (int64_t j = 0; j < 8 && i + j < column->length; j++)
            byte |= (unsigned)(in[i + j] & 1) << j;
        (*out)->data[i / 8] = (uint8_t)byte;
    }
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static enum mr_status widen_decimals(const struct mr_column *column, struct mr_buffer **out,
                                     struct mr_error *err)
{
    size_t size = (size_t)column->length * sizeof(mr_int128);
    MR_TRY(mr_buffer_new(column->values->memory, size, out, err));
    const int64_t *in = (const int64_t *)(const void *)column->values->data;
    mr_int128 *to = (mr_int128 *)(void *)(*out)->data;
    for (int64_t i = 0; i < column->length; i++)
        to[i] = in[i];
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static enum mr_status interval_nanos(const struct mr_column *column, struct mr_buffer **out,
                                     struct mr_error *err)
{
    size_t size = (size_t)column->length * sizeof(struct mr_interval);
    MR_TRY(mr_buffer_new(column->values->memory, size, out, err));
    const struct mr_interval *in = (const struct mr_interval *)(const void *)column->values->data;
    struct mr_interval *to = (struct mr_interval *)(void *)(*out)->data;
    for (int64_t i = 0; i < column->length; i++) {
        to[i] = in[i];
        bool valid = mr_bitmap_get(mr_column_validity(column), i);
        if (__builtin_mul_overflow(in[i].micros, 1000, &to[i].micros) && valid) {
            mr_buffer_unref(*out);
            *out = NULL;
            return mr_error_data(err, MR_SINK, "an interval exceeds Arrow's nanoseconds");
        }
    }
    mr_buffer_finish(*out, size);
    return MR_OK;
}

static enum mr_status export_values(const struct mr_column *column, struct mr_buffer **out,
                                    struct mr_error *err)
{
    switch (column->type->id) {
    case MR_TYPE_BOOL:
        return pack_bools(column, out, err);
    case MR_TYPE_INTERVAL:
        return interval_nanos(column, out, err);
    case MR_TYPE_DECIMAL:
        if (mr_type_layout(column->type) == MR_LAYOUT_I64)
            return widen_decimals(column, out, err);
        break;
    default:
        break;
    }
    *out = mr_buffer_ref(column->values);
    return MR_OK;
}

static enum mr_status export_column(struct mr_column *column, struct ArrowArray *out,
                                    struct mr_error *err);

static enum mr_status export_children(struct mr_column *const *children, int n,
                                      struct ArrowArray *out, struct mr_error *err)
{
    out->children = mr_calloc((size_t)n, sizeof(struct ArrowArray *));
    if (!out->children)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        struct ArrowArray *child = mr_calloc(1, sizeof *child);
        if (!child)
            return mr_error_nomem(err);
        out->children[i] = child;
        out->n_children = i + 1;
        MR_TRY(export_column(children[i], child, err));
    }
    return MR_OK;
}

static enum mr_status export_flat(const struct mr_column *column, struct ArrowArray *out,
                                  struct mr_error *err)
{
    static const int nbuffers[] = {
        [MR_LAYOUT_NONE] = 0, [MR_LAYOUT_STRUCT] = 1, [MR_LAYOUT_BYTES] = 3};
    enum mr_layout layout = mr_type_layout(column->type);
    bool odd = layout == MR_LAYOUT_NONE || layout == MR_LAYOUT_STRUCT || layout == MR_LAYOUT_BYTES;
    MR_TRY(init_array(out, column->length, column->nulls, odd ? nbuffers[layout] : 2, err));
    if (layout == MR_LAYOUT_NONE)
        return MR_OK;
    set_buffer(out, 0, mr_buffer_ref(column->validity));
    if (layout != MR_LAYOUT_STRUCT) {
        struct mr_buffer *values = NULL;
        MR_TRY(export_values(column, &values, err));
        set_buffer(out, 1, values);
    }
    if (layout == MR_LAYOUT_BYTES)
        set_buffer(out, 2, mr_buffer_ref(column->data));
    if (column->nchildren)
        return export_children(column->children, column->nchildren, out, err);
    return MR_OK;
}

/* On failure `out` is released. */
static enum mr_status export_column(struct mr_column *column, struct ArrowArray *out,
                                    struct mr_error *err)
{
    struct mr_column *flat;
    struct mr_memory *memory = column->values ? column->values->memory : NULL;
    *out = (struct ArrowArray){.release = NULL};
    MR_TRY(mr_column_flatten(memory, column, &flat, err));
    enum mr_status status = export_flat(flat, out, err);
    mr_column_unref(flat);
    if (status != MR_OK)
        release_array(out);
    return status;
}

enum mr_status mr_arrow_export_batch(struct mr_batch *batch, struct ArrowArray *out,
                                     struct mr_error *err)
{
    struct mr_memory *memory = batch->selection ? batch->selection->rows->memory : NULL;
    struct mr_batch *compact;
    *out = (struct ArrowArray){.release = NULL};
    MR_TRY(mr_batch_compact(memory, batch, &compact, err));
    enum mr_status status = init_array(out, compact->rows, 0, 1, err);
    if (status == MR_OK)
        status = export_children(compact->columns, compact->schema->nfields, out, err);
    mr_batch_unref(compact);
    if (status != MR_OK)
        release_array(out);
    return status;
}
