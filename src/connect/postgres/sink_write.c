/*
 * sink_write.c - the rows of a task into a staging table, by COPY in one transaction.
 *
 * Names: "_mr_" hash of (stateKey, state UUID) "_" epoch "_" sink "_" task "_" hash of the run. The last part keeps a run from
 * waiting for the transaction of a dead one, which the server may not have noticed yet; the first lets a start find what dead
 * runs left.
 *
 * A staging table of one task is made in the transaction that fills it, so that its rows are frozen, its pages fill strictly in the
 * order of the rows (upsert relies on it), and nothing of it remains after a failure. The table that all tasks
 * share (`direct`) is made by whichever comes first; an advisory lock lets the others find it there. It is frozen by nobody: FREEZE wants
 * a table of the same transaction. Beside it stands a small table where every task notes, in the transaction of its rows, how many
 * they are. The commit then need not read all rows to see that they are there and there once: notes and rows are kept or lost
 * together, also by a standby that takes over. Unlogged tables are counted instead: a crash empties them and would keep the notes.
 */
#include "connect/postgres/sink_private.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "net/pg_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEND_BYTES  (256 << 10)
#define ENCODE_ROWS 512
#define MAX_ROWS    ((size_t)1 << 30) /* bytes of the rows that are encoded together */

struct pg_writer {
    const struct pg_sink *sink;
    struct mr_runtime *runtime;
    struct mr_pg *pg;
    struct mr_copy_encoder encoder;
    struct mr_bytes bytes;
    int64_t charged;
    int64_t pending; /* rows in `bytes` */
    int64_t step;    /* rows that are encoded together */
    int task;
    char name[PG_NAME_MAX];
};

uint64_t pg_staging_number(const struct mr_runtime *runtime)
{
    const char *key = runtime->state_key ? runtime->state_key : "";
    const char *uuid = runtime->state_uuid;
    uint64_t of_key = mr_hash64(key, strlen(key)) >> 24;
    return of_key << 24 | (uuid ? mr_hash64(uuid, strlen(uuid)) >> 40 : 0);
}

void pg_staging_prefix(const struct mr_runtime *runtime, char out[PG_NAME_MAX])
{
    uint64_t number = pg_staging_number(runtime);
    if (runtime->state_uuid)
        snprintf(out, PG_NAME_MAX, "_mr_%016" PRIx64 "_", number);
    else
        snprintf(out, PG_NAME_MAX, "_mr_%010" PRIx64, number >> 24);
}

static void staging_name(const struct pg_sink *sink, const struct mr_runtime *runtime,
                         const struct mr_epoch *epoch, int task, char out[PG_NAME_MAX])
{
    char prefix[PG_NAME_MAX];
    const char *run = runtime->run_id ? runtime->run_id : "";
    pg_staging_prefix(runtime, prefix);
    snprintf(out, PG_NAME_MAX, "%.21s%lld_%d_%d_%08x", prefix, (long long)epoch->epoch,
             sink->sequence % 1000, sink->direct ? 0 : task,
             (unsigned)(mr_hash64(run, strlen(run)) & 0xffffffff));
}

void pg_staging_notes(const char *staging, char out[PG_NAME_MAX])
{
    snprintf(out, PG_NAME_MAX, "%.*s_n", PG_NAME_MAX - 4, staging);
}

static enum mr_status blame(const struct pg_writer *writer, enum mr_status status,
                            struct mr_error *err)
{
    return pg_sink_blame(status, writer->pg, writer->name, writer->sink->target.label, err);
}

static void put_from(const struct pg_writer *writer, const char *name, struct mr_bytes *sql)
{
    mr_pg_identifier(sql, writer->sink->target.schema);
    mr_bytes_char(sql, '.');
    mr_pg_identifier(sql, name);
}

static void staging_from(const struct pg_writer *writer, struct mr_bytes *sql)
{
    put_from(writer, writer->name, sql);
}

static void notes_from(const struct pg_writer *writer, struct mr_bytes *sql)
{
    char name[PG_NAME_MAX];
    pg_staging_notes(writer->name, name);
    put_from(writer, name, sql);
}

/* What is committed before it counts must outlive a crash of the server as well. */
static const char keep[] = "SELECT set_config('synchronous_commit', 'on', false) WHERE "
                           "current_setting('synchronous_commit') = 'off'; ";

