/*
 * deduplicate_stream.c - deduplicate from epoch to epoch: how it is asked for, and which rows of an epoch are new.
 *
 * A key is known as long as the time of the row that was kept for it is after the watermark with which the epoch began
 * (`before`). Rows at or behind `before` are late and never come so far, so a row sent twice is dropped whenever it comes: as a
 * known key or as late. Which rows leave therefore depends on where epochs begin, and on nothing else in a run; within an epoch the
 * first row in split order wins. To let each further row of a key extend its time (as a session would) was refused: a key that is
 * repeated for ever would come out once in its life.
 *
 * Of a partition that has stored keys (deduplicate_kept.c) the keys of a block of rows are entered first, then what is stored says
 * which of them it knows, then the rows are looked at in their order.
 */
#include "op/deduplicate_kept.h"
#include "op/event_time.h"

/* ---- options ---- */

enum mr_status mr_dedup_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                               struct mr_error *err)
{
    const struct mr_option_value *given = mr_options_get(bind->options, "watermark");
    const struct mr_op_input *input = &bind->inputs[0];
    const struct mr_options *watermark = given->set ? given->u.object : NULL;
    const char *time = watermark ? mr_options_text(watermark, "column") : input->event_time;
    int last;
    *out = (struct mr_op_parts){0};
    enum mr_late letters;
    if (bind->options->table == mr_dedup_part_options)
        return MR_OK;
    MR_TRY(mr_late_bind(bind->options, &letters, err));
    if (letters && !time)
        return mr_options_error(bind->options, "late", err, "late rows need a `watermark`");
    if ((!input->stream && !letters) || !time)
        return MR_OK;
    struct mr_options *options = mr_options_new(bind->arena, mr_dedup_part_options);
    int *from = mr_arena_calloc(bind->arena, 1, sizeof *from);
    out->items = mr_arena_calloc(bind->arena, 3, sizeof *out->items);
    if (!options || !from || !out->items)
        return mr_error_nomem(err);
    MR_TRY(mr_event_time_parts(bind, watermark, time, bind->options, 0, out, &last, err));
    options->position = bind->options->position;
    for (int i = 0; i < bind->options->count; i++) /* the part's table begins with the step's */
        options->values[i] = bind->options->values[i];
    MR_TRY(mr_options_set_text(bind->arena, options, "eventTime", time, err));
    *from = last;
    out->items[out->count++] = (struct mr_op_part){.method = "deduplicate",
                                                   .options = options,
                                                   .ninputs = 1,
                                                   .inputs = from};
    return MR_OK;
}

static enum mr_status refuse(const struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                             struct mr_error *err)
{
    if (plan->keep == MR_DEDUP_LAST)
        mr_options_error(bind->options, "keep", err,
                         "the last row of a key is not known in a stream: another may come");
    else if (plan->ordered)
        mr_options_error(bind->options, "orderBy", err,
                         "a stream keeps the row of a key that comes first, and no other");
    else if (plan->keep == MR_DEDUP_UNIQUE)
        mr_options_error(bind->options, "keep", err, "unique is for batch");
    else
        return MR_OK;
    mr_error_hint(err, "keep first without orderBy, or aggregateData with max_by and a window");
    return MR_CONFIG;
}

/* The column of the event time, as a timestamp. */
static enum mr_status bind_time(struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                                const char *text, struct mr_error *err)
{
    if (mr_op_append(&plan->appended, text, &plan->time, err) != MR_OK) {
        mr_error_hint(err, "%s is the event time of the watermark: it is still needed here", text);
        return mr_op_option_failed(bind->options, "watermark", NULL, err);
    }
    enum mr_type_id id = mr_op_append_field(&plan->appended, plan->time).type->id;
    if (id == MR_TYPE_TIMESTAMP || id == MR_TYPE_TIMESTAMP_NTZ)
        return MR_OK;
    const char *cast = mr_arena_printf(bind->arena, "CAST((%s) AS TIMESTAMP)", text);
    return cast ? mr_op_append(&plan->appended, cast, &plan->time, err) : mr_error_nomem(err);
}

enum mr_status mr_dedup_bind_stream(struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                                    struct mr_error *err)
{
    const struct mr_op_input *input = &bind->inputs[0];
    plan->time = -1;
    if (!input->stream)
        return MR_OK;
    bool part = bind->options->table == mr_dedup_part_options;
    MR_TRY(refuse(plan, bind, err));
    if (!part) {
        mr_options_error(bind->options, "keys", err,
                         input->measured ? "the frames behind have different event times"
                                         : "a stream without a watermark would be remembered for "
                                           "ever");
        mr_error_hint(err, "give `watermark` {column, delay}%s",
                      input->measured ? "" : " here, or a step withWatermark in front");
        return MR_CONFIG;
    }
    MR_TRY(bind_time(plan, bind, mr_options_text(bind->options, "eventTime"), err));
    struct mr_field *fields = mr_arena_calloc(bind->arena, (size_t)plan->nkeys + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int k = 0; k < plan->nkeys; k++) {
        fields[k].name = mr_arena_printf(bind->arena, "key %d", k + 1);
        fields[k].type = plan->types[k];
        fields[k].nullable = true;
        if (!fields[k].name)
            return mr_error_nomem(err);
    }
    fields[plan->nkeys] =
        (struct mr_field){.name = "event time", .type = mr_type_of(MR_TYPE_INT64)};
    plan->kept = mr_schema_new(bind->arena, fields, plan->nkeys + 1);
    return plan->kept ? MR_OK : mr_error_nomem(err);
}

