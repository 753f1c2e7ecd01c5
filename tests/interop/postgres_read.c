/*
 * postgres_read.c - reads fromPostgres without an engine and prints all that comes, for test_postgres.py.
 *
 *   postgres_read [--threads N] [--limit N] [--need a,b] [--parallelism N] [--batch N] [--reopen ROWS] [--offline]
 *                 [--since HEX] [--since-text TEXT] [--pause] [--quiet] [--stop BATCHES] [--where "column op value"]... key=value...
 *
 * Lines: note, schema, split, row, counter, error; fields separated by tabs, with \t \n \\ escaped. `properties.x=1` and `incremental.x=1` set nested
 * options. --pause prints "ready" when the splits are made and waits for a line; --reopen closes and opens each reader again behind
 * at least so many rows; --where is a predicate offered to the source.
 */
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "connect/postgres/postgres.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_PAIRS 64

struct arguments {
    int threads;
    int parallelism;
    int64_t limit;
    int64_t batch;
    int64_t reopen;
    int64_t stop;
    const char *need;
    bool offline;
    bool pause;
    bool quiet;
    const char *where[16];
    int nwhere;
    const char *pairs[MAX_PAIRS * 2 + 1];
    int npairs;
    const char *properties[MAX_PAIRS * 2 + 1];
    int nproperties;
    const char *incremental[MAX_PAIRS * 2 + 1];
    int nincremental;
    const char *since; /* in hex */
    const char *since_text;
};

struct job {
    const struct arguments *arguments;
    struct mr_runtime *runtime;
    void *state;
    const struct mr_split_list *splits;
    const struct mr_schema *schema;
    struct mr_bytes *outputs; /* one per split */
    atomic_int next;
    atomic_int failed;
    pthread_mutex_t lock;
    struct mr_error err;
};

static void print_error(const struct mr_error *err)
{
    printf("error\t%s\t%s\t%s\t%s\t%s\n", mr_status_name(err->status),
           mr_error_class_name(err->cls), err->message, err->where, err->hint);
}

static void escape(struct mr_bytes *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        switch (text[i]) {
        case '\t':
            mr_bytes_text(out, "\\t");
            break;
        case '\n':
            mr_bytes_text(out, "\\n");
            break;
        case '\\':
            mr_bytes_text(out, "\\\\");
            break;
        default:
            mr_bytes_char(out, text[i]);
        }
    }
}

static void print_value(struct mr_bytes *out, const struct mr_value *value)
{
    if (!value->is_null && value->type->id == MR_TYPE_BINARY) {
        mr_bytes_text(out, "0x");
        for (size_t i = 0; i < value->u.bytes.size; i++)
            mr_bytes_printf(out, "%02x", (unsigned char)value->u.bytes.data[i]);
        return;
    }
    enum mr_type_id id = value->type->id;
    if (!value->is_null && (id == MR_TYPE_DATE || id == MR_TYPE_TIME || id == MR_TYPE_TIMESTAMP ||
                            id == MR_TYPE_TIMESTAMP_NTZ)) {
        mr_bytes_printf(out, "%lld", (long long)value->u.i64);
        return;
    }
    if (!value->is_null && id == MR_TYPE_INTERVAL) {
        const struct mr_interval *interval = &value->u.interval;
        mr_bytes_printf(out, "%d/%d/%lld", interval->months, interval->days,
                        (long long)interval->micros);
        return;
    }
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 30);
    if (value->is_null)
        mr_bytes_text(&text, "~");
    else
        mr_value_format(value, &text);
    escape(out, text.data ? text.data : "", text.size);
    mr_bytes_reset(&text);
}

static void print_batch(const struct job *job, const struct mr_batch *batch, struct mr_bytes *out)
{
    if (job->arguments->quiet)
        return;
    struct mr_error err;
    for (int c = 0; c < batch->schema->nfields; c++) {
        if (mr_column_check(batch->columns[c], &err) != MR_OK) {
            print_error(&err);
            abort();
        }
    }
    for (int64_t r = 0; r < batch->rows; r++) {
        mr_bytes_text(out, "row");
        for (int c = 0; c < batch->schema->nfields; c++) {
            struct mr_value value;
            mr_column_get(batch->columns[c], r, &value);
            mr_bytes_char(out, '\t');
            print_value(out, &value);
        }
        mr_bytes_char(out, '\n');
    }
}

