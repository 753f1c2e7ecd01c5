/*
 * event_time.c - the time of rows, and the parts in front of stateful steps.
 */
#include "op/event_time.h"

#include "ext/letter.h"
#include "ext/registry.h"

const char *const mr_late_choices[] = {"drop", "deadLetter", NULL};

const struct mr_option mr_late_letter_options[] = {
    MR_LETTER_FILE_ROWS,
    {.name = "topic",
     .type = MR_OPTION_STRING,
     .doc = "A topic of the cluster that the stream is read from, which they are written into in "
            "the epoch's "
            "transaction: the row as JSON, with the header millrace.reason: late."},
    MR_OPTION_END,
};

const struct mr_option mr_watermark_options[] = {
    {.name = "column",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc =
         "Event time of a row: a column or an expression of type timestamp. Rows where it is NULL "
         "do not move the watermark."},
    {.name = "delay",
     .type = MR_OPTION_DURATION,
     .fallback = "0 seconds",
     .unit = "seconds",
     .unit_micros = 1000000,
     .maximum = INT64_C(1) << 60,
     .doc =
         "How far rows may come out of order: the watermark is that much behind the latest event "
         "time."},
    {.name = "idle",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .minimum = 1,
     .maximum = INT64_C(1) << 60,
     .doc = "A partition of the source that has brought no row for so long (by the clock on the "
            "wall) does not hold the watermark back. Default: it does for ever."},
    MR_OPTION_END,
};

enum mr_status mr_late_bind(const struct mr_options *options, enum mr_late *out,
                            struct mr_error *err)
{
    const char *topic;
    bool letters = mr_options_integer(options, "late", 0) == 1;
    MR_TRY(mr_letter_read(options, "late", letters, &topic, err));
    *out = topic != NULL ? MR_LATE_TOPIC : letters ? MR_LATE_FILES : MR_LATE_DROP;
    return MR_OK;
}

enum mr_status mr_event_time_compile(const struct mr_op_bind *bind, const char *text,
                                     const struct mr_options *options, const char *option,
                                     struct mr_expr **out, struct mr_error *err)
{
    struct mr_sql_session session = mr_op_session(bind);
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    enum mr_status status = mr_expr_compile(bind->arena, text, &scope, &session, out, err);
    if (status != MR_OK)
        return mr_op_option_failed(options, option, NULL, err);
    enum mr_type_id id = mr_expr_type(*out)->id;
    if (id == MR_TYPE_TIMESTAMP || id == MR_TYPE_TIMESTAMP_NTZ)
        return MR_OK;
    /* A text that is no time would end a stream at any moment; in batch it is cast, as in Spark. */
    bool is_text = id == MR_TYPE_STRING;
    if ((is_text && bind->inputs[0].stream) || (!is_text && id != MR_TYPE_DATE)) {
        char type[96];
        mr_options_error(options, option, err, "an event time is a timestamp, %s is %s", text,
                         mr_type_text(mr_expr_type(*out), type, sizeof type));
        if (is_text)
            mr_error_hint(err,
                          "say TIMESTAMP in the `schema` of the source; or to_timestamp(%s), which "
                          "fails at a text that is no time",
                          text);
        return MR_CONFIG;
    }
    return mr_expr_cast(bind->arena, *out, mr_type_of(MR_TYPE_TIMESTAMP), &session, out, err);
}

enum mr_status mr_event_time_eval(struct mr_eval *eval, const struct mr_expr *expr,
                                  const struct mr_batch *batch, struct mr_memory *memory,
                                  struct mr_column **out, struct mr_error *err)
{
    struct mr_column *evaluated = NULL;
    MR_TRY(mr_expr_eval(eval, expr, batch, &evaluated, err));
    enum mr_status status = mr_column_flatten(memory, evaluated, out, err);
    mr_column_unref(evaluated);
    return status;
}

/* A text of the step's own rows for a row of another table that has the same name. */
static enum mr_status copy_texts(struct mr_arena *arena, const struct mr_options *from,
                                 struct mr_options *to, struct mr_error *err)
{
    for (int i = 0; i < from->count; i++) {
        const struct mr_option_value *value = &from->values[i];
        if (!value->set)
            continue;
        const char *text = value->option->type == MR_OPTION_DURATION
                               ? mr_arena_printf(arena, "%lld us", (long long)value->u.integer)
                               : value->u.text;
        if (text == NULL)
            return mr_error_nomem(err);
        MR_TRY(mr_options_set_text(arena, to, value->option->name, text, err));
        ((struct mr_option_value *)(uintptr_t)mr_options_get(to, value->option->name))->position =
            value->position;
    }
    return MR_OK;
}

static enum mr_status add_part(const struct mr_op_bind *bind, struct mr_op_parts *parts,
                               const char *method, struct mr_options **options, int *last,
                               struct mr_error *err)
{
    const struct mr_method *found = mr_registry_method(bind->runtime->registry, method);
    if (found == NULL)
        return mr_error_config(err, "needs the method \"%s\", which this build lacks", method);
    int *input = mr_arena_alloc(bind->arena, sizeof *input);
    *options = mr_options_new(bind->arena, mr_method_options(found));
    if (input == NULL || *options == NULL)
        return mr_error_nomem(err);
    *input = *last;
    parts->items[parts->count] =
        (struct mr_op_part){.method = method, .options = *options, .ninputs = 1, .inputs = input};
    *last = parts->count++;
    return MR_OK;
}

static enum mr_status add_late(const struct mr_op_bind *bind, const char *until,
                               const struct mr_options *late, struct mr_op_parts *parts, int *last,
                               struct mr_error *err)
{
    struct mr_options *options;
    enum mr_late letters;
    MR_TRY(mr_late_bind(late, &letters, err));
    MR_TRY(add_part(bind, parts, "dropLateRows", &options, last, err));
    MR_TRY(mr_options_set_text(bind->arena, options, "until", until, err));
    if (letters == MR_LATE_DROP)
        return MR_OK;
    MR_TRY(mr_options_set_text(bind->arena, options, "late", "deadLetter", err));
    parts->side = parts->count;
    return mr_options_add_object(bind->arena, options, "deadLetter",
                                 mr_options_get(late, "deadLetter")->u.object, err);
}

enum mr_status mr_event_time_parts(const struct mr_op_bind *bind,
                                   const struct mr_options *watermark, const char *until,
                                   const struct mr_options *late, int input,
                                   struct mr_op_parts *parts, int *last, struct mr_error *err)
{
    struct mr_options *options;
    *last = -1 - input;
    if (watermark != NULL) {
        MR_TRY(add_part(bind, parts, "withWatermark", &options, last, err));
        MR_TRY(copy_texts(bind->arena, watermark, options, err));
    }
    return until != NULL ? add_late(bind, until, late, parts, last, err) : MR_OK;
}
