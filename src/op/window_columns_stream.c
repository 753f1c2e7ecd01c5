/*
 * window_columns_stream.c - windowColumns from epoch to epoch: functions of a row and the rows before it.
 *
 * A stream has an order that no later row can change, that of arrival, so functions which look back a bounded number of rows
 * have their final value as soon as a row is there. In an epoch each group is computed as in batch, over its last rows (window_kept.c)
 * with the new ones behind, and what the functions say of new rows comes out. A frame of all rows so far is a state of sql/aggregate.h for each group,
 * which is kept with the group's last row: so what is kept, saved and stored are rows in any case. What needs later rows or an order is refused.
 *
 * All of it is done in `settle`, a partition a piece, into a spill: `pull` may be called more than once, but a row is
 * counted once. New rows are brought together by their groups' numbers, which needs no sort.
 */
#include "op/window_kept.h"

#include <string.h>

/* ---- what may be asked ---- */

static enum mr_status refuse(struct mr_error *err, const char *message, const char *hint)
{
    mr_error_config(err, "%s", message);
    mr_error_hint(err, "%s", hint);
    return MR_CONFIG;
}

#define GIVE_FRAME "give a frame that looks back: \"ROWS BETWEEN 9 PRECEDING AND CURRENT ROW\""

static enum mr_status check_frame(const struct mr_window_plan *plan, bool given,
                                  struct mr_error *err)
{
    const struct mr_window_frame *frame = &plan->frame;
    if (!given)
        return refuse(
            err, "without a frame all rows of the group count, also those that have not come yet",
            GIVE_FRAME);
    if (frame->to == MR_BOUND_FOLLOWING || frame->to == MR_BOUND_LAST)
        return refuse(err, "the frame needs rows that have not come yet", GIVE_FRAME);
    if (!frame->rows)
        return refuse(err,
                      "a frame of RANGE needs an order, and in a stream later rows may belong "
                      "in front",
                      GIVE_FRAME ", or group by event time with aggregateData and a window");
    if (frame->from == MR_BOUND_FIRST && frame->to != MR_BOUND_CURRENT)
        return refuse(err, "a frame from UNBOUNDED PRECEDING goes to CURRENT ROW in a stream",
                      "\"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW\", or look back n "
                      "PRECEDING");
    return MR_OK;
}

/* Can it be kept as a state that does not grow with the rows of its group? */
static enum mr_status check_running(const struct mr_window_function *f, struct mr_error *err)
{
    int length = 0;
    const char *growing = f->runs ? mr_aggregation_not_running(f->aggregation, &length) : NULL;
    if (f->kind == MR_WINDOW_NTH)
        return refuse(err, "from UNBOUNDED PRECEDING it would need a row from long ago",
                      "first_value and lag are for streams, or a frame n PRECEDING");
    if (growing)
        return refuse(err,
                      "all values of the group would be kept, however many there are: from "
                      "UNBOUNDED PRECEDING a stream keeps one state a group",
                      "count, sum, min, max, avg, first_value and the like have one; or give a "
                      "frame n PRECEDING, or group by time with aggregateData and a window");
    return MR_OK;
}

static enum mr_status check_call(const struct mr_window_plan *plan,
                                 const struct mr_window_call *call, bool framed,
                                 const struct mr_window_function *f, struct mr_error *err)
{
    switch (call->kind) {
    case MR_WINDOW_ROW_NUMBER:
        return MR_OK;
    case MR_WINDOW_RANK:
    case MR_WINDOW_DENSE_RANK:
    case MR_WINDOW_PERCENT_RANK:
    case MR_WINDOW_CUME_DIST:
    case MR_WINDOW_NTILE:
        return refuse(err, "rows that have not come yet would change it",
                      "row_number, lag and frames that look back are for streams; rank what reads "
                      "the target");
    case MR_WINDOW_LAG:
    case MR_WINDOW_LEAD:
        if (f->n < 0)
            return refuse(err, "it needs rows that have not come yet",
                          "lag looks back: the later row of two can have both values");
        if (f->ignore_nulls)
            return refuse(err, "with IGNORE NULLS it may need a row from long ago",
                          "last_value(x) IGNORE NULLS over a frame n PRECEDING has a bound");
        return MR_OK;
    default:
        MR_TRY(check_frame(plan, framed, err));
        return plan->frame.from == MR_BOUND_FIRST ? check_running(f, err) : MR_OK;
    }
}