static enum mr_status reopen(struct job *job, struct mr_runtime *runtime, struct mr_slice token,
                             void **reader, struct mr_error *err)
{
    struct mr_bytes position;
    mr_bytes_init(&position, 4096);
    enum mr_status status = mr_source_postgres.position(*reader, &position, err);
    mr_source_postgres.reader_close(*reader);
    *reader = NULL;
    if (status == MR_OK)
        status = mr_source_postgres.reader_open(job->state, runtime, token,
                                                (struct mr_slice){position.data, position.size},
                                                reader, err);
    mr_bytes_reset(&position);
    return status;
}

static enum mr_status read_split(struct job *job, struct mr_runtime *runtime, int index,
                                 struct mr_error *err)
{
    const struct mr_source *source = &mr_source_postgres;
    struct mr_slice token = job->splits->items[index].token;
    void *reader = NULL;
    MR_TRY(source->reader_open(job->state, runtime, token, (struct mr_slice){0}, &reader, err));
    int64_t since = 0;
    int64_t batches = 0;
    enum mr_status status;
    for (;;) {
        struct mr_item item;
        status = source->next(reader, &item, err);
        if (status != MR_OK || item.kind == MR_ITEM_END)
            break;
        print_batch(job, item.batch, &job->outputs[index]);
        since += item.batch->rows;
        mr_batch_unref(item.batch);
        if (job->arguments->stop > 0 && ++batches >= job->arguments->stop)
            break;
        if (job->arguments->reopen > 0 && since >= job->arguments->reopen) {
            since = 0;
            status = reopen(job, runtime, token, &reader, err);
            if (status != MR_OK)
                break;
        }
    }
    if (reader)
        source->reader_close(reader);
    return status;
}

static void work(void *context)
{
    struct job *job = context;
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_runtime runtime = *job->runtime;
    runtime.waiter = &waiter;
    while (!atomic_load(&job->failed)) {
        int index = atomic_fetch_add(&job->next, 1);
        if (index >= job->splits->count)
            return;
        struct mr_error err;
        if (read_split(job, &runtime, index, &err) == MR_OK)
            continue;
        pthread_mutex_lock(&job->lock);
        if (!atomic_exchange(&job->failed, 1))
            job->err = err;
        pthread_mutex_unlock(&job->lock);
    }
}

/* --- options and predicates --- */

static void parse_arguments(struct arguments *out, int argc, char **argv)
{
    *out = (struct arguments){.threads = 1, .parallelism = 2, .limit = -1};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--offline") == 0)
            out->offline = true;
        else if (strcmp(argument, "--pause") == 0)
            out->pause = true;
        else if (strcmp(argument, "--quiet") == 0)
            out->quiet = true;
        else if (strncmp(argument, "--", 2) == 0 && i + 1 < argc) {
            const char *value = argv[++i];
            if (strcmp(argument, "--threads") == 0)
                out->threads = atoi(value);
            else if (strcmp(argument, "--parallelism") == 0)
                out->parallelism = atoi(value);
            else if (strcmp(argument, "--limit") == 0)
                out->limit = atoll(value);
            else if (strcmp(argument, "--batch") == 0)
                out->batch = atoll(value);
            else if (strcmp(argument, "--reopen") == 0)
                out->reopen = atoll(value);
            else if (strcmp(argument, "--stop") == 0)
                out->stop = atoll(value);
            else if (strcmp(argument, "--need") == 0)
                out->need = value;
            else if (strcmp(argument, "--since") == 0)
                out->since = value;
            else if (strcmp(argument, "--since-text") == 0)
                out->since_text = value;
            else if (strcmp(argument, "--where") == 0)
                out->where[out->nwhere++] = value;
        } else {
            char *equals = strchr(argv[i], '=');
            if (equals == NULL)
                exit(2);
            *equals = '\0';
            const char **pairs = out->pairs;
            int *count = &out->npairs;
            if (strncmp(argument, "properties.", 11) == 0) {
                pairs = out->properties;
                count = &out->nproperties;
                argument += 11;
            } else if (strncmp(argument, "incremental.", 12) == 0) {
                pairs = out->incremental;
                count = &out->nincremental;
                argument += 12;
            }
            pairs[(*count)++] = argument;
            pairs[(*count)++] = equals + 1;
        }
    }
}

