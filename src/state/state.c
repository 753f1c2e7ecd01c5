/*
 * state.c - the state database.
 *
 * SQLite in WAL mode with synchronous=FULL: a commit costs one fdatasync and is there after a power loss. The lease is not a
 * row but a POSIX lock (OFD) on a file per state key, because the kernel releases it when its holder dies, whatever kills it; a row
 * with a process number would need guessing. The row beside it only tells who the holder is, and counts the fence.
 */
#include "state/state.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/time.h"
#include "base/wait.h"
#include "state/record.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MILLIS  10000
#define AGAIN_MICROS 5000

struct mr_state {
    sqlite3 *db;
    char *directory;
    char uuid[33];
};

struct mr_lease {
    struct mr_state *state;
    char *key;
    int64_t fence;
    int fd;
};

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS identity(id INTEGER PRIMARY KEY CHECK (id = 1), uuid TEXT NOT NULL,"
    " version INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS runs(run_id TEXT PRIMARY KEY, pipeline TEXT NOT NULL,"
    " state_key TEXT NOT NULL, status TEXT NOT NULL, exit_code INTEGER NOT NULL,"
    " started INTEGER NOT NULL, ended INTEGER NOT NULL, rows_read INTEGER NOT NULL,"
    " rows_written INTEGER NOT NULL, message TEXT, report TEXT);"
    "CREATE INDEX IF NOT EXISTS runs_started ON runs(started);"
    "CREATE TABLE IF NOT EXISTS leases(state_key TEXT PRIMARY KEY, fence INTEGER NOT NULL,"
    " run_id TEXT NOT NULL, pid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS lanes(state_key TEXT NOT NULL, lane INTEGER NOT NULL,"
    " record BLOB NOT NULL, previous BLOB, PRIMARY KEY (state_key, lane)) WITHOUT ROWID;";

static enum mr_status state_error(struct mr_state *state, struct mr_error *err, const char *what)
{
    int code = state->db ? sqlite3_extended_errcode(state->db) : SQLITE_NOMEM;
    if (code == SQLITE_NOMEM)
        return mr_error_nomem(err);
    enum mr_error_class cls = MR_CLASS_FATAL;
    enum mr_status status = MR_SINK;
    if ((code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_WRITE)
        status = MR_SINK;
    if ((code & 0xff) == SQLITE_BUSY)
        cls = MR_CLASS_TRANSIENT;
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
        status = MR_CONFIG, cls = MR_CLASS_CONFIG;
    mr_error_set(err, status, cls, "state directory %s: %s: %s", state->directory, what,
                 state->db ? sqlite3_errmsg(state->db) : "out of memory");
    mr_error_hint(err, "the state directory must be on a local disk, writable and not full; choose "
                       "another with `state` or MILLRACE_STATE");
    return status;
}

static enum mr_status state_exec(struct mr_state *state, const char *sql, struct mr_error *err)
{
    if (sqlite3_exec(state->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return state_error(state, err, "cannot write");
    return MR_OK;
}

/* mkdir -p */
static enum mr_status make_directory(const char *path, struct mr_error *err)
{
    char *copy = mr_strdup(path);
    if (!copy)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status =
                mr_error_errno(err, MR_CONFIG, errno, "cannot create the state directory %s", copy);
            break;
        }
        *at = kept;
        if (kept == '\0')
            break;
    }
    mr_free(copy);
    return status;
}

static enum mr_status read_identity(struct mr_state *state, struct mr_error *err)
{
    unsigned char random[16];
    char uuid[33];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return mr_error_errno(err, MR_INTERNAL, errno, "no random numbers");
    for (int i = 0; i < 16; i++)
        snprintf(uuid + i * 2, 3, "%02x", random[i]);
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(state->db, "INSERT OR IGNORE INTO identity VALUES (1, ?, 1)", -1,
                                 &stmt, NULL) == SQLITE_OK &&
              sqlite3_bind_text(stmt, 1, uuid, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
              sqlite3_step(stmt) == SQLITE_DONE;
    sqlite3_finalize(stmt);
    if (!ok)
        return state_error(state, err, "cannot write");
    if (sqlite3_prepare_v2(state->db, "SELECT uuid, version FROM identity", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        sqlite3_finalize(stmt);
        return state_error(state, err, "cannot read");
    }
    snprintf(state->uuid, sizeof state->uuid, "%s", (const char *)sqlite3_column_text(stmt, 0));
    int version = sqlite3_column_int(stmt, 1);
    sqlite3_finalize(stmt);
    if (version != 1)
        return mr_error_config(err, "state directory %s was written by a newer version (%d)",
                               state->directory, version);
    return MR_OK;
}

/*
 * Several processes may make the same database at once. Then SQLite refuses one of two that wait for each other without
 * asking the busy handler (the change to WAL is such a place), and the refused one must begin again.
 */
static enum mr_status set_up(struct mr_state *state, struct mr_error *err)
{
    struct mr_waiter waiter = mr_waiter_plain();
    int64_t deadline = mr_clock_monotonic_micros() + BUSY_MILLIS * 1000;
    for (;;) {
        enum mr_status status =
            state_exec(state, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", err);
        if (status == MR_OK)
            status = state_exec(state, schema_sql, err);
        if (status == MR_OK)
            status = read_identity(state, err);
        int64_t now = mr_clock_monotonic_micros();
        if (status == MR_OK || (sqlite3_errcode(state->db) & 0xff) != SQLITE_BUSY || now > deadline)
            return status;
        MR_TRY(mr_wait(&waiter, -1, 0, now + AGAIN_MICROS, MR_WAIT_RETRY, NULL, err));
    }
}

enum mr_status mr_state_open(const char *directory, struct mr_state **out, struct mr_error *err)
{
    struct mr_state *state = mr_calloc(1, sizeof *state);
    enum mr_status status = MR_OK;
    char *path = NULL;
    if (!state || !(state->directory = mr_strdup(directory)) ||
        !(path = mr_alloc(strlen(directory) + 16))) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(make_directory(directory, err));
    sprintf(path, "%s/state.db", directory);
    if (sqlite3_open_v2(path, &state->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        status = state_error(state, err, "cannot open");
        goto out;
    }
    sqlite3_busy_timeout(state->db, BUSY_MILLIS);
    MR_TRY_OUT(set_up(state, err));
    *out = state;
    state = NULL;
out:
    mr_free(path);
    mr_state_close(state);
    return status;
}

void mr_state_close(struct mr_state *state)
{
    if (!state)
        return;
    sqlite3_close(state->db);
    mr_free(state->directory);
    mr_free(state);
}

const char *mr_state_uuid(const struct mr_state *state)
{
    return state->uuid;
}

/* Runs one statement with text and integer parameters bound by `bind`. */
static enum mr_status prepare(struct mr_state *state, const char *sql, sqlite3_stmt **stmt,
                              struct mr_error *err)
{
    if (sqlite3_prepare_v2(state->db, sql, -1, stmt, NULL) != SQLITE_OK)
        return state_error(state, err, "cannot prepare");
    return MR_OK;
}

static enum mr_status finish(struct mr_state *state, sqlite3_stmt *stmt, struct mr_error *err)
{
    int code = sqlite3_step(stmt);
    enum mr_status status =
        code == SQLITE_DONE || code == SQLITE_ROW ? MR_OK : state_error(state, err, "cannot write");
    sqlite3_finalize(stmt);
    return status;
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

/* Who holds the lease: a message for MR_BUSY. */
static enum mr_status busy(struct mr_state *state, const char *key, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(state, "SELECT run_id, pid FROM leases WHERE state_key = ?", &stmt, err));
    bind_text(stmt, 1, key);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT,
                     "another run holds the pipeline %s: run %s, process %d", key,
                     (const char *)sqlite3_column_text(stmt, 0), sqlite3_column_int(stmt, 1));
    else
        mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT, "another run holds the pipeline %s", key);
    sqlite3_finalize(stmt);
    mr_error_hint(err, "wait for it or stop it; runs that may overlap need different stateKeys");
    return MR_BUSY;
}

static enum mr_status count_fence(struct mr_state *state, const char *key, const char *run_id,
                                  int64_t *fence, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(state,
                   "INSERT INTO leases VALUES (?1, 1, ?2, ?3) ON CONFLICT (state_key) DO UPDATE SET"
                   " fence = fence + 1, run_id = ?2, pid = ?3 RETURNING fence",
                   &stmt, err));
    bind_text(stmt, 1, key);
    bind_text(stmt, 2, run_id);
    sqlite3_bind_int(stmt, 3, (int)getpid());
    if (sqlite3_step(stmt) != SQLITE_ROW) {
        sqlite3_finalize(stmt);
        return state_error(state, err, "cannot write");
    }
    *fence = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return MR_OK;
}

enum mr_status mr_state_lease(struct mr_state *state, const char *key, const char *run_id,
                              struct mr_lease **out, int64_t *fence, struct mr_error *err)
{
    size_t size = strlen(state->directory) + 32;
    char *path = mr_alloc(size);
    struct mr_lease *lease = mr_calloc(1, sizeof *lease);
    enum mr_status status = MR_OK;
    if (lease)
        *lease = (struct mr_lease){.state = state, .key = mr_strdup(key), .fd = -1};
    if (!path || !lease || !lease->key) {
        status = mr_error_nomem(err);
        goto out;
    }
    snprintf(path, size, "%s/%016llx.lock", state->directory,
             (unsigned long long)mr_hash64(key, strlen(key)));
    lease->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lease->fd < 0) {
        status = mr_error_errno(err, MR_CONFIG, errno, "cannot open the lock file %s", path);
        goto out;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(lease->fd, F_OFD_SETLK, &lock) != 0) {
        status = errno == EAGAIN || errno == EACCES
                     ? busy(state, key, err)
                     : mr_error_errno(err, MR_CONFIG, errno, "cannot lock %s", path);
        goto out;
    }
    MR_TRY_OUT(count_fence(state, key, run_id, &lease->fence, err));
    *fence = lease->fence;
    *out = lease;
    lease = NULL;
out:
    mr_free(path);
    mr_lease_release(lease);
    return status;
}

void mr_lease_release(struct mr_lease *lease)
{
    if (!lease)
        return;
    if (lease->fd >= 0)
        close(lease->fd);
    mr_free(lease->key);
    mr_free(lease);
}

enum mr_status mr_state_load_epoch(struct mr_state *state, const char *key, int lane,
                                   struct mr_arena *arena, struct mr_epoch_record *out,
                                   struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    enum mr_status status = MR_OK;
    *out = (struct mr_epoch_record){.lane = lane};
    MR_TRY(prepare(state, "SELECT record FROM lanes WHERE state_key = ? AND lane = ?", &stmt, err));
    bind_text(stmt, 1, key);
    sqlite3_bind_int(stmt, 2, lane);
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        struct mr_slice bytes = {sqlite3_column_blob(stmt, 0),
                                 (size_t)sqlite3_column_bytes(stmt, 0)};
        if (!bytes.data || !mr_epoch_record_decode(bytes, arena, out)) {
            status = mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL,
                                  "the epoch record of %s in %s/state.db is damaged", key,
                                  state->directory);
            mr_error_hint(err, "restore the state directory, or run once with --fresh after "
                               "checking what the target holds");
        }
    } else if (code != SQLITE_DONE) {
        status = state_error(state, err, "cannot read");
    }
    sqlite3_finalize(stmt);
    return status;
}