enum mr_status mr_window_check_stream(const struct mr_window_plan *plan,
                                      const struct mr_op_bind *bind,
                                      const struct mr_window_call *call, struct mr_error *err)
{
    const struct mr_window_function *f = NULL;
    if (!bind->inputs[0].stream)
        return MR_OK;
    if (plan->norder > 0)
        return refuse(err,
                      "in a stream rows have the order of arrival; with orderBy later ones "
                      "could belong in front",
                      "leave orderBy out, or group by event time with aggregateData and a window");
    for (int i = 0; !f && i < plan->nfunctions; i++)
        if (plan->functions[i].text == call->text)
            f = &plan->functions[i];
    if (!f)
        return mr_error_internal(err, "a call without a function");
    return check_call(plan, call, mr_options_has(bind->options, "frame"), f, err);
}

/* ---- what is kept ---- */

/* Columns of the appended schema that functions read of other rows, and keys. */
static void mark_needed(const struct mr_window_plan *plan, bool *needed)
{
    for (int k = 0; k < plan->npartition; k++)
        needed[plan->partition[k]] = true;
    for (int i = 0; i < plan->nfunctions; i++) {
        const struct mr_window_function *f = &plan->functions[i];
        if (f->runs)
            continue;
        if (f->arg >= 0)
            needed[f->arg] = true;
        if (f->fallback >= 0)
            needed[f->fallback] = true;
        const struct mr_projection *inputs = f->aggregation && f->way == MR_WAY_STATES
                                                 ? mr_aggregation_inputs(f->aggregation)
                                                 : NULL;
        for (int e = 0; inputs && e < mr_projection_count(inputs); e++)
            mr_expr_uses(mr_projection_expr(inputs, e), needed);
    }
}

static int64_t rows_back(const struct mr_window_plan *plan)
{
    int64_t most = 1; /* the last row says how many there were */
    for (int i = 0; i < plan->nfunctions; i++) {
        const struct mr_window_function *f = &plan->functions[i];
        int64_t back = f->kind == MR_WINDOW_ROW_NUMBER || f->runs ? 1
                       : f->kind == MR_WINDOW_LAG                 ? f->n
                       : plan->frame.from == MR_BOUND_PRECEDING   ? -plan->from_rows
                                                                  : 1;
        most = back > most ? back : most;
    }
    return most;
}

static int count_states(const struct mr_window_plan *plan)
{
    int n = 0;
    for (int i = 0; i < plan->nfunctions; i++)
        if (plan->functions[i].runs)
            n += mr_aggregation_states(plan->functions[i].aggregation)->nfields;
    return n;
}

/* Columns for the states of functions that run, from `at` on; NULL but for the last row of a group. */
static enum mr_status add_states(struct mr_window_plan *plan, struct mr_arena *arena,
                                 struct mr_field *fields, int *at, struct mr_error *err)
{
    for (int i = 0; i < plan->nfunctions; i++) {
        struct mr_window_function *f = &plan->functions[i];
        if (!f->runs)
            continue;
        const struct mr_schema *states = mr_aggregation_states(f->aggregation);
        f->state = *at;
        for (int s = 0; s < states->nfields; s++, ++*at) {
            fields[*at].name = mr_arena_printf(arena, "state %d", *at + 1);
            fields[*at].type = states->fields[s].type;
            fields[*at].nullable = true;
            if (!fields[*at].name)
                return mr_error_nomem(err);
        }
    }
    return MR_OK;
}