static enum mr_status set_object(const struct mr_options *options, const char *name,
                                 const char *const *pairs, int npairs, struct mr_arena *arena,
                                 struct mr_error *err)
{
    for (int i = 0; i < options->count && npairs > 0; i++) {
        struct mr_option_value *value = &options->values[i];
        if (strcmp(value->option->name, name) != 0)
            continue;
        value->set = true;
        return mr_options_from_texts(arena, value->option->fields, pairs, &value->u.object, err);
    }
    return MR_OK;
}

static enum mr_status make_options(const struct arguments *arguments, struct mr_arena *arena,
                                   const struct mr_options **out, struct mr_error *err)
{
    MR_TRY(mr_options_from_texts(arena, mr_source_postgres.options, arguments->pairs, out, err));
    MR_TRY(
        set_object(*out, "properties", arguments->properties, arguments->nproperties, arena, err));
    return set_object(*out, "incremental", arguments->incremental, arguments->nincremental, arena,
                      err);
}

/* "not" before the rest, or not; "column op value": op is =, <>, <, <=, >, >=, in (values separated by '|'), prefix, null, true; year>= and so on. */
static enum mr_status make_predicate(const char *text, const struct mr_schema *schema,
                                     struct mr_arena *arena, const struct mr_predicate **out,
                                     struct mr_error *err)
{
    static const char *const compares[] = {"=", "<>", "<", "<=", ">", ">="};
    char column[64] = "", op[16] = "";
    int used = 0;
    bool negated = strncmp(text, "not ", 4) == 0;
    if (negated)
        text += 4;
    if (sscanf(text, "%63s %15s %n", column, op, &used) < 2)
        return mr_error_internal(err, "bad predicate");
    struct mr_predicate *predicate = mr_arena_calloc(arena, 1, sizeof *predicate);
    struct mr_value *values = mr_arena_calloc(arena, 16, sizeof *values);
    predicate->column = mr_schema_find(schema, column);
    predicate->values = values;
    const struct mr_type *type = schema->fields[predicate->column].type;
    const char *compare = op;
    if (strncmp(op, "year", 4) == 0) {
        predicate->monotone = MR_MONOTONE_YEAR;
        type = mr_type_of(MR_TYPE_INT32);
        compare += 4;
    } else if (strncmp(op, "date", 4) == 0) {
        predicate->monotone = MR_MONOTONE_DATE;
        type = mr_type_of(MR_TYPE_DATE);
        compare += 4;
    } else if (strncmp(op, "month", 5) == 0) {
        predicate->monotone = MR_MONOTONE_TRUNC_MONTH;
        type = mr_type_of(MR_TYPE_DATE);
        compare += 5;
    }
    predicate->kind = MR_PREDICATE_COMPARE;
    if (strcmp(op, "in") == 0)
        predicate->kind = MR_PREDICATE_IN;
    else if (strcmp(op, "prefix") == 0)
        predicate->kind = MR_PREDICATE_PREFIX;
    else if (strcmp(op, "null") == 0)
        predicate->kind = MR_PREDICATE_IS_NULL;
    else if (strcmp(op, "true") == 0)
        predicate->kind = MR_PREDICATE_IS_TRUE;
    for (int i = 0; i < 6; i++)
        if (strcmp(compare, compares[i]) == 0)
            predicate->compare = (enum mr_compare)i;
    char *copy = mr_arena_strdup(arena, text + used);
    for (char *part = strtok(copy, "|"); part; part = strtok(NULL, "|")) {
        struct mr_value *value = &values[predicate->nvalues++];
        value->type = type;
        double number = 0;
        if (mr_type_is_string(type) || type->id == MR_TYPE_BINARY) {
            value->u.bytes = mr_slice_of(part);
        } else if (type->id == MR_TYPE_DECIMAL) {
            mr_decimal_parse(part, strlen(part), type->precision, type->scale, &value->u.i128);
        } else if (type->id == MR_TYPE_FLOAT32 || type->id == MR_TYPE_FLOAT64) {
            mr_text_to_double(mr_slice_of(part), true, &number);
            value->u.f64 = number;
        } else {
            mr_text_to_int64(mr_slice_of(part), true, &value->u.i64);
        }
    }
    *out = predicate;
    if (negated) {
        struct mr_predicate *outer = mr_arena_calloc(arena, 1, sizeof *outer);
        const struct mr_predicate **args = mr_arena_calloc(arena, 1, sizeof *args);
        args[0] = predicate;
        *outer = (struct mr_predicate){.kind = MR_PREDICATE_NOT, .args = args, .nargs = 1};
        *out = outer;
    }
    return MR_OK;
}

