/*
 * rules.c - evaluates the rules of a validation over a batch and sends the rows where they belong.
 *
 * Each rule gives a selection of the rows that break it, usually none. Only when there are some is a byte per row and
 * rule kept, and the batch split. With onFailure fail the rows still flow: whether the run fails is decided from the totals at
 * the end, so that the counts are complete and the same in every run.
 */
#include "op/rules.h"

#include "col/builder.h"

#include <string.h>

const char *const mr_rules_on_failure_choices[] = {"fail", "drop", "quarantine", NULL};

const struct mr_option mr_rules_quarantine_options[] = {
    {.name = "path",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Directory or URL to append the bad rows to."},
    {.name = "format",
     .type = MR_OPTION_STRING,
     .fallback = "parquet",
     .doc = "File format: parquet, json or csv."},
    MR_OPTION_END,
};

static enum mr_status side_schema(const struct mr_op_bind *bind, struct mr_rules *rules,
                                  struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    struct mr_field *fields =
        mr_arena_calloc(bind->arena, (size_t)input->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    memcpy(fields, input->fields, (size_t)input->nfields * sizeof *fields);
    fields[input->nfields] =
        (struct mr_field){.name = "_failed_rules", .type = mr_type_of(MR_TYPE_STRING)};
    rules->side = mr_schema_new(bind->arena, fields, input->nfields + 1);
    return rules->side ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_rules_new(const struct mr_op_bind *bind, int count, struct mr_rules **out,
                            struct mr_error *err)
{
    const struct mr_options *options = bind->options;
    struct mr_rules *rules = mr_arena_calloc(bind->arena, 1, sizeof *rules);
    size_t room = (size_t)count + 1;
    if (!rules)
        return mr_error_nomem(err);
    rules->count = count;
    rules->session = mr_op_session(bind);
    rules->rules = mr_arena_calloc(bind->arena, room, sizeof *rules->rules);
    rules->counts.values = mr_arena_calloc(bind->arena, room, sizeof *rules->counts.values);
    const char **names = mr_arena_calloc(bind->arena, room, sizeof *names);
    if (!rules->rules || !rules->counts.values || !names)
        return mr_error_nomem(err);
    rules->counts.names = names;
    rules->counts.count = count;
    rules->on_failure = (enum mr_on_failure)mr_options_integer(options, "onFailure", 0);
    rules->samples = mr_options_integer(options, "sampleFailures", 0);
    rules->counts.limit = mr_options_integer(options, "maxFailures",
                                             rules->on_failure == MR_ON_FAILURE_FAIL ? 0 : -1);
    bool quarantine = mr_options_has(options, "quarantine");
    if (rules->on_failure == MR_ON_FAILURE_QUARANTINE && !quarantine)
        return mr_options_error(options, "onFailure", err,
                                "onFailure quarantine needs `quarantine` with a path");
    if (rules->on_failure != MR_ON_FAILURE_QUARANTINE && quarantine)
        return mr_options_error(options, "quarantine", err,
                                "`quarantine` is only used with onFailure quarantine");
    if (rules->on_failure == MR_ON_FAILURE_QUARANTINE)
        MR_TRY(side_schema(bind, rules, err));
    *out = rules;
    return MR_OK;
}

enum mr_status mr_rules_bind(const struct mr_op_bind *bind, struct mr_rules *rules,
                             const char *option, struct mr_op_info *info, struct mr_error *err)
{
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    struct mr_bytes details;
    mr_bytes_init(&details, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < rules->count; i++) {
        struct mr_rule *rule = &rules->rules[i];
        ((const char **)rules->counts.names)[i] = rule->name;
        mr_bytes_printf(&details, "%s%s", i ? ", " : "", rule->name);
        if (rule->text && mr_expr_compile_condition(bind->arena, rule->text, &scope,
                                                    &rules->session, &rule->broken, err) != MR_OK) {
            mr_bytes_reset(&details);
            mr_error_prefix(err, "rule %s", rule->name);
            return mr_op_option_failed(bind->options, option, NULL, err);
        }
    }
    info->details = mr_arena_printf(bind->arena, "%s on failure: %s",
                                    mr_rules_on_failure_choices[rules->on_failure],
                                    details.data ? details.data : "nothing to check");
    mr_bytes_reset(&details);
    info->schema = bind->inputs[0].schema;
    info->side = rules->side;
    info->rows = bind->inputs[0].rows;
    info->passes = mr_op_passes_all(bind->arena, info->schema);
    info->counts = &rules->counts;
    return info->details && info->passes ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_rules_open(void *plan, struct mr_runtime *runtime, void **task,
                             struct mr_error *err)
{
    struct mr_rules *rules = plan;
    return mr_op_eval_open(plan, runtime, &rules->session, task, err);
}

static void show_sample(struct mr_rules *rules, struct mr_runtime *runtime,
                        const struct mr_batch *batch, int64_t row, const char *rule)
{
    if (atomic_fetch_add(&rules->samples_shown, 1) >= rules->samples)
        return;
    struct mr_bytes text;
    mr_bytes_init(&text, 4096);
    for (int i = 0; i < batch->schema->nfields; i++) {
        struct mr_value value;
        mr_column_get(batch->columns[i], row, &value);
        mr_bytes_printf(&text, "%s%s=", i ? ", " : "", batch->schema->fields[i].name);
        mr_value_format(&value, &text);
    }
    mr_event(runtime, MR_LOG_WARN, "rule %s broken by %s", rule, text.data ? text.data : "a row");
    mr_bytes_reset(&text);
}

/* The column _failed_rules of the `count` rows in `rows`. */
static enum mr_status failed_rules_column(struct mr_rules *rules, struct mr_memory *memory,
                                          const struct mr_batch *batch, const uint8_t *broken,
                                          const int32_t *rows, int64_t count,
                                          struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    struct mr_bytes names;
    enum mr_status status = MR_OK;
    MR_TRY(mr_builder_init(&builder, memory, mr_type_of(MR_TYPE_STRING), err));
    mr_bytes_init(&names, MR_BYTES_DEFAULT_MAXIMUM);
    for (int64_t i = 0; i < count; i++) {
        mr_bytes_clear(&names);
        for (int rule = 0; rule < rules->count; rule++) {
            if (broken[rule * batch->rows + rows[i]])
                mr_bytes_printf(&names, "%s%s", names.size ? ", " : "", rules->rules[rule].name);
        }
        MR_TRY_OUT(mr_bytes_status(&names, err));
        MR_TRY_OUT(mr_builder_bytes(&builder, names.data, names.size, err));
    }
    status = mr_builder_finish(&builder, out, err);
out:
    mr_bytes_reset(&names);
    mr_builder_reset(&builder);
    return status;
}

/* Emits the bad rows on port 1. Takes over the selection. */
static enum mr_status emit_quarantine(struct mr_rules *rules, struct mr_runtime *runtime,
                                      struct mr_batch *batch, const uint8_t *broken,
                                      struct mr_selection *bad, struct mr_emit *emit,
                                      struct mr_error *err)
{
    struct mr_batch *selected = NULL, *compact = NULL, *out = NULL;
    int nfields = batch->schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)nfields + 1, sizeof(*columns));
    int64_t count = bad->count;
    enum mr_status status = MR_OK;
    struct mr_column *names = NULL;
    if (!columns) {
        mr_selection_unref(bad);
        return mr_error_nomem(err);
    }
    status = failed_rules_column(rules, runtime->memory, batch, broken, mr_selection_rows(bad),
                                 count, &names, err);
    if (status != MR_OK) {
        mr_selection_unref(bad);
        goto out;
    }
    MR_TRY_OUT(mr_batch_select(batch, bad, &selected, err));
    MR_TRY_OUT(mr_batch_compact(runtime->memory, selected, &compact, err));
    for (int i = 0; i < nfields; i++)
        columns[i] = mr_column_ref(compact->columns[i]);
    columns[nfields] = names;
    names = NULL;
    MR_TRY_OUT(mr_batch_new(rules->side, count, columns, &out, err));
    status = emit->batch(emit, 1, out, err);
out:
    mr_column_unref(names);
    mr_batch_unref(selected);
    mr_batch_unref(compact);
    mr_free(columns);
    return status;
}

/* Splits the rows that count into good and bad by the bytes in `broken`. Either may come out empty (NULL). */
static enum mr_status split_rows(struct mr_rules *rules, struct mr_memory *memory,
                                 const struct mr_batch *batch, const uint8_t *broken,
                                 struct mr_selection **good, struct mr_selection **bad,
                                 struct mr_error *err)
{
    int64_t active = mr_batch_active(batch);
    const int32_t *rows = mr_selection_rows(batch->selection);
    struct mr_buffer *kept = NULL, *failed = NULL;
    MR_TRY(mr_buffer_new(memory, (size_t)active * sizeof(int32_t), &kept, err));
    enum mr_status status = mr_buffer_new(memory, (size_t)active * sizeof(int32_t), &failed, err);
    if (status != MR_OK) {
        mr_buffer_unref(kept);
        return status;
    }
    int32_t *kept_rows = (int32_t *)(void *)kept->data, *failed_rows = (void *)failed->data;
    int64_t nkept = 0, nfailed = 0;
    for (int64_t i = 0; i < active; i++) {
        int32_t row = rows ? rows[i] : (int32_t)i;
        bool is_bad = false;
        for (int rule = 0; rule < rules->count && !is_bad; rule++)
            is_bad = broken[rule * batch->rows + row] != 0;
        if (is_bad)
            failed_rows[nfailed++] = row;
        else
            kept_rows[nkept++] = row;
    }
    mr_buffer_finish(kept, (size_t)nkept * sizeof(int32_t));
    mr_buffer_finish(failed, (size_t)nfailed * sizeof(int32_t));
    status = mr_selection_new(kept, nkept, good, err);
    if (status != MR_OK) {
        mr_buffer_unref(failed);
        return status;
    }
    status = mr_selection_new(failed, nfailed, bad, err);
    if (status != MR_OK) {
        mr_selection_unref(*good);
        *good = NULL;
    }
    return status;
}

/* What the report and the judgement know; of rows that are read twice once (mr_plan_segment.uncounted). */
static void count_rows(struct mr_rules *rules, struct mr_runtime *runtime, struct mr_batch *batch,
                       const uint8_t *broken, const struct mr_selection *bad)
{
    const int32_t *bad_rows = mr_selection_rows(bad);
    for (int rule = 0; rule < rules->count; rule++) {
        int64_t count = 0;
        for (int64_t i = 0; i < bad->count; i++) {
            if (!broken[rule * batch->rows + bad_rows[i]])
                continue;
            count++;
            if (rules->samples > 0)
                show_sample(rules, runtime, batch, bad_rows[i], rules->rules[rule].name);
        }
        atomic_fetch_add(&rules->counts.values[rule], count);
        if (runtime->tally && rule < runtime->tally->nrules)
            atomic_fetch_add(&runtime->tally->rules[rule], count);
    }
    atomic_fetch_add(&rules->counts.rows_failed, bad->count);
    if (runtime->tally)
        atomic_fetch_add(&runtime->tally->rows_failed, bad->count);
    mr_count(runtime, MR_COUNT_ROWS_REJECTED, bad->count);
}

enum mr_status mr_rules_settle(struct mr_rules *rules, struct mr_runtime *runtime,
                               struct mr_batch *batch, const uint8_t *broken, struct mr_emit *emit,
                               struct mr_error *err)
{
    struct mr_selection *good = NULL, *bad = NULL;
    MR_TRY(split_rows(rules, runtime->memory, batch, broken, &good, &bad, err));
    if (runtime->counters)
        count_rows(rules, runtime, batch, broken, bad);
    enum mr_status status = MR_OK;
    if (bad->count == 0 || rules->on_failure == MR_ON_FAILURE_FAIL) {
        mr_selection_unref(good);
        mr_selection_unref(bad);
        return emit->batch(emit, 0, mr_batch_ref(batch), err);
    }
    if (rules->on_failure == MR_ON_FAILURE_QUARANTINE)
        status = emit_quarantine(rules, runtime, batch, broken, bad, emit, err);
    else
        mr_selection_unref(bad);
    if (status != MR_OK || good->count == 0) {
        mr_selection_unref(good);
        return status;
    }
    struct mr_batch *out = NULL;
    MR_TRY(mr_batch_select(batch, good, &out, err));
    return emit->batch(emit, 0, out, err);
}

enum mr_status mr_rules_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                             struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    struct mr_rules *rules = self->plan;
    uint8_t *broken = NULL;
    enum mr_status status = MR_OK;
    for (int rule = 0; rule < rules->count; rule++) {
        struct mr_selection *selection = NULL;
        if (!rules->rules[rule].broken)
            continue;
        MR_TRY_OUT(mr_expr_filter(self->eval, rules->rules[rule].broken, batch, &selection, err));
        int64_t count = selection ? selection->count : mr_batch_active(batch);
        if (count > 0 && !broken) {
            broken = mr_calloc((size_t)rules->count, (size_t)batch->rows);
            if (!broken) {
                mr_selection_unref(selection);
                status = mr_error_nomem(err);
                goto out;
            }
        }
        const int32_t *rows = mr_selection_rows(selection ? selection : batch->selection);
        for (int64_t i = 0; i < count; i++)
            broken[rule * batch->rows + (rows ? rows[i] : i)] = 1;
        mr_selection_unref(selection);
    }
    if (broken)
        status = mr_rules_settle(rules, self->runtime, batch, broken, emit, err);
    else
        status = emit->batch(emit, 0, mr_batch_ref(batch), err);
out:
    mr_free(broken);
    return status;
}