enum mr_status mr_window_bind_stream(struct mr_window_plan *plan, const struct mr_op_bind *bind,
                                     struct mr_op_info *info, struct mr_error *err)
{
    struct mr_arena *arena = bind->arena;
    const struct mr_schema *rows = plan->appended.schema;
    size_t n = (size_t)rows->nfields + 1, nkeys = (size_t)plan->npartition + 1;
    if (!bind->inputs[0].stream)
        return MR_OK;
    bool *needed = mr_arena_calloc(arena, n, sizeof *needed);
    struct mr_field *fields =
        mr_arena_calloc(arena, n + (size_t)count_states(plan), sizeof *fields);
    plan->kept_columns = mr_arena_calloc(arena, n, sizeof *plan->kept_columns);
    plan->kept_keys = mr_arena_calloc(arena, nkeys, sizeof *plan->kept_keys);
    plan->types = mr_arena_calloc(arena, nkeys, sizeof(*plan->types));
    if (!needed || !fields || !plan->kept_columns || !plan->kept_keys || !plan->types)
        return mr_error_nomem(err);
    mark_needed(plan, needed);
    for (int c = 0; c < rows->nfields; c++) {
        if (!needed[c])
            continue;
        for (int k = 0; k < plan->npartition; k++)
            if (plan->partition[k] == c) {
                plan->kept_keys[k] = plan->nkept;
                plan->types[k] = rows->fields[c].type;
            }
        struct mr_field *field = &fields[plan->nkept];
        field->name = mr_arena_printf(arena, "column %d", plan->nkept + 1);
        field->type = rows->fields[c].type;
        field->nullable = true;
        if (!field->name)
            return mr_error_nomem(err);
        plan->kept_columns[plan->nkept++] = c;
    }
    int nfields = plan->nkept;
    MR_TRY(add_states(plan, arena, fields, &nfields, err));
    fields[nfields] = (struct mr_field){.name = "number", .type = mr_type_of(MR_TYPE_INT64)};
    plan->keep = rows_back(plan);
    info->kept = plan->kept = mr_schema_new(arena, fields, nfields + 1);
    return plan->kept ? MR_OK : mr_error_nomem(err);
}

/* ---- an epoch of a partition ---- */

struct piece {
    struct mr_emit emit; /* into `out` */
    const struct mr_window_plan *plan;
    struct mr_runtime *runtime;
    struct mr_window_kept *kept;
    struct mr_window_part *part;
    struct mr_eval *eval; /* of the partition */
    struct mr_spill **out;
    struct mr_error *err;
    struct mr_batch *fresh; /* new rows, of the appended schema; borrowed */
    uint64_t *hashes;
    uint32_t *groups;  /* by new row */
    int64_t *numbers;  /* in its group, by new row */
    uint32_t *slots;   /* place of its group in `touched`, by new row */
    uint32_t *touched; /* groups with new rows, as they first came */
    int32_t *lasts;    /* of them: the last kept row among `places`, or -1 */
    int64_t ntouched;
    struct mr_window_place
        *places; /* kept rows of those groups, and where they come in the block */
    int32_t *places_at;
    int64_t nplaces;
    struct mr_batch *recalled; /* these rows; NULL if there are none */
    int32_t *recalled_at;      /* row of it, by place */
    struct mr_column *
        *states;  /* of functions that run, by column of plan->kept, by touched group */
    int64_t rows; /* of the block: kept rows and new ones, group by group */
    int32_t
        *from; /* by row of the block: a new row, or from the number of new rows on a kept one */
    int32_t
        *new_at; /* new rows in the order of the block: place in the block, and row of `fresh` */
    int32_t *new_rows;
};

static void piece_reset(struct piece *piece)
{
    mr_free(piece->hashes);
    mr_free(piece->groups);
    mr_free(piece->numbers);
    mr_free(piece->slots);
    mr_free(piece->touched);
    mr_free(piece->lasts);
    mr_free(piece->places);
    mr_free(piece->places_at);
    mr_batch_unref(piece->recalled);
    mr_free(piece->recalled_at);
    for (int c = 0; piece->states && c < piece->plan->kept->nfields; c++)
        mr_column_unref(piece->states[c]);
    mr_free(piece->states);
    mr_free(piece->from);
    mr_free(piece->new_at);
    mr_free(piece->new_rows);
}