/*
 * A lock of the session says that it stages, before there is a table: the server may still make one for a process that was killed,
 * after the next run has looked for leftovers.
 */
static enum mr_status enter(const struct pg_writer *writer, struct mr_error *err)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT pg_advisory_lock_shared(%" PRId64 ")",
             (int64_t)pg_staging_number(writer->runtime));
    return blame(writer, mr_pg_exec(writer->pg, sql, err), err);
}

static void write_open(const struct pg_writer *writer, struct mr_bytes *sql)
{
    const struct pg_sink *sink = writer->sink;
    mr_bytes_text(sql, keep);
    mr_bytes_text(sql, "BEGIN; ");
    if (sink->direct)
        mr_bytes_printf(sql, "SELECT pg_advisory_xact_lock(%lld); ",
                        (long long)mr_hash64(writer->name, strlen(writer->name)));
    mr_bytes_printf(sql, "CREATE %sTABLE %s", sink->direct ? "" : "UNLOGGED ",
                    sink->direct ? "IF NOT EXISTS " : "");
    staging_from(writer, sql);
    mr_bytes_printf(sql, " %s%s; ", sink->definition,
                    sink->direct ? "" : " WITH (autovacuum_enabled = false)");
    if (!sink->direct)
        return;
    mr_bytes_text(sql, "CREATE TABLE IF NOT EXISTS ");
    notes_from(writer, sql);
    mr_bytes_text(sql, " (task integer NOT NULL, rows bigint NOT NULL); COMMIT; BEGIN; ");
}

static enum mr_status begin_copy(struct pg_writer *writer, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    write_open(writer, &sql);
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = blame(writer, mr_pg_exec(writer->pg, sql.data, err), err);
    if (status == MR_OK)
        status = MR_FAILPOINT("postgres.before_copy", err);
    mr_bytes_clear(&sql);
    mr_bytes_text(&sql, "COPY ");
    staging_from(writer, &sql);
    mr_bytes_printf(&sql, " (%s) FROM STDIN (FORMAT binary%s)", writer->sink->into,
                    writer->sink->direct ? "" : ", FREEZE");
    if (status == MR_OK)
        status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = blame(writer, mr_pg_copy_in(writer->pg, sql.data, err), err);
    mr_bytes_reset(&sql);
    return status;
}

/* Until the first row is sent a lost connection has taken nothing with it. */
static enum mr_status open_session(struct pg_writer *writer, struct mr_error *err)
{
    struct mr_runtime *runtime = writer->runtime;
    for (int attempt = 1;; attempt++) {
        struct mr_error failure = {0};
        enum mr_status status = pg_link_open(&writer->sink->link, runtime, &writer->pg, &failure);
        if (status == MR_OK)
            status = enter(writer, &failure);
        if (status == MR_OK)
            status = begin_copy(writer, &failure);
        if (!mr_retry_wanted(&runtime->retry, attempt, status, &failure)) {
            if (status != MR_OK && err)
                *err = failure;
            return status;
        }
        mr_pg_close(writer->pg);
        writer->pg = NULL;
        MR_TRY(mr_retry_wait(runtime, &runtime->retry, "connection of a COPY", attempt, &failure,
                             err));
    }
}

enum mr_status pg_sink_writer_open(void *state, struct mr_runtime *runtime,
                                   const struct mr_epoch *epoch, int task, void **out,
                                   struct mr_error *err)
{
    const struct pg_sink *sink = state;
    struct pg_writer *writer = mr_calloc(1, sizeof *writer);
    *out = NULL;
    if (!writer)
        return mr_error_nomem(err);
    writer->sink = sink;
    writer->runtime = runtime;
    writer->task = task;
    mr_bytes_init(&writer->bytes, MAX_ROWS);
    mr_copy_encoder_init(&writer->encoder, sink->columns, sink->ncolumns, sink->target.label);
    staging_name(sink, runtime, epoch, task, writer->name);
    enum mr_status status = open_session(writer, err);
    if (status != MR_OK) {
        pg_sink_writer_close(writer);
        return status;
    }
    mr_copy_encode_header(&writer->bytes);
    *out = writer;
    return MR_OK;
}

