/*
 * bind.c - helpers that every operator's bind and push would otherwise repeat.
 *
 * Operators never include each other; what they share is here and has no state of its own.
 */
#include "op/bind.h"

#include <stdio.h>
#include <string.h>

struct mr_sql_session mr_op_session(const struct mr_op_bind *bind)
{
    return (
        struct mr_sql_session){.ansi = bind->ansi, .tz = bind->tz, .now_micros = bind->now_micros};
}

struct mr_sql_scope mr_op_scope(const struct mr_op_bind *bind, int input)
{
    return (struct mr_sql_scope){.schema = bind->inputs[input].schema};
}

const int *mr_op_passes_all(struct mr_arena *arena, const struct mr_schema *schema)
{
    int *passes = mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *passes);
    for (int i = 0; passes && i < schema->nfields; i++)
        passes[i] = i;
    return passes;
}

char *mr_op_quote_name(struct mr_arena *arena, const char *name)
{
    struct mr_bytes quoted;
    mr_bytes_init(&quoted, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_quoted(&quoted, name, '`');
    return mr_bytes_to_arena(&quoted, arena);
}

enum mr_status mr_op_option_failed(const struct mr_options *options, const char *option,
                                   const char *entry, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(options, option);
    struct mr_position position = value->position;
    if (entry && (value->option->type == MR_OPTION_PAIRS ||
                  value->option->type == MR_OPTION_NAMED_OBJECTS)) {
        for (int i = 0; i < value->u.pairs.count; i++)
            if (!strcmp(value->u.pairs.items[i].name, entry))
                position = value->u.pairs.items[i].position;
    }
    if (entry)
        mr_error_prefix(err, "%s.%s", option, entry);
    else
        mr_error_prefix(err, "%s", option);
    /* Where in the expression the message says. */
    if (position.line > 0)
        mr_error_where(err, "%s:%d:%d", position.file, position.line, position.column);
    else
        mr_error_where(err, "%s", "");
    return err ? err->status : MR_CONFIG;
}

enum mr_status mr_op_eval_open(void *plan, struct mr_runtime *runtime,
                               const struct mr_sql_session *session, void **task,
                               struct mr_error *err)
{
    struct mr_op_eval_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = runtime;
    enum mr_status status = mr_eval_new(runtime->memory, session, &self->eval, err);
    if (status != MR_OK) {
        mr_free(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

void mr_op_eval_close(void *task)
{
    struct mr_op_eval_task *self = task;
    mr_eval_free(self->eval);
    mr_free(self);
}

enum mr_status mr_op_emit_columns(struct mr_emit *emit, const struct mr_batch *batch,
                                  const struct mr_schema *schema, const int *indices,
                                  struct mr_error *err)
{
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++)
        columns[i] = mr_column_ref(batch->columns[indices[i]]);
    struct mr_batch *out = NULL;
    enum mr_status status = mr_batch_derive(batch, schema, columns, &out, err);
    mr_free(columns);
    if (status != MR_OK)
        return status;
    return emit->batch(emit, 0, out, err);
}
