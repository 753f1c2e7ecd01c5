/*
 * maintain_action.c - the maintain methods of Delta tables: option tables, and what they do with them.
 *
 * One struct serves all of them; the SQL forms fill it from their text. A plan opens the table and
 * counts, but a table that is not there is no error of a plan: a load of the same pipeline may be
 * about to make it.
 */
#include "connect/delta/maintain_action.h"
#include "base/time.h"
#include "connect/delta/maintain.h"
#include "dataset/store_options.h"

struct task {
    enum { TASK_OPTIMIZE, TASK_VACUUM, TASK_DELETE, TASK_DESCRIBE, TASK_HISTORY } kind;
    const struct mr_options *options;
    struct mr_runtime *runtime; /* of planning */
    struct mr_location location;
    struct delta_optimize optimize;
    struct delta_vacuum vacuum;
    const char *where; /* of a deletion */
    int limit;         /* of a history */
};

/* ---- bind ---- */

static enum mr_status new_task(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_arena *arena, struct task **out, struct mr_error *err)
{
    struct task *task = mr_arena_calloc(arena, 1, sizeof *task);
    if (!task)
        return mr_error_nomem(err);
    task->options = options;
    task->runtime = runtime;
    task->optimize.least = 2;
    task->vacuum = (struct delta_vacuum){.retain_hours = 168, .check_retention = true};
    *out = task;
    if (!mr_option_find(options->table, "path"))
        return MR_OK;
    return mr_locate(options, runtime, arena, &task->location, err);
}

static enum mr_status bind_optimize(const struct mr_options *options, struct mr_runtime *runtime,
                                    struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    MR_TRY(new_task(options, runtime, arena, &task, err));
    const struct mr_option_value *zorder = mr_options_get(options, "zOrderBy");
    task->kind = TASK_OPTIMIZE;
    task->optimize.where = mr_options_text(options, "where");
    task->optimize.target = mr_options_integer(options, "targetFileSize", 0);
    if (zorder->set) {
        task->optimize.zorder = zorder->u.strings.items;
        task->optimize.nzorder = zorder->u.strings.count;
    }
    *state = task;
    return MR_OK;
}

static enum mr_status bind_vacuum(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    MR_TRY(new_task(options, runtime, arena, &task, err));
    const struct mr_option_value *hours = mr_options_get(options, "retainHours");
    task->kind = TASK_VACUUM;
    task->vacuum = (struct delta_vacuum){
        .retain_hours = hours->u.number,
        .dry_run = mr_options_boolean(options, "dryRun", false),
        .check_retention = mr_options_boolean(options, "checkRetention", true),
    };
    if (!(task->vacuum.retain_hours >= 0) || task->vacuum.retain_hours > 1e7)
        return mr_options_error(options, "retainHours", err, "must be between 0 and 10000000");
    *state = task;
    return MR_OK;
}

static enum mr_status bind_delete(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    MR_TRY(new_task(options, runtime, arena, &task, err));
    task->kind = TASK_DELETE;
    task->where = mr_options_text(options, "where");
    *state = task;
    return MR_OK;
}

static enum mr_status bind_describe(const struct mr_options *options, struct mr_runtime *runtime,
                                    struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    MR_TRY(new_task(options, runtime, arena, &task, err));
    task->kind = TASK_DESCRIBE;
    *state = task;
    return MR_OK;
}

static enum mr_status bind_history(const struct mr_options *options, struct mr_runtime *runtime,
                                   struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    MR_TRY(new_task(options, runtime, arena, &task, err));
    task->kind = TASK_HISTORY;
    task->limit = (int)mr_options_integer(options, "limit", 0);
    *state = task;
    return MR_OK;
}

static enum mr_status take_statement(struct task *task, const struct delta_statement *statement)
{
    switch (statement->kind) {
    case DELTA_STATEMENT_OPTIMIZE:
        task->kind = TASK_OPTIMIZE;
        task->optimize.where = statement->where;
        task->optimize.zorder = statement->zorder;
        task->optimize.nzorder = statement->nzorder;
        break;
    case DELTA_STATEMENT_VACUUM:
        task->kind = TASK_VACUUM;
        if (statement->retain_hours >= 0)
            task->vacuum.retain_hours = statement->retain_hours;
        task->vacuum.dry_run = statement->dry_run;
        break;
    case DELTA_STATEMENT_DELETE:
        task->kind = TASK_DELETE;
        task->where = statement->where ? statement->where : "true";
        break;
    }
    return MR_OK;
}

static enum mr_status bind_sql(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_arena *arena, void **state, struct mr_error *err)
{
    struct task *task;
    struct delta_statement statement;
    struct mr_error inner = {0};
    MR_TRY(new_task(options, runtime, arena, &task, err));
    enum mr_status status =
        delta_statement_parse(mr_options_text(options, "query"), arena, &statement, &inner);
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    if (status != MR_OK) {
        mr_options_error(options, "query", err, "%s", inner.message);
        if (err)
            mr_error_hint(err, "%s", inner.hint);
        return MR_CONFIG;
    }
    MR_TRY(take_statement(task, &statement));
    *state = task;
    return mr_locate_text(statement.path, options, runtime, arena, &task->location, err);
}