static enum mr_status charge(struct pg_writer *writer, struct mr_error *err)
{
    int64_t more = (int64_t)writer->bytes.capacity - writer->charged;
    if (more <= 0)
        return MR_OK;
    MR_TRY(mr_memory_charge(writer->runtime->memory, more, err));
    writer->charged += more;
    return MR_OK;
}

static enum mr_status send(struct pg_writer *writer, struct mr_error *err)
{
    MR_TRY(mr_bytes_status(&writer->bytes, err));
    MR_TRY(charge(writer, err));
    if (writer->bytes.size > 0)
        MR_TRY(blame(writer,
                     mr_pg_copy_put(writer->pg, writer->bytes.data, writer->bytes.size, err), err));
    mr_count(writer->runtime, MR_COUNT_BYTES_WRITTEN, (int64_t)writer->bytes.size);
    mr_bytes_clear(&writer->bytes);
    writer->pending = 0;
    return MR_OK;
}

/* Few rows at a time where they are wide: what is encoded together is reserved at once. */
static int64_t step_of(const struct mr_batch *batch)
{
    int64_t width = batch->rows > 0 ? mr_batch_bytes(batch) / batch->rows : 0;
    int64_t rows = SEND_BYTES / (width + 1);
    return rows < 1 ? 1 : rows < ENCODE_ROWS ? rows : ENCODE_ROWS;
}

/* The batch's own size says little where its columns are constant or coded: goes by what came out. */
static void adapt(struct pg_writer *writer, size_t bytes)
{
    if (bytes > SEND_BYTES && writer->step > 1)
        writer->step /= 2;
    else if (bytes < SEND_BYTES / 4 && writer->step < ENCODE_ROWS)
        writer->step *= 2;
}

enum mr_status pg_sink_write(void *state, struct mr_batch *batch, struct mr_error *err)
{
    struct pg_writer *writer = state;
    int64_t most = writer->sink->batch_rows;
    int64_t narrow = step_of(batch);
    if (writer->step == 0 || writer->step > narrow)
        writer->step = narrow;
    for (int64_t at = 0; at < batch->rows;) {
        int64_t count = batch->rows - at;
        size_t before = writer->bytes.size;
        count = count < writer->step ? count : writer->step;
        count = count < most - writer->pending ? count : most - writer->pending;
        MR_TRY(mr_error_of_sink(mr_copy_encode_rows(&writer->encoder, batch, at, count,
                                                    &writer->bytes, err),
                                err));
        adapt(writer, writer->bytes.size - before);
        at += count;
        writer->pending += count;
        if (writer->pending >= most || writer->bytes.size >= SEND_BYTES)
            MR_TRY(send(writer, err));
    }
    mr_count(writer->runtime, MR_COUNT_ROWS_WRITTEN, batch->rows);
    return charge(writer, err);
}

enum mr_status pg_sink_relieve(void *state, int64_t bytes, struct mr_error *err)
{
    struct pg_writer *writer = state;
    (void)bytes;
    MR_TRY(send(writer, err));
    mr_bytes_reset(&writer->bytes);
    mr_memory_credit(writer->runtime->memory, writer->charged);
    writer->charged = 0;
    return MR_OK;
}

/* ---- the commit of the staging table ---- */

/* A transaction whose COMMIT was not answered, and what it should have left. */
struct settling {
    const struct pg_writer *writer;
    const char *xid;
    int64_t rows;
    bool committed;
};

static enum mr_status count_staged(struct settling *settling, struct mr_pg *pg,
                                   struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    mr_bytes_init(&sql, 4096);
    mr_bytes_text(&sql, "SELECT count(*) FROM ");
    staging_from(settling->writer, &sql);
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = mr_pg_query(pg, sql.data, 0, NULL, &result, err);
    mr_bytes_reset(&sql);
    MR_TRY(pg_sink_blame(status, pg, NULL, NULL, err));
    settling->committed = strtoll(pg_field(result, 0, 0), NULL, 10) == settling->rows;
    PQclear(result);
    return MR_OK;
}