enum mr_status mr_state_store_epoch(struct mr_lease *lease, const struct mr_epoch_record *record,
                                    struct mr_error *err)
{
    struct mr_state *state = lease->state;
    struct mr_bytes bytes;
    sqlite3_stmt *stmt = NULL;
    mr_bytes_init(&bytes, (size_t)1 << 30);
    mr_epoch_record_encode(record, &bytes);
    enum mr_status status = MR_OK;
    MR_TRY_OUT(mr_bytes_status(&bytes, err));
    MR_TRY_OUT(MR_FAILPOINT("state.before", err));
    MR_TRY_OUT(
        prepare(state,
                "INSERT INTO lanes VALUES (?1, ?2, ?3, NULL) ON CONFLICT (state_key, lane) DO"
                " UPDATE SET previous = record, record = ?3",
                &stmt, err));
    bind_text(stmt, 1, lease->key);
    sqlite3_bind_int(stmt, 2, record->lane);
    sqlite3_bind_blob64(stmt, 3, bytes.data, bytes.size, SQLITE_STATIC);
    MR_TRY_OUT(finish(state, stmt, err));
    MR_TRY_OUT(MR_FAILPOINT("state.after", err));
out:
    mr_bytes_reset(&bytes);
    return status;
}

enum mr_status mr_state_run_begin(struct mr_state *state, const struct mr_run_row *row,
                                  struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(state,
                   "INSERT INTO runs VALUES (?, ?, ?, 'running', -1, ?, 0, 0, 0, NULL, NULL)",
                   &stmt, err));
    bind_text(stmt, 1, row->run_id);
    bind_text(stmt, 2, row->pipeline);
    bind_text(stmt, 3, row->state_key);
    sqlite3_bind_int64(stmt, 4, row->started_micros);
    return finish(state, stmt, err);
}