static enum mr_status offer(const struct arguments *arguments, void *state, struct mr_arena *arena,
                            struct mr_source_info *info, struct mr_error *err)
{
    if (!arguments->need && !arguments->nwhere && arguments->limit < 0)
        return MR_OK;
    const struct mr_predicate *predicates[16];
    enum mr_pushed pushed[16];
    for (int i = 0; i < arguments->nwhere; i++)
        MR_TRY(make_predicate(arguments->where[i], info->schema, arena, &predicates[i], err));
    bool *columns = NULL;
    if (arguments->need) {
        columns = mr_arena_calloc(arena, (size_t)info->schema->nfields + 1, sizeof *columns);
        char *copy = mr_arena_strdup(arena, arguments->need);
        for (char *part = strtok(copy, ","); part; part = strtok(NULL, ",")) {
            int at = mr_schema_find(info->schema, part);
            if (at >= 0)
                columns[at] = true;
        }
    }
    struct mr_source_offer made = {
        .predicates = predicates,
        .pushed = pushed,
        .npredicates = arguments->nwhere,
        .columns = columns,
        .limit = arguments->limit,
    };
    MR_TRY(mr_source_postgres.offer(state, &made, info, err));
    static const char *const names[] = {"refused", "partial", "exact"};
    for (int i = 0; i < arguments->nwhere; i++)
        printf("pushed\t%s\n", names[pushed[i]]);
    return MR_OK;
}

static void print_info(const struct mr_source_info *info)
{
    printf("info\t%lld\t%lld\t%d\t%s\n", (long long)info->rows, (long long)info->bytes,
           info->max_readers, info->location ? info->location : "");
    for (int i = 0; i < info->nnotes; i++)
        printf("note\t%s\n", info->notes[i]);
    for (int i = 0; info->schema && i < info->schema->nfields; i++) {
        const struct mr_field *field = &info->schema->fields[i];
        char type[200];
        printf("schema\t%s\t%s\t%s\t%s\n", field->name,
               mr_type_text(field->type, type, sizeof type),
               field->nullable ? "nullable" : "required", field->origin);
    }
    if (info->guarantee)
        printf("guarantee\t%s\t%s\n", info->guarantee, info->repeats ? "repeats" : "once");
    if (info->details) {
        struct mr_bytes sql;
        mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
        escape(&sql, info->details, strlen(info->details));
        printf("sql\t%s\n", sql.data);
        mr_bytes_reset(&sql);
    }
}

/* --- the run --- */

static void read_all(struct job *job)
{
    struct mr_thread threads[64];
    int n = job->arguments->threads;
    job->outputs = mr_calloc((size_t)job->splits->count + 1, sizeof *job->outputs);
    for (int i = 0; i < job->splits->count; i++)
        mr_bytes_init(&job->outputs[i], (size_t)1 << 31);
    int64_t began = mr_clock_monotonic_micros();
    int64_t cpu = mr_clock_process_cpu_nanos();
    for (int i = 0; i < n; i++)
        if (mr_thread_start(&threads[i], "reader", work, job, NULL) != MR_OK)
            abort();
    for (int i = 0; i < n; i++)
        mr_thread_join(&threads[i]);
    printf("time\t%lld\t%lld\n", (long long)(mr_clock_monotonic_micros() - began),
           (long long)(mr_clock_process_cpu_nanos() - cpu) / 1000);
    for (int i = 0; i < job->splits->count; i++) {
        const struct mr_split *split = &job->splits->items[i];
        printf("split\t%s\t%lld\t%lld\t%s\n", split->label, (long long)split->rows,
               (long long)split->bytes, split->unordered ? "unordered" : "ordered");
        if (job->outputs[i].size)
            fwrite(job->outputs[i].data, 1, job->outputs[i].size, stdout);
        mr_bytes_reset(&job->outputs[i]);
    }
    mr_free(job->outputs);
}

