/*
 * explode.c - rows from elements.
 *
 * A batch becomes two lists of row numbers, of the repeated rows and of the elements, and one take of each column. Lists are cut
 * into batches of bounded length: a batch of documents with a thousand elements each must not become one of a thousand
 * times its size.
 */
#include "op/explode.h"

#include "base/text.h"
#include "col/kernel.h"

#include <stdio.h>

#define ROWS_A_BATCH 32768

static enum mr_status add_field(struct mr_field *fields, int *source, int *count, const char *name,
                                const struct mr_type *type, bool nullable, int from)
{
    fields[*count] = (struct mr_field){.name = name, .type = type, .nullable = nullable};
    source[(*count)++] = from;
    return name ? MR_OK : MR_NOMEM;
}

static const char *with_suffix(struct mr_arena *arena, const char *name, const char *suffix)
{
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *text = mr_arena_calloc(arena, size, 1);
    if (text != NULL)
        snprintf(text, size, "%s%s", name, suffix);
    return text;
}

/* The columns that the generator makes. */
static enum mr_status add_made(struct mr_arena *arena, const struct mr_sql_generator *generator,
                               const struct mr_field *list, struct mr_field *fields, int *source,
                               int *count, struct mr_error *err)
{
    bool outer = generator->outer;
    const struct mr_type *type = list->type;
    const struct mr_field *element = &type->fields[0];
    enum mr_status status = MR_OK;
    if (generator->position)
        status = add_field(fields, source, count, with_suffix(arena, list->name, "_pos"),
                           mr_type_of(MR_TYPE_INT32), outer, MR_EXPLODE_POSITION);
    if (generator->fields) {
        const struct mr_type *row = element->type;
        for (int i = 0; i < row->nfields; i++)
            add_field(fields, source, count, row->fields[i].name, row->fields[i].type,
                      outer || element->nullable || row->fields[i].nullable, MR_EXPLODE_CHILD - i);
    } else if (type->id == MR_TYPE_LIST) {
        add_field(fields, source, count, list->name, element->type, outer || element->nullable,
                  MR_EXPLODE_ELEMENT);
    } else {
        if (status == MR_OK)
            status = add_field(fields, source, count, with_suffix(arena, list->name, "_key"),
                               element->type, outer, MR_EXPLODE_CHILD);
        if (status == MR_OK)
            status = add_field(fields, source, count, with_suffix(arena, list->name, "_value"),
                               type->fields[1].type, outer || type->fields[1].nullable,
                               MR_EXPLODE_CHILD - 1);
    }
    return status == MR_OK ? MR_OK : mr_error_nomem(err);
}

static enum mr_status check_names(const struct mr_field *fields, int count, struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            if (mr_text_equal_nocase(fields[i].name, fields[j].name))
                return mr_error_config(err, "two columns would be called %s", fields[i].name);
        }
    }
    return MR_OK;
}

enum mr_status mr_op_explode_bind(struct mr_arena *arena, const struct mr_sql_generator *generator,
                                  const struct mr_schema *input, int column,
                                  struct mr_op_explode **out, struct mr_error *err)
{
    const struct mr_type *type = input->fields[column].type;
    bool list = type->id == MR_TYPE_LIST;
    char text[128];
    if (generator->fields ? !list || type->fields[0].type->id != MR_TYPE_STRUCT
                          : !list && type->id != MR_TYPE_MAP)
        return mr_error_config(err, "%s takes %s, not %s", generator->name,
                               generator->fields ? "an array of structs" : "an array or a map",
                               mr_type_text(type, text, sizeof(text)));
    size_t room =
        (size_t)input->nfields + 4 + (generator->fields ? type->fields[0].type->nfields : 0);
    struct mr_op_explode *self = mr_arena_calloc(arena, 1, sizeof(*self));
    struct mr_field *fields = mr_arena_calloc(arena, room, sizeof(*fields));
    int *source = mr_arena_calloc(arena, room, sizeof(*source));
    int count = 0;
    if (self == NULL || fields == NULL || source == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < input->nfields; i++) {
        if (i == column) {
            MR_TRY(add_made(arena, generator, &input->fields[i], fields, source, &count, err));
            continue;
        }
        fields[count] = input->fields[i];
        source[count++] = i;
    }
    MR_TRY(check_names(fields, count, err));
    self->generator = *generator;
    self->column = column;
    self->source = source;
    self->schema = mr_schema_new(arena, fields, count);
    *out = self;
    return self->schema ? MR_OK : mr_error_nomem(err);
}

/* Rows under way: of the input, of the child, and places. -1 in items: the NULL of an outer generator. */
struct chunk {
    const struct mr_op_explode *plan;
    struct mr_memory *memory;
    struct mr_batch *batch;
    const struct mr_column *lists; /* FLAT */
    struct mr_buffer *rows;
    struct mr_buffer *items;
    struct mr_buffer *places;
    int64_t count;
    mr_op_explode_fn each;
    void *context;
};

static int32_t *numbers(struct mr_buffer *buffer)
{
    return (int32_t *)(void *)buffer->data;
}