/* ---- plan ---- */

static enum mr_status plan_optimize(const struct task *task, const struct delta_table *table,
                                    struct mr_bytes *out, struct mr_error *err)
{
    struct delta_optimized found;
    char bytes[32];
    MR_TRY(delta_optimize(table, &task->optimize, true, &found, err));
    mr_size_format(found.bytes_removed, bytes, sizeof bytes);
    mr_bytes_printf(out, "now: %lld file%s (%s) in %lld partition%s would be written again\n",
                    (long long)found.files_removed, found.files_removed == 1 ? "" : "s", bytes,
                    (long long)found.partitions, found.partitions == 1 ? "" : "s");
    return MR_OK;
}

static enum mr_status plan_vacuum(const struct task *task, const struct delta_table *table,
                                  struct mr_bytes *out, struct mr_error *err)
{
    struct delta_vacuum dry = task->vacuum;
    struct delta_vacuumed found;
    char bytes[32];
    dry.dry_run = true;
    MR_TRY(delta_vacuum(table, &dry, NULL, NULL, &found, err));
    mr_size_format(found.bytes, bytes, sizeof bytes);
    mr_bytes_printf(out, "now: %lld file%s (%s) would be removed\n", (long long)found.files,
                    found.files == 1 ? "" : "s", bytes);
    return MR_OK;
}

static enum mr_status plan_open(const struct task *task, const struct delta_table *table,
                                struct mr_bytes *out, struct mr_error *err)
{
    if (task->kind == TASK_OPTIMIZE)
        return plan_optimize(task, table, out, err);
    if (task->kind == TASK_VACUUM)
        return plan_vacuum(task, table, out, err);
    if (task->kind == TASK_DELETE)
        mr_bytes_printf(out, "deletes where %s\n", task->where);
    return MR_OK;
}

static enum mr_status task_plan(void *state, struct mr_bytes *out, struct mr_error *err)
{
    const struct task *task = state;
    struct delta_table table;
    struct mr_error found = {0};
    mr_bytes_printf(out, "table %s\n", task->location.text);
    MR_TRY(delta_table_open(&task->location, task->options, task->runtime, &table, err));
    enum mr_status status = plan_open(task, &table, out, &found);
    delta_table_close(&table);
    if (status == MR_CANCELLED || status == MR_NOMEM) {
        if (err)
            *err = found;
        return status;
    }
    if (status != MR_OK)
        mr_bytes_printf(out, "now: %s\n", found.message);
    return MR_OK;
}

/* ---- run ---- */

struct listing {
    struct mr_bytes *out;
    int count;
};

/* The report names at most so many files. */
#define LISTED 1000

static void list_file(void *context, const char *path, int64_t size)
{
    struct listing *listing = context;
    (void)size;
    if (listing->count++ >= LISTED)
        return;
    mr_bytes_text(listing->out, listing->count > 1 ? "," : "");
    mr_bytes_json_string(listing->out, path, strlen(path));
}

static enum mr_status run_optimize(const struct task *task, const struct delta_table *table,
                                   struct mr_bytes *out, struct mr_error *err)
{
    struct delta_optimized done;
    MR_TRY(delta_optimize(table, &task->optimize, false, &done, err));
    mr_bytes_printf(out,
                    "\"version\":%lld,\"partitionsOptimized\":%lld,\"numFilesAdded\":%lld,"
                    "\"numFilesRemoved\":%lld,\"bytesAdded\":%lld,\"bytesRemoved\":%lld",
                    (long long)done.version, (long long)done.partitions,
                    (long long)done.files_added, (long long)done.files_removed,
                    (long long)done.bytes_added, (long long)done.bytes_removed);
    return MR_OK;
}

static enum mr_status run_vacuum(const struct task *task, const struct delta_table *table,
                                 struct mr_bytes *out, struct mr_error *err)
{
    struct delta_vacuumed done;
    struct listing listing = {out, 0};
    mr_bytes_text(out, "\"files\":[");
    MR_TRY(delta_vacuum(table, &task->vacuum, list_file, &listing, &done, err));
    mr_bytes_printf(out, "],\"dryRun\":%s,\"numFilesDeleted\":%lld,\"bytesDeleted\":%lld",
                    task->vacuum.dry_run ? "true" : "false", (long long)done.files,
                    (long long)done.bytes);
    return MR_OK;
}

static enum mr_status run_delete(const struct task *task, const struct delta_table *table,
                                 struct mr_bytes *out, struct mr_error *err)
{
    struct delta_deletion done;
    MR_TRY(delta_delete(table, task->where, &done, err));
    mr_bytes_printf(out,
                    "\"version\":%lld,\"numDeletedRows\":%lld,\"numFilesRemoved\":%lld,"
                    "\"numFilesAdded\":%lld",
                    (long long)done.version, (long long)done.rows, (long long)done.files_removed,
                    (long long)done.files_added);
    return MR_OK;
}