enum mr_status mr_state_run_end(struct mr_state *state, const struct mr_run_row *row,
                                struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(state,
                   "UPDATE runs SET status = ?2, exit_code = ?3, ended = ?4, rows_read = ?5,"
                   " rows_written = ?6, message = ?7, report = ?8 WHERE run_id = ?1",
                   &stmt, err));
    bind_text(stmt, 1, row->run_id);
    bind_text(stmt, 2, row->status);
    sqlite3_bind_int(stmt, 3, row->exit_code);
    sqlite3_bind_int64(stmt, 4, row->ended_micros);
    sqlite3_bind_int64(stmt, 5, row->rows_read);
    sqlite3_bind_int64(stmt, 6, row->rows_written);
    bind_text(stmt, 7, row->message);
    bind_text(stmt, 8, row->report);
    return finish(state, stmt, err);
}

static const char *copy_text(struct mr_arena *arena, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return text ? mr_arena_strdup(arena, text) : NULL;
}

static void read_run(struct mr_arena *arena, sqlite3_stmt *stmt, struct mr_run_row *row)
{
    row->run_id = copy_text(arena, stmt, 0);
    row->pipeline = copy_text(arena, stmt, 1);
    row->state_key = copy_text(arena, stmt, 2);
    row->status = copy_text(arena, stmt, 3);
    row->exit_code = sqlite3_column_int(stmt, 4);
    row->started_micros = sqlite3_column_int64(stmt, 5);
    row->ended_micros = sqlite3_column_int64(stmt, 6);
    row->rows_read = sqlite3_column_int64(stmt, 7);
    row->rows_written = sqlite3_column_int64(stmt, 8);
    row->message = copy_text(arena, stmt, 9);
    row->report = copy_text(arena, stmt, 10);
}