static enum mr_status position_column(struct chunk *chunk, struct mr_column **out,
                                      struct mr_error *err)
{
    const int32_t *items = numbers(chunk->items);
    size_t size = (size_t)chunk->count * sizeof(int32_t), bits = mr_bitmap_bytes(chunk->count);
    struct mr_buffer *values, *validity = NULL;
    int64_t nulls = 0;
    for (int64_t i = 0; i < chunk->count; i++)
        nulls += items[i] < 0;
    MR_TRY(mr_buffer_new(chunk->memory, size, &values, err));
    memcpy(values->data, chunk->places->data, size);
    mr_buffer_finish(values, size);
    if (nulls > 0) {
        enum mr_status status = mr_buffer_new(chunk->memory, bits, &validity, err);
        if (status != MR_OK) {
            mr_buffer_unref(values);
            return status;
        }
        memset(validity->data, 0, bits);
        for (int64_t i = 0; i < chunk->count; i++)
            mr_bitmap_put(validity->data, i, items[i] >= 0);
        mr_buffer_finish(validity, bits);
    }
    return mr_column_new(mr_type_of(MR_TYPE_INT32), chunk->count, nulls, validity, values, NULL,
                         out, err);
}

/* Field `field` of the elements; NULL where the element is. */
static enum mr_status child_column(struct chunk *chunk, int field, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_column *entries = chunk->lists->children[0], *flat;
    int32_t *items = numbers(chunk->items);
    struct mr_buffer *rows;
    MR_TRY(mr_column_flatten(chunk->memory, entries, &flat, err));
    enum mr_status status =
        mr_buffer_new(chunk->memory, (size_t)chunk->count * sizeof(int32_t), &rows, err);
    if (status == MR_OK) {
        for (int64_t i = 0; i < chunk->count; i++) {
            bool null = items[i] < 0 || mr_column_is_null(flat, items[i]);
            numbers(rows)[i] = null ? -1 : items[i];
        }
        status = mr_column_take(chunk->memory, flat->children[field], numbers(rows), chunk->count,
                                out, err);
        mr_buffer_unref(rows);
    }
    mr_column_unref(flat);
    return status;
}

static enum mr_status made_column(struct chunk *chunk, int source, struct mr_column **out,
                                  struct mr_error *err)
{
    if (source >= 0)
        return mr_column_take(chunk->memory, chunk->batch->columns[source], numbers(chunk->rows),
                              chunk->count, out, err);
    if (source == MR_EXPLODE_POSITION)
        return position_column(chunk, out, err);
    if (source == MR_EXPLODE_ELEMENT)
        return mr_column_take(chunk->memory, chunk->lists->children[0], numbers(chunk->items),
                              chunk->count, out, err);
    return child_column(chunk, MR_EXPLODE_CHILD - source, out, err);
}

static enum mr_status flush(struct chunk *chunk, struct mr_error *err)
{
    const struct mr_schema *schema = chunk->plan->schema;
    struct mr_batch *out = NULL;
    struct mr_column **columns;
    enum mr_status status = MR_OK;
    int made = 0;
    if (chunk->count == 0)
        return MR_OK;
    columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    if (columns == NULL)
        return mr_error_nomem(err);
    for (; made < schema->nfields && status == MR_OK; made++)
        status = made_column(chunk, chunk->plan->source[made], &columns[made], err);
    if (status == MR_OK)
        status = mr_batch_new(schema, chunk->count, columns, &out, err);
    else
        for (int i = 0; i < made; i++)
            mr_column_unref(columns[i]);
    if (status == MR_OK)
        status = chunk->each(chunk->context, out, err);
    mr_batch_unref(out);
    mr_free(columns);
    chunk->count = 0;
    return status;
}

static enum mr_status add_row(struct chunk *chunk, int64_t row, int32_t item, int32_t place,
                              struct mr_error *err)
{
    numbers(chunk->rows)[chunk->count] = (int32_t)row;
    numbers(chunk->items)[chunk->count] = item;
    numbers(chunk->places)[chunk->count] = place;
    return ++chunk->count == ROWS_A_BATCH ? flush(chunk, err) : MR_OK;
}

static enum mr_status add_rows(struct chunk *chunk, struct mr_error *err)
{
    const int32_t *offsets = mr_column_offsets(chunk->lists);
    const int32_t *selected = mr_selection_rows(chunk->batch->selection);
    int64_t active = mr_batch_active(chunk->batch);
    for (int64_t i = 0; i < active; i++) {
        int64_t row = selected ? selected[i] : i;
        bool empty = mr_column_is_null(chunk->lists, row) || offsets[row] == offsets[row + 1];
        if (empty && chunk->plan->generator.outer)
            MR_TRY(add_row(chunk, row, -1, 0, err));
        for (int32_t j = offsets[row]; !empty && j < offsets[row + 1]; j++)
            MR_TRY(add_row(chunk, row, j, j - offsets[row], err));
    }
    return flush(chunk, err);
}

enum mr_status mr_op_explode_run(const struct mr_op_explode *plan, struct mr_memory *memory,
                                 struct mr_batch *batch, mr_op_explode_fn each, void *context,
                                 struct mr_error *err)
{
    struct chunk chunk = {
        .plan = plan, .memory = memory, .batch = batch, .each = each, .context = context};
    struct mr_column *flat = NULL;
    size_t size = ROWS_A_BATCH * sizeof(int32_t);
    enum mr_status status = mr_column_flatten(memory, batch->columns[plan->column], &flat, err);
    if (status == MR_OK)
        status = mr_buffer_new(memory, size, &chunk.rows, err);
    if (status == MR_OK)
        status = mr_buffer_new(memory, size, &chunk.items, err);
    if (status == MR_OK)
        status = mr_buffer_new(memory, size, &chunk.places, err);
    chunk.lists = flat;
    if (status == MR_OK)
        status = add_rows(&chunk, err);
    mr_buffer_unref(chunk.rows);
    mr_buffer_unref(chunk.items);
    mr_buffer_unref(chunk.places);
    mr_column_unref(flat);
    return status;
}
