/*
 * append.c - computed columns behind those of the input.
 *
 * A breaker needs the values of its keys and arguments again when it reads back what it kept; computing
 * them once, as the rows come, and keeping them beside the row makes everything behind it work on
 * columns. An expression that is a column of the input costs nothing; equal texts are one column.
 */
#include "op/append.h"

#include <string.h>

#define FEW_ROWS 100000

enum mr_status mr_op_append_init(struct mr_op_appended *self, const struct mr_op_bind *bind,
                                 struct mr_error *err)
{
    *self = (struct mr_op_appended){.bind = bind,
                                    .input = bind->inputs[0].schema,
                                    .session = mr_op_session(bind)};
    self->reads =
        mr_arena_calloc(bind->arena, (size_t)self->input->nfields + 1, sizeof *self->reads);
    return self->reads ? MR_OK : mr_error_nomem(err);
}

static enum mr_status grow(struct mr_op_appended *self, struct mr_error *err)
{
    if (self->count < self->capacity)
        return MR_OK;
    int capacity = self->capacity * 2 + 8;
    struct mr_expr **exprs = mr_arena_calloc(self->bind->arena, (size_t)capacity, sizeof(*exprs));
    const char **texts = mr_arena_calloc(self->bind->arena, (size_t)capacity, sizeof(*texts));
    if (!exprs || !texts)
        return mr_error_nomem(err);
    for (int i = 0; i < self->count; i++) {
        exprs[i] = self->exprs[i];
        texts[i] = self->texts[i];
    }
    self->exprs = exprs;
    self->texts = texts;
    self->capacity = capacity;
    return MR_OK;
}

enum mr_status mr_op_append(struct mr_op_appended *self, const char *text, int *column,
                            struct mr_error *err)
{
    struct mr_sql_scope scope = {.schema = self->input};
    struct mr_expr *expr;
    for (int i = 0; i < self->count; i++) {
        if (!strcmp(self->texts[i], text)) {
            *column = self->input->nfields + i;
            return MR_OK;
        }
    }
    MR_TRY(mr_expr_compile(self->bind->arena, text, &scope, &self->session, &expr, err));
    mr_expr_uses(expr, self->reads);
    MR_TRY(mr_expr_named(self->bind->arena, text, self->input, self->reads, err));
    *column = mr_expr_as_column(expr);
    if (*column >= 0)
        return MR_OK;
    MR_TRY(grow(self, err));
    self->exprs[self->count] = expr;
    self->texts[self->count] = text;
    *column = self->input->nfields + self->count++;
    return MR_OK;
}

enum mr_status mr_op_append_order(struct mr_op_appended *self, const char *text,
                                  struct mr_sort_key *key, struct mr_error *err)
{
    struct mr_sql_order order;
    MR_TRY(mr_sql_order_parse(self->bind->arena, text, &order, err));
    MR_TRY(mr_op_append(self, order.text, &key->column, err));
    struct mr_field field = mr_op_append_field(self, key->column);
    key->type = field.type;
    key->nullable = field.nullable;
    key->descending = order.descending;
    key->nulls_last = order.nulls_last;
    return MR_OK;
}

struct mr_field mr_op_append_field(const struct mr_op_appended *self, int column)
{
    if (column < self->input->nfields)
        return self->input->fields[column];
    int i = column - self->input->nfields;
    return (struct mr_field){.name = self->texts[i],
                             .type = mr_expr_type(self->exprs[i]),
                             .nullable = mr_expr_nullable(self->exprs[i])};
}

enum mr_status mr_op_append_finish(struct mr_op_appended *self, struct mr_error *err)
{
    int n = self->input->nfields + self->count;
    self->schema = self->input;
    if (self->count == 0)
        return MR_OK;
    struct mr_field *fields = mr_arena_calloc(self->bind->arena, (size_t)n, sizeof *fields);
    struct mr_schema *schema = mr_arena_calloc(self->bind->arena, 1, sizeof *schema);
    if (!fields || !schema)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++)
        fields[i] = mr_op_append_field(self, i);
    *schema = (struct mr_schema){.nfields = n, .fields = fields};
    self->schema = schema;
    return MR_OK;
}

enum mr_status mr_op_append_passes(const struct mr_op_appended *self,
                                   const struct mr_schema *output, struct mr_op_info *info,
                                   struct mr_error *err)
{
    struct mr_arena *arena = self->bind->arena;
    int *passes = mr_arena_calloc(arena, (size_t)output->nfields + 1, sizeof *passes);
    const int **passes_from = mr_arena_calloc(arena, 1, sizeof(*passes_from));
    const bool **reads = mr_arena_calloc(arena, 1, sizeof(*reads));
    if (!passes || !passes_from || !reads)
        return mr_error_nomem(err);
    for (int i = 0; i < output->nfields; i++)
        passes[i] = i < self->input->nfields ? i : -1;
    passes_from[0] = passes;
    reads[0] = self->reads;
    info->passes = passes;
    info->passes_from = passes_from;
    info->reads = reads;
    return MR_OK;
}

enum mr_status mr_op_append_crosses(const struct mr_op_appended *self, const int *columns,
                                    int ncolumns, struct mr_op_info *info, struct mr_error *err)
{
    struct mr_arena *arena = self->bind->arena;
    int n = self->input->nfields;
    const bool **crosses = mr_arena_calloc(arena, 1, sizeof(*crosses));
    bool *cross = mr_arena_calloc(arena, (size_t)info->schema->nfields + 1, sizeof *cross);
    if (!crosses || !cross)
        return mr_error_nomem(err);
    for (int i = 0; columns == NULL && i < n; i++)
        cross[i] = true;
    for (int i = 0; columns != NULL && i < ncolumns; i++)
        if (columns[i] < n)
            cross[columns[i]] = true;
    crosses[0] = cross;
    info->crosses = crosses;
    return MR_OK;
}

enum mr_status mr_op_append_eval(const struct mr_op_appended *self, struct mr_eval *eval,
                                 struct mr_batch *batch, struct mr_batch **out,
                                 struct mr_error *err)
{
    int n = self->input->nfields, done = 0;
    if (self->count == 0) {
        *out = mr_batch_ref(batch);
        return MR_OK;
    }
    struct mr_column **columns = mr_calloc((size_t)(n + self->count), sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (; status == MR_OK && done < self->count; done += status == MR_OK)
        status = mr_expr_eval(eval, self->exprs[done], batch, &columns[n + done], err);
    if (status == MR_OK) {
        for (int i = 0; i < n; i++)
            columns[i] = mr_column_ref(batch->columns[i]);
        status = mr_batch_new(self->schema, batch->rows, columns, out, err);
    } else {
        for (int i = 0; i < done; i++)
            mr_column_unref(columns[n + i]);
    }
    mr_free(columns);
    return status;
}

int mr_op_pulls(const struct mr_op_bind *bind, int64_t rows)
{
    int threads = bind->runtime->parallelism > 0 ? bind->runtime->parallelism : 1;
    return rows >= 0 && rows < FEW_ROWS ? 1 : 4 * threads;
}

const char *mr_op_join_texts(struct mr_arena *arena, const char *const *texts, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; i++)
        size += strlen(texts[i]) + 2;
    char *out = mr_arena_alloc(arena, size);
    if (!out)
        return NULL;
    char *at = out;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            at = stpcpy(at, ", ");
        at = stpcpy(at, texts[i]);
    }
    *at = '\0';
    return out;
}
