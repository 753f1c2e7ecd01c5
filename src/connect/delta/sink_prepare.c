/*
 * sink_prepare.c - from what the tasks staged to one token.
 *
 * Everything that the commit needs is in the token: where the table is, what to publish, the lines of
 * a new schema. What an overwrite removes is not, unless files had to be rewritten: it is what the
 * table holds when the commit comes.
 */
#include "connect/delta/sink_private.h"

#include "connect/delta/log_write.h"
#include "connect/delta/sink_rewrite.h"

#include <inttypes.h>

struct prepare {
    struct delta_sink *sink;
    struct mr_runtime *runtime;
    const struct mr_epoch *epoch;
    struct mr_arena arena;
    struct delta_committable *committables;
    int ncommittables;
    struct delta_token token;
    int64_t rows;
    int64_t files;
    int64_t bytes;
    struct delta_rewritten rewritten;
};

/* ---- texts of commitInfo ---- */

static const char *finish_text(struct mr_bytes *text, struct mr_arena *arena, struct mr_error *err)
{
    char *copy = mr_bytes_status(text, err) == MR_OK ? mr_arena_strdup(arena, text->data) : NULL;
    mr_bytes_reset(text);
    return copy;
}

/* A list of names as Spark's parameters have it: JSON in a JSON string. */
static void put_names(struct mr_bytes *out, const char *const *names, int count)
{
    struct mr_bytes list;
    mr_bytes_init(&list, (size_t)1 << 20);
    mr_bytes_char(&list, '[');
    for (int i = 0; i < count; i++) {
        if (i)
            mr_bytes_char(&list, ',');
        delta_put_string(&list, names[i]);
    }
    mr_bytes_char(&list, ']');
    delta_put_string(out, list.data ? list.data : "[]");
    mr_bytes_reset(&list);
}

static enum mr_status put_parameters(struct prepare *prepare, struct mr_error *err)
{
    static const char *const names[] = {"Append", "Overwrite", "ErrorIfExists", "Ignore"};
    const struct delta_sink *sink = prepare->sink;
    const struct delta_metadata *metadata = sink->target.metadata;
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 20);
    if (sink->mode == DELTA_MODE_UPSERT) {
        const struct mr_option_value *keys = mr_options_get(sink->options, "keys");
        mr_bytes_text(&text, "{\"keys\":");
        put_names(&text, keys->u.strings.items, keys->u.strings.count);
        mr_bytes_text(&text, ",\"matchedPredicates\":\"[{\\\"actionType\\\":\\\"update\\\"}]\","
                             "\"notMatchedPredicates\":\"[{\\\"actionType\\\":\\\"insert\\\"}]\"}");
    } else {
        mr_bytes_printf(&text, "{\"mode\":\"%s\",\"partitionBy\":", names[sink->mode]);
        put_names(&text, metadata->partition_columns, metadata->npartition_columns);
        if (sink->where) {
            mr_bytes_text(&text, ",\"predicate\":");
            delta_put_string(&text, sink->where);
        }
        if (sink->removal == DELTA_REMOVE_PARTITIONS)
            mr_bytes_text(&text, ",\"isDynamicPartitionOverwrite\":\"true\"");
        mr_bytes_char(&text, '}');
    }
    prepare->token.operation = sink->mode == DELTA_MODE_UPSERT ? "MERGE" : "WRITE";
    prepare->token.parameters = finish_text(&text, &prepare->arena, err);
    return prepare->token.parameters ? MR_OK : mr_error_nomem(err);
}

static void put_metric(struct mr_bytes *out, const char *name, int64_t value)
{
    mr_bytes_printf(out, "%s\"%s\":\"%" PRId64 "\"", out->size > 1 ? "," : "", name, value);
}

/* The names that Spark gives them. */
static enum mr_status put_metrics(struct prepare *prepare, struct mr_error *err)
{
    const struct delta_rewritten *rewritten = &prepare->rewritten;
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 20);
    mr_bytes_char(&text, '{');
    if (prepare->sink->mode == DELTA_MODE_UPSERT) {
        put_metric(&text, "numSourceRows", prepare->rows);
        put_metric(&text, "numTargetRowsInserted", prepare->rows - rewritten->rows_gone);
        put_metric(&text, "numTargetRowsUpdated", rewritten->rows_gone);
        put_metric(&text, "numTargetRowsDeleted", 0);
        put_metric(&text, "numTargetRowsCopied", rewritten->rows_copied);
        put_metric(&text, "numTargetFilesAdded", prepare->files);
        put_metric(&text, "numTargetFilesRemoved", rewritten->ntouched);
        put_metric(&text, "numTargetBytesAdded", prepare->bytes);
    } else {
        put_metric(&text, "numFiles", prepare->files);
        put_metric(&text, "numOutputBytes", prepare->bytes);
    }
    if (prepare->sink->removal == DELTA_REMOVE_LISTED && prepare->sink->where) {
        put_metric(&text, "numDeletedRows", rewritten->rows_gone);
        put_metric(&text, "numCopiedRows", rewritten->rows_copied);
        put_metric(&text, "numRemovedFiles", rewritten->ntouched);
    }
    put_metric(&text, "numOutputRows", prepare->rows + rewritten->rows_copied);
    mr_bytes_char(&text, '}');
    prepare->token.metrics = finish_text(&text, &prepare->arena, err);
    return prepare->token.metrics ? MR_OK : mr_error_nomem(err);
}