static enum mr_status run_open(const struct task *task, const struct delta_table *table,
                               struct mr_bytes *out, struct mr_error *err)
{
    if (task->kind == TASK_DESCRIBE)
        return delta_describe(table, out, err);
    if (task->kind == TASK_HISTORY)
        return delta_history(table, task->limit, out, err);
    mr_bytes_text(out, "{\"table\":");
    mr_bytes_json_string(out, table->text, strlen(table->text));
    mr_bytes_char(out, ',');
    if (task->kind == TASK_OPTIMIZE)
        MR_TRY(run_optimize(task, table, out, err));
    else if (task->kind == TASK_VACUUM)
        MR_TRY(run_vacuum(task, table, out, err));
    else
        MR_TRY(run_delete(task, table, out, err));
    mr_bytes_char(out, '}');
    return mr_bytes_status(out, err);
}

static enum mr_status task_run(void *state, struct mr_runtime *runtime, struct mr_bytes *report,
                               struct mr_error *err)
{
    const struct task *task = state;
    struct delta_table table;
    MR_TRY(delta_table_open(&task->location, task->options, runtime, &table, err));
    enum mr_status status = run_open(task, &table, report, err);
    delta_table_close(&table);
    /* Its target is at fault, whatever was done to it: reading is a part of the work. */
    if (status == MR_SOURCE && task->kind != TASK_DESCRIBE && task->kind != TASK_HISTORY) {
        if (err)
            err->status = MR_SINK;
        status = MR_SINK;
    }
    return status;
}

static void task_close(void *state)
{
    (void)state; /* in the plan's arena */
}

/* ---- methods ---- */

static const struct mr_option optimize_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "where",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_EXPRESSION,
     .doc = "Condition on partition columns: only files of these partitions."},
    {.name = "zOrderBy",
     .type = MR_OPTION_STRINGS,
     .doc = "Columns by which rows are put close together, in all files of a partition. Without "
            "it small files are packed into large ones."},
    {.name = "targetFileSize",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "Size of the new files; smaller ones are packed. Default: the table's "
            "delta.targetFileSize, else 1 GiB."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

static const struct mr_option vacuum_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "retainHours",
     .type = MR_OPTION_DOUBLE,
     .fallback = "168",
     .unit = "hours",
     .doc = "Files that a version of the last so many hours names stay, and younger files."},
    {.name = "dryRun",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Lists what would be removed, and removes nothing."},
    {.name = "checkRetention",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "Refuses a retention shorter than the table's delta.deletedFileRetentionDuration (168 "
            "hours by default), which can break readers and writers at work."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

static const struct mr_option delete_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "where",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "Rows for which it is TRUE are deleted."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

static const struct mr_option describe_options[] = {
    MR_LOCATION_OPTION_ROWS,
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

static const struct mr_option history_options[] = {
    MR_LOCATION_OPTION_ROWS,
    {.name = "limit",
     .type = MR_OPTION_INT,
     .unit = "commits",
     .minimum = 1,
     .maximum = INT32_MAX,
     .doc = "The newest so many commits. Default: all that the log holds."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

static const struct mr_option sql_options[] = {
    {.name = "query",
     .aliases = "statement",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "OPTIMIZE delta.`path` [WHERE ..] [ZORDER BY (..)], VACUUM delta.`path` [RETAIN n "
            "HOURS] [DRY RUN], or DELETE FROM delta.`path` [WHERE ..]."},
    MR_STORE_OPTION_ROWS,
    MR_OPTION_END,
};

#define ACTION(NAME, OPTIONS, BIND, DOC)                                                           \
    {                                                                                              \
        .name = NAME, .doc = DOC, .system = "s3", .options = OPTIONS, .bind = BIND,                \
        .plan = task_plan, .run = task_run, .close = task_close                                    \
    }

const struct mr_action mr_action_optimize_delta =
    ACTION("optimizeDelta", optimize_options, bind_optimize,
           "Packs small files of a Delta table into large ones, or puts its rows in Z-order, in "
           "one commit "
           "that changes no row.");
const struct mr_action mr_action_vacuum_delta =
    ACTION("vacuumDelta", vacuum_options, bind_vacuum,
           "Removes files of a Delta table that no version within the retention time needs.");
const struct mr_action mr_action_delete_delta =
    ACTION("deleteDelta", delete_options, bind_delete,
           "Deletes the rows of a Delta table for which a condition is TRUE.");
const struct mr_action mr_action_describe_delta =
    ACTION("describeDelta", describe_options, bind_describe,
           "Puts the state of a Delta table into the report: version, schema, files, properties.");
const struct mr_action mr_action_history_delta =
    ACTION("historyDelta", history_options, bind_history,
           "Puts the commits of a Delta table into the report, newest first.");
const struct mr_action mr_action_sql_delta =
    ACTION("maintainSql", sql_options, bind_sql, "Maintenance of a Delta table in Spark's SQL.");