enum mr_status mr_state_runs(struct mr_state *state, const char *key, int limit,
                             struct mr_arena *arena, struct mr_run_row **rows, int *count,
                             struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    *count = 0;
    *rows = mr_arena_calloc(arena, (size_t)limit + 1, sizeof **rows);
    if (!*rows)
        return mr_error_nomem(err);
    MR_TRY(prepare(state,
                   "SELECT run_id, pipeline, state_key, status, exit_code, started, ended,"
                   " rows_read, rows_written, message, NULL FROM runs"
                   " WHERE ?1 IS NULL OR state_key = ?1 ORDER BY started DESC LIMIT ?2",
                   &stmt, err));
    bind_text(stmt, 1, key);
    sqlite3_bind_int(stmt, 2, limit);
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW && *count < limit)
        read_run(arena, stmt, &(*rows)[(*count)++]);
    enum mr_status status =
        code == SQLITE_DONE || code == SQLITE_ROW ? MR_OK : state_error(state, err, "cannot read");
    sqlite3_finalize(stmt);
    return status;
}

enum mr_status mr_state_run(struct mr_state *state, const char *run_id, struct mr_arena *arena,
                            struct mr_run_row **row, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    *row = NULL;
    MR_TRY(prepare(state,
                   "SELECT run_id, pipeline, state_key, status, exit_code, started, ended,"
                   " rows_read, rows_written, message, report FROM runs WHERE run_id = ?",
                   &stmt, err));
    bind_text(stmt, 1, run_id);
    int code = sqlite3_step(stmt);
    enum mr_status status = MR_OK;
    if (code == SQLITE_ROW) {
        *row = mr_arena_calloc(arena, 1, sizeof **row);
        if (*row)
            read_run(arena, stmt, *row);
        else
            status = mr_error_nomem(err);
    } else if (code != SQLITE_DONE) {
        status = state_error(state, err, "cannot read");
    }
    sqlite3_finalize(stmt);
    return status;
}