static enum mr_status put_definition(struct prepare *prepare, struct mr_error *err)
{
    const struct delta_target *target = &prepare->sink->target;
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 28);
    mr_bytes_text(&text, "");
    if (target->protocol)
        delta_put_protocol(&text, target->protocol);
    if (target->new_metadata)
        delta_put_metadata(&text, target->metadata);
    if (!text.data) {
        prepare->token.definition = "";
        return mr_bytes_status(&text, err);
    }
    prepare->token.definition = finish_text(&text, &prepare->arena, err);
    return prepare->token.definition ? MR_OK : mr_error_nomem(err);
}

/* ---- prepare ---- */

/* One more record of files to be added. */
static enum mr_status add_written(struct prepare *prepare, struct mr_slice written,
                                  struct mr_error *err)
{
    struct delta_written files;
    MR_TRY(delta_written_read(written, &prepare->arena, &files, err));
    prepare->files += files.count;
    for (int i = 0; i < files.count; i++)
        prepare->bytes += files.files[i].size;
    prepare->token.written[prepare->token.nwritten++] = written;
    return MR_OK;
}

static enum mr_status read_committables(struct prepare *prepare, const struct mr_slice *slices,
                                        int count, struct mr_error *err)
{
    prepare->ncommittables = count;
    prepare->committables =
        mr_arena_calloc(&prepare->arena, (size_t)count + 1, sizeof *prepare->committables);
    prepare->token.written =
        mr_arena_calloc(&prepare->arena, (size_t)count + 2, sizeof *prepare->token.written);
    if (!prepare->committables || !prepare->token.written)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        struct delta_committable *one = &prepare->committables[i];
        MR_TRY(delta_committable_read(slices[i], &prepare->arena, one, err));
        MR_TRY(add_written(prepare, one->written, err));
        prepare->rows += one->rows;
    }
    return MR_OK;
}

/* Files that lose some of their rows are written again, now. */
static enum mr_status rewrite(struct prepare *prepare, struct mr_error *err)
{
    const struct delta_sink *sink = prepare->sink;
    struct delta_table table;
    if (sink->removal != DELTA_REMOVE_LISTED)
        return MR_OK;
    MR_TRY(delta_table_open(&sink->location, sink->options, prepare->runtime, &table, err));
    struct delta_sink_rewrite request = {
        .sink = sink,
        .table = &table,
        .epoch = prepare->epoch,
        .committables = prepare->committables,
        .ncommittables = prepare->ncommittables,
        .arena = &prepare->arena,
        .token = &prepare->token,
        .out = &prepare->rewritten,
    };
    enum mr_status status = delta_sink_rewrite(&request, err);
    delta_table_close(&table);
    if (status == MR_OK && prepare->rewritten.written.size > 0)
        status = add_written(prepare,
                             (struct mr_slice){prepare->rewritten.written.data,
                                               prepare->rewritten.written.size},
                             err);
    return status;
}

static enum mr_status prepare_all(struct prepare *prepare, const struct mr_slice *committables,
                                  int ncommittables, struct mr_error *err)
{
    struct delta_sink *sink = prepare->sink;
    struct delta_token *token = &prepare->token;
    token->mode = sink->mode;
    token->removal = sink->removal;
    token->url = sink->location.url;
    token->text = sink->location.text;
    token->app_id =
        delta_sink_app_id(prepare->runtime, sink->sequence, prepare->epoch->lane, &prepare->arena);
    token->epoch = prepare->epoch->epoch;
    token->run = mr_run_mark(prepare->runtime->run_id);
    token->where = sink->where;
    token->read_version = sink->target.snapshot ? sink->target.snapshot->version : -1;
    token->basis =
        sink->target.snapshot ? delta_metadata_hash(&sink->target.snapshot->metadata) : 0;
    if (!token->app_id)
        return mr_error_nomem(err);
    MR_TRY(read_committables(prepare, committables, ncommittables, err));
    MR_TRY(rewrite(prepare, err));
    MR_TRY(put_definition(prepare, err));
    MR_TRY(put_parameters(prepare, err));
    return put_metrics(prepare, err);
}

enum mr_status delta_sink_prepare(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, const struct mr_slice *committables,
                                  int ncommittables, struct mr_bytes *out, struct mr_error *err)
{
    struct prepare prepare = {.sink = state, .runtime = runtime, .epoch = epoch};
    mr_arena_init(&prepare.arena, runtime->memory);
    mr_bytes_init(&prepare.rewritten.written, (size_t)1 << 30);
    enum mr_status status = prepare_all(&prepare, committables, ncommittables, err);
    if (status == MR_OK) {
        delta_token_write(&prepare.token, out);
        status = mr_bytes_status(out, err);
    }
    mr_bytes_reset(&prepare.rewritten.written);
    mr_arena_reset(&prepare.arena);
    return status;
}