/* Groups and numbers of new rows, and how many kept rows may stand before them. */
static enum mr_status number_rows(struct piece *piece, int64_t *before)
{
    size_t n = (size_t)piece->fresh->rows;
    piece->hashes = mr_alloc(n * sizeof *piece->hashes);
    piece->groups = mr_alloc(n * sizeof *piece->groups);
    piece->numbers = mr_alloc(n * sizeof *piece->numbers);
    piece->slots = mr_alloc(n * sizeof *piece->slots);
    piece->touched = mr_alloc(n * sizeof *piece->touched);
    piece->lasts = mr_alloc(n * sizeof *piece->lasts);
    if (!piece->hashes || !piece->groups || !piece->numbers || !piece->slots || !piece->touched ||
        !piece->lasts)
        return mr_error_nomem(piece->err);
    mr_window_hash(piece->plan, piece->fresh, piece->plan->partition, piece->hashes);
    MR_TRY(mr_window_groups(piece->kept, piece->part, piece->fresh, piece->plan->partition,
                            piece->hashes, piece->groups, piece->err));
    *before = 0;
    for (size_t i = 0; i < n; i++) {
        struct mr_window_key *key = &piece->part->keys[piece->groups[i]];
        if (key->fresh++ == 0) {
            key->next = piece->ntouched;
            piece->touched[piece->ntouched++] = piece->groups[i];
            *before += key->seen < piece->plan->keep ? key->seen : piece->plan->keep;
        }
        piece->numbers[i] = key->seen + key->fresh;
        piece->slots[i] = (uint32_t)key->next;
    }
    return MR_OK;
}

/* Where rows lie in the block. */
static enum mr_status lay_out(struct piece *piece)
{
    int64_t before = 0, n = piece->fresh->rows, at = 0;
    MR_TRY(number_rows(piece, &before));
    if (before + n > INT32_MAX)
        return mr_error_set(piece->err, MR_LIMIT, MR_CLASS_DATA,
                            "an epoch of a window has more than 2147483647 rows");
    size_t all = (size_t)(before + n);
    piece->places = mr_alloc(((size_t)before + 1) * sizeof *piece->places);
    piece->places_at = mr_alloc(((size_t)before + 1) * sizeof *piece->places_at);
    piece->from = mr_alloc(all * sizeof *piece->from);
    piece->new_at = mr_alloc((size_t)n * sizeof *piece->new_at);
    piece->new_rows = mr_alloc((size_t)n * sizeof *piece->new_rows);
    if (!piece->places || !piece->places_at || !piece->from || !piece->new_at || !piece->new_rows)
        return mr_error_nomem(piece->err);
    for (int64_t t = 0; t < piece->ntouched; t++) {
        uint32_t group = piece->touched[t];
        struct mr_window_key *key = &piece->part->keys[group];
        int64_t first = key->seen > piece->plan->keep ? key->seen - piece->plan->keep + 1 : 1;
        piece->lasts[t] = -1;
        for (int64_t number = first; number <= key->seen; number++) {
            if (!mr_window_find(piece->part, group, number, &piece->places[piece->nplaces]))
                continue;
            if (number == key->seen)
                piece->lasts[t] = (int32_t)piece->nplaces;
            piece->places_at[piece->nplaces++] = (int32_t)at++;
        }
        key->at = at;
        at += key->fresh;
    }
    piece->rows = at;
    for (int64_t i = 0; i < at; i++)
        piece->from[i] = -1;
    for (int64_t i = 0; i < n; i++)
        piece->from[piece->part->keys[piece->groups[i]].at++] = (int32_t)i;
    for (int64_t i = 0, k = 0; i < at; i++) {
        if (piece->from[i] < 0)
            continue;
        piece->new_at[k] = (int32_t)i;
        piece->new_rows[k++] = piece->from[i];
    }
    for (int64_t t = 0; t < piece->ntouched; t++)
        piece->part->keys[piece->touched[t]].fresh = 0;
    return MR_OK;
}