/* The bytes that a run before printed as "upto". */
static enum mr_status read_hex(const char *text, struct mr_arena *arena, struct mr_slice *out,
                               struct mr_error *err)
{
    size_t size = strlen(text) / 2;
    char *data = mr_arena_calloc(arena, size + 1, 1);
    if (data == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return mr_error_internal(err, "bad --since");
        data[i] = (char)byte;
    }
    *out = (struct mr_slice){data, size};
    return MR_OK;
}

static void print_upto(const struct mr_split_list *splits)
{
    printf("upto\t");
    for (size_t i = 0; i < splits->upto.size; i++)
        printf("%02x", (unsigned char)splits->upto.data[i]);
    printf("\t%s\n", splits->upto_text);
}

static enum mr_status run(const struct arguments *arguments, struct mr_runtime *runtime,
                          struct mr_arena *arena, struct mr_error *err)
{
    const struct mr_options *options;
    MR_TRY(make_options(arguments, arena, &options, err));
    struct mr_source_bind bind = {.options = options, .runtime = runtime, .arena = arena};
    if (arguments->since)
        MR_TRY(read_hex(arguments->since, arena, &bind.since, err));
    bind.since_text = arguments->since_text;
    struct mr_source_info info;
    struct mr_split_list splits = {0};
    void *state = NULL;
    MR_TRY(mr_source_postgres.bind(&bind, &state, &info, err));
    enum mr_status status = offer(arguments, state, arena, &info, err);
    print_info(&info);
    if (status == MR_OK && !arguments->offline)
        status = mr_source_postgres.splits(state, runtime, arena, &splits, err);
    if (status == MR_OK && splits.upto.size > 0)
        print_upto(&splits);
    if (status == MR_OK && arguments->pause) {
        printf("ready\n");
        fflush(stdout);
        char line[16];
        if (!fgets(line, sizeof line, stdin))
            exit(2);
    }
    if (status == MR_OK) {
        struct job job = {.arguments = arguments,
                          .runtime = runtime,
                          .state = state,
                          .splits = &splits,
                          .schema = info.schema};
        mr_mutex_init(&job.lock);
        read_all(&job);
        if (atomic_load(&job.failed)) {
            *err = job.err;
            status = err->status;
        }
    }
    mr_source_postgres.close(state);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    parse_arguments(&arguments, argc, argv);
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    static struct mr_counters counters;
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_runtime runtime = {
        .waiter = &waiter,
        .memory = &memory,
        .counters = &counters,
        .parallelism = arguments.parallelism,
        .batch_rows = arguments.batch,
        .time_zone = "UTC",
        .offline = arguments.offline,
        .shared = mr_shared_new(),
    };
    const char *timeout = getenv("STATEMENT_TIMEOUT");
    if (timeout)
        runtime.timeout_statement_micros = atoll(timeout);
    struct mr_error err = {0};
    enum mr_status status = run(&arguments, &runtime, &arena, &err);
    if (status != MR_OK)
        print_error(&err);
    for (int i = 0; i < MR_COUNTERS; i++)
        if (counters.value[i])
            printf("counter\t%s\t%lld\n", mr_counter_name((enum mr_counter)i),
                   (long long)counters.value[i]);
    mr_shared_free(runtime.shared);
    mr_arena_reset(&arena);
    if (mr_memory_used(&memory) != 0)
        printf("leak\t%lld\n", (long long)mr_memory_used(&memory));
    printf("peak\t%lld\n", (long long)mr_memory_peak(&memory));
    return status == MR_OK ? 0 : mr_status_exit_code(status);
}