/* Asks what became of it. While it is in progress (a server that is slow to see that we are gone) it is asked again. */
static enum mr_status settle(void *context, struct mr_pg *pg, struct mr_error *err)
{
    struct settling *settling = context;
    PGresult *result = NULL;
    const char *params[] = {settling->xid};
    settling->committed = false;
    MR_TRY(pg_sink_blame(mr_pg_query(pg, "SELECT txid_status($1::bigint)", 1, params, &result, err),
                         pg, NULL, NULL, err));
    bool committed = strcmp(pg_field(result, 0, 0), "committed") == 0;
    bool open = strcmp(pg_field(result, 0, 0), "in progress") == 0;
    PQclear(result);
    if (open)
        return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                            "the transaction of the lost connection is still open");
    /* A crash of the server empties unlogged tables; one that all tasks fill is logged. */
    if (committed && !settling->writer->sink->direct)
        return count_staged(settling, pg, err);
    settling->committed = committed;
    return MR_OK;
}

/* The number of the transaction; in a table that all tasks fill, the note of its rows as well. */
static enum mr_status note(struct pg_writer *writer, int64_t rows, char xid[24],
                           struct mr_error *err)
{
    struct mr_bytes sql;
    PGresult *result = NULL;
    mr_bytes_init(&sql, 4096);
    if (writer->sink->direct) {
        mr_bytes_text(&sql, "INSERT INTO ");
        notes_from(writer, &sql);
        mr_bytes_printf(&sql, " VALUES (%d, %" PRId64 ") RETURNING txid_current()", writer->task,
                        rows);
    } else {
        mr_bytes_text(&sql, "SELECT txid_current()");
    }
    enum mr_status status = mr_bytes_status(&sql, err);
    if (status == MR_OK)
        status = blame(writer, mr_pg_query(writer->pg, sql.data, 0, NULL, &result, err), err);
    mr_bytes_reset(&sql);
    if (status == MR_OK)
        snprintf(xid, 24, "%s", pg_field(result, 0, 0));
    PQclear(result);
    return status;
}

static enum mr_status commit_staged(struct pg_writer *writer, int64_t rows, struct mr_error *err)
{
    char xid[24];
    MR_TRY(note(writer, rows, xid, err));
    struct mr_error cause = {0};
    enum mr_status status = blame(writer, mr_pg_exec(writer->pg, "COMMIT", &cause), &cause);
    if (status == MR_OK)
        return MR_OK;
    struct settling settling = {.writer = writer, .xid = xid, .rows = rows};
    if (cause.cls == MR_CLASS_TRANSIENT && status != MR_CANCELLED) {
        mr_retry_note(writer->runtime, "COMMIT of staged rows (asked what became of it)", 1, 0,
                      &cause);
        MR_TRY(pg_link_ask(&writer->sink->link, writer->runtime, "asking for the COMMIT", settle,
                           &settling, err));
    }
    if (!settling.committed && err)
        *err = cause;
    return settling.committed ? MR_OK : status;
}

/* What is staged outlives the session, and its lock is given back: the commit may have the session. */
static void leave(struct pg_writer *writer)
{
    if (mr_pg_exec(writer->pg, "SELECT pg_advisory_unlock_all()", NULL) == MR_OK)
        pg_link_close(&writer->sink->link, writer->runtime, writer->pg);
    else
        mr_pg_close(writer->pg);
    writer->pg = NULL;
}

enum mr_status pg_sink_writer_finish(void *state, struct mr_bytes *committable,
                                     struct mr_error *err)
{
    struct pg_writer *writer = state;
    int64_t rows = 0;
    mr_copy_encode_trailer(&writer->bytes);
    MR_TRY(send(writer, err));
    MR_TRY(MR_FAILPOINT("postgres.before_copy_end", err));
    MR_TRY(blame(writer, mr_pg_copy_end(writer->pg, &rows, err), err));
    if (rows != writer->encoder.rows)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                            "the server took %lld rows of %lld for table %s", (long long)rows,
                            (long long)writer->encoder.rows, writer->sink->target.label);
    MR_TRY(MR_FAILPOINT("postgres.before_staged", err));
    MR_TRY(commit_staged(writer, rows, err));
    MR_TRY(MR_FAILPOINT("postgres.after_staged", err));
    pg_committable_write(committable, &(struct pg_staged){writer->name, rows});
    leave(writer);
    return mr_bytes_status(committable, err);
}

void pg_sink_writer_close(void *state)
{
    struct pg_writer *writer = state;
    mr_pg_close(writer->pg);
    mr_memory_credit(writer->runtime->memory, writer->charged);
    mr_bytes_reset(&writer->bytes);
    mr_free(writer);
}