/* Column c of the block: nothing for one that no function looks at. */
static enum mr_status block_column(struct piece *piece, int c, struct mr_column **out)
{
    struct mr_memory *memory = piece->runtime->memory;
    const struct mr_window_plan *plan = piece->plan;
    struct mr_column *parts[2] = {piece->fresh->columns[c], NULL}, *both = NULL;
    int k = 0;
    while (k < plan->nkept && plan->kept_columns[k] != c)
        k++;
    if (k == plan->nkept) {
        struct mr_value nothing = {.type = parts[0]->type, .is_null = true};
        return mr_column_new_constant(memory, parts[0]->type, &nothing, piece->rows, out,
                                      piece->err);
    }
    if (!piece->recalled)
        return mr_column_take(memory, parts[0], piece->from, piece->rows, out, piece->err);
    parts[1] = piece->recalled->columns[k];
    enum mr_status status = mr_column_concat(memory, parts, 2, &both, piece->err);
    if (status == MR_OK)
        status = mr_column_take(memory, both, piece->from, piece->rows, out, piece->err);
    mr_column_unref(both);
    return status;
}

static enum mr_status make_block(struct piece *piece, struct mr_batch **out)
{
    const struct mr_schema *schema = piece->plan->appended.schema;
    int done = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    int32_t *at = mr_alloc(((size_t)piece->nplaces + 1) * sizeof *at);
    piece->recalled_at = at;
    enum mr_status status = columns && at ? MR_OK : mr_error_nomem(piece->err);
    if (status == MR_OK && piece->nplaces > 0)
        status = mr_window_recall(piece->part, piece->runtime->memory, piece->places,
                                  piece->nplaces, &piece->recalled, at, piece->err);
    for (int64_t i = 0; status == MR_OK && i < piece->nplaces; i++)
        piece->from[piece->places_at[i]] = (int32_t)(piece->fresh->rows + at[i]);
    for (; status == MR_OK && done < schema->nfields; done += status == MR_OK)
        status = block_column(piece, done, &columns[done]);
    if (status == MR_OK)
        status = mr_batch_new(schema, piece->rows, columns, out, piece->err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static enum mr_status row_numbers(struct piece *piece, struct mr_column **out)
{
    struct mr_buffer *values;
    size_t size = (size_t)piece->fresh->rows * sizeof(int32_t);
    MR_TRY(mr_buffer_new(piece->runtime->memory, size, &values, piece->err));
    int32_t *to = (int32_t *)(void *)values->data;
    for (int64_t i = 0; i < piece->fresh->rows; i++) {
        int64_t number = piece->numbers[piece->new_rows[i]];
        if (number > INT32_MAX) {
            mr_buffer_unref(values);
            return mr_error_set(piece->err, MR_LIMIT, MR_CLASS_DATA,
                                "a group of a window has more than 2147483647 rows");
        }
        to[i] = (int32_t)number;
    }
    mr_buffer_finish(values, size);
    return mr_column_new(mr_type_of(MR_TYPE_INT32), piece->fresh->rows, 0, NULL, values, NULL, out,
                         piece->err);
}

/* The states of a function as they were kept with the last row of each touched group. */
static enum mr_status recall_states(struct piece *piece, const struct mr_window_function *f,
                                    struct mr_agg_states *states)
{
    int n = mr_aggregation_states(f->aggregation)->nfields, done = 0;
    int64_t count = 0;
    size_t touched = (size_t)piece->ntouched;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    int32_t *rows = mr_alloc((touched + 1) * (sizeof *rows + sizeof(uint32_t)));
    enum mr_status status = columns && rows ? MR_OK : mr_error_nomem(piece->err);
    uint32_t *groups = (uint32_t *)(void *)(rows + (rows ? touched + 1 : 0));
    for (size_t t = 0; status == MR_OK && t < touched; t++) {
        if (piece->lasts[t] < 0)
            continue;
        rows[count] = piece->recalled_at[piece->lasts[t]];
        groups[count++] = (uint32_t)t;
    }
    for (; status == MR_OK && count > 0 && done < n; done += status == MR_OK)
        status = mr_column_take(piece->runtime->memory, piece->recalled->columns[f->state + done],
                                rows, count, &columns[done], piece->err);
    if (status == MR_OK && count > 0)
        status = mr_agg_states_merge(states, columns, count, groups, piece->err);
    for (int c = 0; c < done; c++)
        mr_column_unref(columns[c]);
    mr_free(columns);
    mr_free(rows);
    return status;
}

/* A function that runs: its values for new rows as they came, and its states behind them. */
static enum mr_status run_states(struct piece *piece, const struct mr_window_function *f,
                                 struct mr_column **out)
{
    const struct mr_projection *inputs = mr_aggregation_inputs(f->aggregation);
    int n = mr_projection_count(inputs);
    bool evaluated = false;
    struct mr_agg_states *states = NULL;
    struct mr_column **behind = piece->states + f->state;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(piece->err);
    if (status == MR_OK)
        status = mr_agg_states_new(f->aggregation, piece->runtime->memory, &states, piece->err);
    if (status == MR_OK)
        status = mr_agg_states_resize(states, piece->ntouched, piece->err);
    if (status == MR_OK)
        status = recall_states(piece, f, states);
    if (status == MR_OK) {
        status = mr_projection_eval(piece->eval, inputs, piece->fresh, columns, piece->err);
        evaluated = status == MR_OK;
    }
    if (status == MR_OK)
        status = mr_agg_states_run(states, columns, NULL, piece->fresh->rows, piece->slots, out,
                                   piece->err);
    if (status == MR_OK) {
        status = mr_agg_states_export(states, 0, piece->ntouched, behind, piece->err);
        if (status != MR_OK) { /* those that were made are gone */
            size_t count = (size_t)mr_aggregation_states(f->aggregation)->nfields;
            memset(behind, 0, count * sizeof(*behind));
            mr_column_unref(*out);
        }
    }
    for (int i = 0; evaluated && i < n; i++)
        mr_column_unref(columns[i]);
    mr_agg_states_free(states);
    mr_free(columns);
    return status;
}

/* What function f says of new rows. */
static enum mr_status function_column(struct piece *piece, struct mr_window_block *block, int f,
                                      struct mr_column **out)
{
    struct mr_column *all;
    bool runs = piece->plan->functions[f].runs;
    if (piece->plan->functions[f].kind == MR_WINDOW_ROW_NUMBER)
        return row_numbers(piece, out);
    MR_TRY(runs ? run_states(piece, &piece->plan->functions[f], &all)
                : mr_window_compute(block, f, &all, piece->err));
    enum mr_status status =
        mr_column_take(piece->runtime->memory, all, runs ? piece->new_rows : piece->new_at,
                       piece->fresh->rows, out, piece->err);
    mr_column_unref(all);
    return status;
}

static enum mr_status compute(struct piece *piece, struct mr_window_block *block,
                              struct mr_batch **out)
{
    const struct mr_window_plan *plan = piece->plan;
    int n = plan->appended.input->nfields, total = plan->results->nfields, done = 0;
    struct mr_column **columns = mr_calloc((size_t)total + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(piece->err);
    for (; status == MR_OK && done < total; done += status == MR_OK)
        status = done < n ? mr_column_take(piece->runtime->memory, piece->fresh->columns[done],
                                           piece->new_rows, piece->fresh->rows, &columns[done],
                                           piece->err)
                          : function_column(piece, block, done - n, &columns[done]);
    if (status == MR_OK)
        status = mr_batch_new(plan->results, piece->fresh->rows, columns, out, piece->err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static enum mr_status put(struct mr_emit *emit, int port, struct mr_batch *batch,
                          struct mr_error *err)
{
    (void)port;
    struct piece *piece = (struct piece *)(void *)emit;
    enum mr_status status = MR_OK;
    if (!*piece->out)
        status = mr_spill_new(piece->runtime, piece->plan->schema, 1,
                              piece->runtime->share / MR_WINDOW_PARTS, piece->out, err);
    if (status == MR_OK)
        status = mr_spill_add(*piece->out, 0, batch, err);
    mr_batch_unref(batch);
    return status;
}

static enum mr_status give(struct piece *piece)
{
    struct mr_window_block block = {.plan = piece->plan,
                                    .runtime = piece->runtime,
                                    .eval = piece->eval};
    struct mr_batch *results = NULL;
    piece->states = mr_calloc((size_t)piece->plan->kept->nfields, sizeof(*piece->states));
    enum mr_status status =
        piece->states ? make_block(piece, &block.batch) : mr_error_nomem(piece->err);
    if (status == MR_OK)
        status = mr_window_block_init(&block, piece->err);
    if (status == MR_OK)
        status = compute(piece, &block, &results);
    mr_window_block_reset(&block);
    mr_batch_unref(block.batch);
    if (status == MR_OK)
        status = mr_window_emit(piece->plan, piece->eval, piece->runtime->memory, results,
                                &piece->emit, piece->err);
    mr_batch_unref(results);
    return status;
}

/* Column c of the new rows as they are kept; rows[i] = place of the group whose last row this is, or -1. */
static enum mr_status kept_column(struct piece *piece, int c, const int32_t *rows,
                                  struct mr_column **out)
{
    const struct mr_window_plan *plan = piece->plan;
    int64_t n = piece->fresh->rows;
    struct mr_buffer *numbers;
    if (c < plan->nkept) {
        *out = mr_column_ref(piece->fresh->columns[plan->kept_columns[c]]);
        return MR_OK;
    }
    if (c < plan->kept->nfields - 1)
        return mr_column_take(piece->runtime->memory, piece->states[c], rows, n, out, piece->err);
    size_t bytes = (size_t)n * sizeof(int64_t);
    MR_TRY(mr_buffer_new(piece->runtime->memory, bytes, &numbers, piece->err));
    memcpy(numbers->data, piece->numbers, bytes);
    mr_buffer_finish(numbers, bytes);
    return mr_column_new(mr_type_of(MR_TYPE_INT64), n, 0, NULL, numbers, NULL, out, piece->err);
}

/* New rows that are among the last ones of their group are kept. */
static enum mr_status keep_fresh(struct piece *piece)
{
    const struct mr_window_plan *plan = piece->plan;
    struct mr_batch *rows = NULL, *taken = NULL;
    int64_t count = 0, n = piece->fresh->rows;
    int done = 0, nfields = plan->kept->nfields;
    struct mr_column **columns = mr_calloc((size_t)nfields, sizeof(*columns));
    int32_t *lasts = mr_alloc(((size_t)n + 1) * sizeof *lasts);
    enum mr_status status = columns && lasts ? MR_OK : mr_error_nomem(piece->err);
    /* by group, the last of which is numbered so: */
    for (int64_t i = 0; status == MR_OK && i < n; i++) {
        struct mr_window_key *key = &piece->part->keys[piece->groups[i]];
        key->next = piece->numbers[i];
    }
    for (int64_t i = 0; status == MR_OK && i < n; i++) {
        int64_t last = piece->part->keys[piece->groups[i]].next;
        lasts[i] = piece->numbers[i] == last ? (int32_t)piece->slots[i] : -1;
        if (piece->numbers[i] <= last - plan->keep)
            continue;
        piece->new_rows[count] = (int32_t)i;
        piece->groups[count++] = piece->groups[i];
    }
    for (; status == MR_OK && done < nfields; done += status == MR_OK)
        status = kept_column(piece, done, lasts, &columns[done]);
    if (status == MR_OK)
        status = mr_batch_new(plan->kept, n, columns, &rows, piece->err);
    else
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    if (status == MR_OK)
        status =
            mr_batch_take(piece->runtime->memory, rows, piece->new_rows, count, &taken, piece->err);
    if (status == MR_OK)
        status = mr_window_keep(piece->kept, piece->part, taken, piece->groups, piece->err);
    mr_batch_unref(taken);
    mr_batch_unref(rows);
    mr_free(columns);
    mr_free(lasts);
    return status;
}

/* ---- a partition ---- */

/* New rows of a partition, on their way to where the rows before them are. */
struct going {
    struct mr_window_walk walk; /* first */
    const struct mr_window_plan *plan;
    struct mr_runtime *runtime;
    struct mr_window_kept *kept;
    struct mr_window_part *part;
    struct mr_eval *eval;
    struct mr_spill **out;
};

/* New rows behind those of a partition, which may be a leaf of what is stored. */
static enum mr_status work_off(const struct going *going, struct mr_window_part *part,
                               struct mr_batch *fresh)
{
    struct piece piece = {.emit = {.batch = put},
                          .plan = going->plan,
                          .runtime = going->runtime,
                          .kept = going->kept,
                          .part = part,
                          .eval = going->eval,
                          .out = going->out,
                          .err = going->walk.err,
                          .fresh = fresh};
    enum mr_status status = lay_out(&piece);
    if (status == MR_OK)
        status = give(&piece);
    if (status == MR_OK)
        status = keep_fresh(&piece);
    piece_reset(&piece);
    return status;
}

static enum mr_status visit_leaf(struct mr_window_walk *walk, struct mr_window_node *leaf, int bits,
                                 struct mr_batch *rows)
{
    const struct going *going = (const struct going *)(const void *)walk;
    struct mr_window_part part;
    enum mr_status status =
        mr_window_leaf_load(going->kept, leaf, going->runtime, &part, walk->err);
    if (status == MR_OK)
        status = work_off(going, &part, rows);
    if (status == MR_OK)
        status = mr_window_leaf_put(going->kept, leaf, bits, &part, going->runtime, walk->err);
    mr_window_part_reset(going->kept, &part);
    return status;
}

static enum mr_status go_down(struct going *going, struct mr_batch *fresh)
{
    struct mr_error *err = going->walk.err;
    MR_TRY(mr_window_part_store(going->kept, going->part, going->runtime, err));
    uint64_t *hashes = mr_alloc(((size_t)fresh->rows + 1) * sizeof *hashes);
    if (!hashes)
        return mr_error_nomem(err);
    mr_window_hash(going->plan, fresh, going->plan->partition, hashes);
    enum mr_status status =
        mr_window_walk(&going->walk, going->part->stored, MR_WINDOW_BITS, fresh, hashes);
    mr_free(hashes);
    return status;
}

enum mr_status mr_window_stream_part(const struct mr_window_plan *plan, struct mr_spill *spill,
                                     struct mr_runtime *runtime, int partition,
                                     struct mr_spill **out, struct mr_error *err)
{
    struct mr_window_kept *kept = runtime->kept;
    struct going going = {.walk = {.visit = visit_leaf, .memory = runtime->memory, .err = err},
                          .plan = plan,
                          .runtime = runtime,
                          .kept = kept,
                          .part = &kept->parts[partition],
                          .out = out};
    int chunk = 0, count = mr_spill_chunks(spill, partition);
    if (mr_spill_rows(spill, partition) == 0)
        return MR_OK;
    enum mr_status status = mr_eval_new(runtime->memory, &plan->appended.session, &going.eval, err);
    while (status == MR_OK && chunk < count) {
        struct mr_batch *fresh = NULL;
        status = mr_spill_block(spill, runtime, partition, kept->block, &chunk, &fresh, err);
        if (status == MR_OK && going.part->stored)
            status = go_down(&going, fresh);
        else if (status == MR_OK)
            status = work_off(&going, going.part, fresh);
        mr_batch_unref(fresh);
        if (status == MR_OK)
            status = mr_window_part_shrink(kept, going.part, runtime, err);
    }
    mr_eval_free(going.eval);
    return status;
}