/* ---- an epoch ---- */

struct remembering {
    const struct mr_dedup_plan *plan;
    struct mr_dedup_kept *kept;
    struct mr_dedup_part *part;
    struct mr_spill *spill;
    struct mr_runtime *runtime;
    int partition;
    int64_t before;
    uint8_t *bits;
    struct mr_error *err;
};

/* Rows whose keys are not known, in their order; `at`: place of the first one among the bits. */
static enum mr_status choose(const struct remembering *on, const struct mr_batch *batch,
                             const uint32_t *groups, int64_t at)
{
    struct mr_dedup_part *part = on->part;
    struct mr_column *flat;
    enum mr_status status = MR_OK;
    MR_TRY(mr_column_flatten(on->runtime->memory, batch->columns[on->plan->time], &flat, on->err));
    const int64_t *times = (const int64_t *)(const void *)flat->values->data;
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++, at++) {
        if (part->times[groups[i]] > on->before)
            continue;
        /* Without a time it is as if it had the first that is not late, which there is (event_clock.h). */
        int64_t time = mr_column_is_null(flat, i) ? on->before + 1 : times[i];
        on->bits[at >> 3] |= (uint8_t)(1u << (at & 7));
        status = mr_dedup_part_take(on->kept, part, groups[i], time, on->err);
    }
    mr_column_unref(flat);
    return status;
}

/* The keys of a chunk are entered, and, unless that is for later, its rows looked at. */
static enum mr_status read_chunk(const struct remembering *on, int chunk, bool look, int64_t *at)
{
    const struct mr_dedup_plan *plan = on->plan;
    struct mr_dedup_rows rows = {0};
    struct mr_batch *batch;
    MR_TRY(mr_spill_chunk(on->spill, on->runtime, on->partition, chunk, &batch, on->err));
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    enum mr_status status = keys ? MR_OK : mr_error_nomem(on->err);
    for (int k = 0; keys && k < plan->nkeys; k++)
        keys[k] = batch->columns[plan->keys[k]];
    if (status == MR_OK)
        status = mr_dedup_rows_init(&rows, plan->nkeys, keys, batch->rows, on->err);
    if (status == MR_OK)
        status = mr_dedup_part_enter(on->kept, on->part, &rows, batch->rows, on->err);
    if (status == MR_OK && look)
        status = choose(on, batch, rows.groups, *at);
    *at += look ? batch->rows : 0;
    mr_dedup_rows_reset(&rows);
    mr_free(keys);
    mr_batch_unref(batch);
    return status;
}

/* Chunks from *chunk on beside keys that are stored: about as many as have room. */
static enum mr_status read_block(const struct remembering *on, int *chunk, int64_t *at)
{
    int count = mr_spill_chunks(on->spill, on->partition), first = *chunk;
    int64_t known = mr_group_table_count(on->part->table), nowhere = 0;
    do
        MR_TRY(read_chunk(on, (*chunk)++, false, &nowhere));
    while (*chunk < count && mr_dedup_part_bytes(on->part) <= 2 * on->kept->limit);
    if (mr_group_table_count(on->part->table) > known)
        MR_TRY(mr_dedup_part_recall(on->kept, on->part, known, on->before, on->runtime, on->err));
    for (int c = first; c < *chunk; c++)
        MR_TRY(read_chunk(on, c, true, at));
    return MR_OK;
}

enum mr_status mr_dedup_remember(const struct mr_dedup_plan *plan, struct mr_spill *spill,
                                 struct mr_runtime *runtime, int partition,
                                 struct mr_dedup_fresh *out, struct mr_error *err)
{
    struct mr_dedup_kept *kept = runtime->kept;
    struct mr_event_clock *clock = runtime->clocks ? runtime->clocks[0] : NULL;
    struct remembering on = {.plan = plan,
                             .kept = kept,
                             .part = &kept->parts[partition],
                             .spill = spill,
                             .runtime = runtime,
                             .partition = partition,
                             .before = clock ? mr_event_clock_before(clock) : MR_WATERMARK_NONE,
                             .err = err};
    int chunk = 0, count = mr_spill_chunks(spill, partition);
    int64_t at = 0;
    MR_TRY(mr_dedup_part_sweep(kept, on.part, on.before, err));
    on.bits = out->bits = mr_calloc((size_t)mr_spill_rows(spill, partition) / 8 + 1, 1);
    if (!out->bits)
        return mr_error_nomem(err);
    while (chunk < count) {
        if (on.part->nstored > 0)
            MR_TRY(read_block(&on, &chunk, &at));
        else
            MR_TRY(read_chunk(&on, chunk++, true, &at));
        MR_TRY(mr_dedup_part_shrink(kept, on.part, on.before, runtime, err));
    }
    return MR_OK;
}
