/*
 * sqlite.c - the state in a directory: state.db and a lock file per state key.
 *
 * SQLite in WAL mode with synchronous=FULL: a commit costs one fdatasync and is there after a power loss. The lease is not a
 * row but a POSIX lock (OFD) on a file per state key, because the kernel releases it when its holder dies, whatever kills it; a row
 * with a process number would need guessing. The row beside it tells who the holder is, and counts the fence, which every
 * write compares in its transaction: a lock file that was removed or copied under a running pipeline does not let two write.
 *
 * SQLite syncs the directory after it has made the log, and says nothing when that fails. So opening ends with a sync of the
 * directory by a descriptor that was open before (which hears of an error that SQLite was told of), and of the one above. Later nothing
 * in the directory changes: the log stays while the database is open.
 */
#include "state/backend.h"

#include "base/hash.h"
#include "base/time.h"
#include "base/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 3
#define BUSY_MILLIS    10000
#define AGAIN_MICROS   5000

struct store {
    sqlite3 *db;
    char *directory;
    int version;
    bool read_only;
    int code; /* of the last error */
};

struct lease {
    struct store *store;
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
    " rows_written INTEGER NOT NULL, message TEXT, report TEXT, run_key TEXT);"
    "CREATE INDEX IF NOT EXISTS runs_started ON runs(started);"
    "CREATE TABLE IF NOT EXISTS leases(state_key TEXT PRIMARY KEY, fence INTEGER NOT NULL,"
    " run_id TEXT NOT NULL, pid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS lanes(state_key TEXT NOT NULL, lane INTEGER NOT NULL,"
    " record BLOB NOT NULL, previous BLOB, PRIMARY KEY (state_key, lane)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS notes(state_key TEXT NOT NULL, kind INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,"
    " PRIMARY KEY (state_key, kind, epoch, name)) WITHOUT ROWID;";

static enum mr_status state_error(struct store *store, struct mr_error *err, const char *what)
{
    int code = store->db ? sqlite3_extended_errcode(store->db) : SQLITE_NOMEM;
    store->code = code;
    if (code == SQLITE_NOMEM)
        return mr_error_nomem(err);
    enum mr_error_class cls = MR_CLASS_FATAL;
    enum mr_status status = MR_SINK;
    if ((code & 0xff) == SQLITE_BUSY) {
        mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT, "state directory %s: %s: %s",
                     store->directory, what, sqlite3_errmsg(store->db));
        mr_error_hint(err, "another process has been writing to it for a long time, or was stopped "
                           "in the middle: wait for it or end it");
        return MR_BUSY;
    }
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
        status = MR_CONFIG, cls = MR_CLASS_CONFIG;
    mr_error_set(err, status, cls, "state directory %s: %s: %s", store->directory, what,
                 store->db ? sqlite3_errmsg(store->db) : "out of memory");
    mr_error_hint(err, "the state directory must be on a local disk, writable and not full; choose "
                       "another with `state` or MILLRACE_STATE");
    return status;
}

static enum mr_status exec_sql(struct store *store, const char *sql, struct mr_error *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return state_error(store, err, "cannot write");
    return MR_OK;
}

/* Closes it. A failed sync is never repeated: the second would succeed. */
static enum mr_status sync_directory(int fd, const char *path, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    if (fsync(fd) != 0 && errno != EINVAL) {
        status = mr_error_errno(err, MR_SINK, errno, "cannot sync the directory %s", path);
        if (err)
            err->cls = MR_CLASS_FATAL;
    }
    close(fd);
    return status;
}

/* Of an entry that is there; a directory that may not be read is somebody else's and not new. */
static enum mr_status sync_above(const char *path, struct mr_error *err)
{
    const char *slash = strrchr(path, '/');
    char *above = slash == path ? mr_strdup("/")
                  : slash       ? mr_strndup(path, (size_t)(slash - path))
                                : mr_strdup(".");
    if (!above)
        return mr_error_nomem(err);
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum mr_status status = MR_OK;
    if (fd >= 0)
        status = sync_directory(fd, above, err);
    else if (errno != EACCES)
        status = mr_error_errno(err, MR_CONFIG, errno, "cannot open %s", above);
    mr_free(above);
    return status;
}

/* mkdir -p; what is above the last part is synced where something was made in it, and always above that. */
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
        bool made = mkdir(copy, 0777) == 0;
        if (!made && errno != EEXIST)
            status =
                mr_error_errno(err, MR_CONFIG, errno, "cannot create the state directory %s", copy);
        else if (made || kept == '\0')
            status = sync_above(copy, err);
        if (status != MR_OK)
            break;
        *at = kept;
        if (kept == '\0')
            break;
    }
    mr_free(copy);
    return status;
}

/* A new uuid for a new database; the one there is otherwise. */
static enum mr_status read_identity(struct store *store, char *uuid, int *version,
                                    struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(mr_state_new_uuid(uuid, err));
    bool ok = sqlite3_prepare_v2(store->db, "INSERT OR IGNORE INTO identity VALUES (1, ?, ?)", -1,
                                 &stmt, NULL) == SQLITE_OK &&
              sqlite3_bind_text(stmt, 1, uuid, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
              sqlite3_bind_int(stmt, 2, SCHEMA_VERSION) == SQLITE_OK &&
              sqlite3_step(stmt) == SQLITE_DONE;
    sqlite3_finalize(stmt);
    if (!ok)
        return state_error(store, err, "cannot write");
    stmt = NULL;
    if (sqlite3_prepare_v2(store->db, "SELECT uuid, version FROM identity", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW || !sqlite3_column_text(stmt, 0)) {
        sqlite3_finalize(stmt);
        return state_error(store, err, "cannot read");
    }
    snprintf(uuid, 33, "%s", (const char *)sqlite3_column_text(stmt, 0));
    *version = sqlite3_column_int(stmt, 1);
    sqlite3_finalize(stmt);
    return MR_OK;
}

static enum mr_status roll_back(struct store *store, enum mr_status status)
{
    if (status != MR_OK && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static enum mr_status is_current(struct store *store, const char *uuid, int version,
                                 struct mr_error *err)
{
    if (version < 1 || version > SCHEMA_VERSION)
        return mr_error_config(err, "state directory %s was written by a newer version (%d)",
                               store->directory, version);
    if (strlen(uuid) != 32)
        return mr_error_config(err, "state directory %s has no identity", store->directory);
    return MR_OK;
}

static const char keys_sql[] =
    "CREATE INDEX IF NOT EXISTS runs_key ON runs(state_key, run_key) WHERE run_key IS NOT NULL;";

/*
 * Makes what is missing, in one transaction, so that several starts at once and a kill in the middle are harmless. Version 1 had no
 * notes, 2 no run keys; an older Millrace refuses a directory of a newer version, as it would not keep what belongs to it.
 */
static enum mr_status make_schema(struct store *store, char *uuid, struct mr_error *err)
{
    int version = 0;
    enum mr_status status = MR_OK;
    MR_TRY(exec_sql(store, "BEGIN IMMEDIATE", err));
    MR_TRY_OUT(exec_sql(store, schema_sql, err));
    MR_TRY_OUT(read_identity(store, uuid, &version, err));
    MR_TRY_OUT(is_current(store, uuid, version, err));
    if (version < SCHEMA_VERSION)
        MR_TRY_OUT(exec_sql(store,
                            "ALTER TABLE runs ADD COLUMN run_key TEXT;"
                            "UPDATE identity SET version = 3",
                            err));
    MR_TRY_OUT(exec_sql(store, keys_sql, err));
    MR_TRY_OUT(exec_sql(store, "COMMIT", err));
out:
    return roll_back(store, status);
}

/*
 * Several processes may make the same database at once. Then SQLite refuses one of two that wait for each other without
 * asking the busy handler (the change to WAL is such a place), and the refused one must begin again.
 */
static enum mr_status set_up(struct store *store, char *uuid, struct mr_error *err)
{
    struct mr_waiter waiter = mr_waiter_plain();
    int64_t deadline = mr_clock_monotonic_micros() + BUSY_MILLIS * 1000;
    for (;;) {
        enum mr_status status =
            exec_sql(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", err);
        if (status == MR_OK)
            status = make_schema(store, uuid, err);
        int64_t now = mr_clock_monotonic_micros();
        if (status == MR_OK || (store->code & 0xff) != SQLITE_BUSY || now > deadline)
            return status;
        store->code = SQLITE_OK;
        MR_TRY(mr_wait(&waiter, -1, 0, now + AGAIN_MICROS, MR_WAIT_RETRY, NULL, err));
    }
}

/* --- a directory that is only looked at --- */

/* Of a database that is there; no rows are a version of 0. */
static enum mr_status look_at_identity(struct store *store, char *uuid, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, "SELECT uuid, version FROM identity", -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW && sqlite3_column_text(stmt, 0)) {
        snprintf(uuid, 33, "%s", (const char *)sqlite3_column_text(stmt, 0));
        store->version = sqlite3_column_int(stmt, 1);
    }
    enum mr_status status = code == SQLITE_ROW ? MR_OK : state_error(store, err, "cannot read");
    sqlite3_finalize(stmt);
    return status;
}

/* file:/a%20b/state.db?immutable=1 */
static void put_uri(struct mr_bytes *out, const char *path)
{
    mr_bytes_text(out, "file:");
    for (; *path; path++) {
        bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                     (*path >= '0' && *path <= '9') || strchr("/._-", *path);
        mr_bytes_printf(out, plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
    mr_bytes_text(out, "?immutable=1");
}

/*
 * The log can be read without writing where its index is there or can be made. Where neither is possible (a read-only file system, a
 * directory of somebody else) and the log is empty or gone, the database alone has everything and does not change under us.
 */
static enum mr_status open_unchanging(struct store *store, const char *path, char *uuid,
                                      const struct mr_error *failure, struct mr_error *err)
{
    struct mr_bytes text;
    struct stat log;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_printf(&text, "%s-wal", path);
    bool empty = text.data && (stat(text.data, &log) != 0 || log.st_size == 0);
    mr_bytes_clear(&text);
    put_uri(&text, path);
    if (!empty || text.status != MR_OK) {
        mr_bytes_reset(&text);
        if (err)
            *err = *failure;
        return failure->status;
    }
    sqlite3_close(store->db);
    store->db = NULL;
    int code = sqlite3_open_v2(text.data, &store->db,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
    mr_bytes_reset(&text);
    return code == SQLITE_OK ? look_at_identity(store, uuid, err)
                             : state_error(store, err, "cannot open");
}

/* No start has come so far as to make a state here (an empty volume, a kill): what is looked at is a new one that nobody keeps. */
static enum mr_status open_nothing(struct store *store, char *uuid, struct mr_error *err)
{
    sqlite3_close(store->db);
    store->db = NULL;
    if (sqlite3_open_v2(":memory:", &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return state_error(store, err, "cannot open");
    store->version = SCHEMA_VERSION;
    return make_schema(store, uuid, err);
}

static enum mr_status open_to_read(struct store *store, const char *path, char *uuid,
                                   struct mr_error *err)
{
    struct mr_error failure = {0};
    struct stat info;
    if (stat(path, &info) != 0 && errno == ENOENT && stat(store->directory, &info) == 0)
        return open_nothing(store, uuid, err);
    if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return state_error(store, err, "cannot open");
    sqlite3_busy_timeout(store->db, BUSY_MILLIS);
    enum mr_status status = look_at_identity(store, uuid, &failure);
    int code = store->code & 0xff;
    if (status != MR_OK && code == SQLITE_ERROR) /* no such table */
        return open_nothing(store, uuid, err);
    if (status != MR_OK &&
        (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_IOERR))
        status = open_unchanging(store, path, uuid, &failure, err);
    else if (status != MR_OK && err)
        *err = failure;
    MR_TRY(status);
    return is_current(store, uuid, store->version, err);
}

static enum mr_status sqlite_open(const struct mr_state_config *config, void **self, char *uuid,
                                  struct mr_error *err)
{
    struct store *store = mr_calloc(1, sizeof *store);
    enum mr_status status = MR_OK;
    char *path = NULL;
    int fd = -1;
    *self = store;
    if (!store || !(store->directory = mr_strdup(config->directory)) ||
        !(path = mr_alloc(strlen(config->directory) + 16))) {
        status = mr_error_nomem(err);
        goto out;
    }
    store->version = SCHEMA_VERSION;
    store->read_only = config->read_only;
    sprintf(path, "%s/state.db", config->directory);
    if (config->read_only) {
        status = open_to_read(store, path, uuid, err);
        goto out;
    }
    MR_TRY_OUT(make_directory(config->directory, err));
    fd = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        MR_TRY_OUT(mr_error_errno(err, MR_CONFIG, errno, "cannot open the state directory %s",
                                  config->directory));
    if (sqlite3_open_v2(path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        status = state_error(store, err, "cannot open");
        goto out;
    }
    sqlite3_busy_timeout(store->db, BUSY_MILLIS);
    MR_TRY_OUT(set_up(store, uuid, err));
    status = sync_directory(fd, config->directory, err);
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    mr_free(path);
    return status;
}

static void sqlite_close(void *self)
{
    struct store *store = self;
    sqlite3_close(store->db);
    mr_free(store->directory);
    mr_free(store);
}

static enum mr_status prepare(struct store *store, const char *sql, sqlite3_stmt **stmt,
                              struct mr_error *err)
{
    if (sqlite3_prepare_v2(store->db, sql, -1, stmt, NULL) != SQLITE_OK)
        return state_error(store, err, "cannot prepare");
    return MR_OK;
}

static enum mr_status finish(struct store *store, sqlite3_stmt *stmt, struct mr_error *err)
{
    int code = sqlite3_step(stmt);
    enum mr_status status =
        code == SQLITE_DONE || code == SQLITE_ROW ? MR_OK : state_error(store, err, "cannot write");
    sqlite3_finalize(stmt);
    return status;
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

/* Who holds the lease: a message for MR_BUSY. */
static enum mr_status busy(struct store *store, const char *key, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(store, "SELECT run_id, pid FROM leases WHERE state_key = ?", &stmt, err));
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

static enum mr_status count_fence(struct store *store, const char *key, const char *run_id,
                                  int64_t *fence, struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(store,
                   "INSERT INTO leases VALUES (?1, 1, ?2, ?3) ON CONFLICT (state_key) DO UPDATE SET"
                   " fence = fence + 1, run_id = ?2, pid = ?3 RETURNING fence",
                   &stmt, err));
    bind_text(stmt, 1, key);
    bind_text(stmt, 2, run_id);
    sqlite3_bind_int(stmt, 3, (int)getpid());
    bool ok = sqlite3_step(stmt) == SQLITE_ROW;
    *fence = ok ? sqlite3_column_int64(stmt, 0) : 0;
    /* The row comes first, the commit with the end of the statement: it can still fail. */
    ok = ok && sqlite3_step(stmt) == SQLITE_DONE;
    enum mr_status status = ok ? MR_OK : state_error(store, err, "cannot write");
    sqlite3_finalize(stmt);
    return status;
}

static const char *copy_text(struct mr_arena *arena, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return text ? mr_arena_strdup(arena, text) : NULL;
}

static void sqlite_release(void *self)
{
    struct lease *lease = self;
    if (!lease)
        return;
    if (lease->fd >= 0)
        close(lease->fd);
    mr_free(lease->key);
    mr_free(lease);
}

static char *lock_path(const struct store *store, const char *key)
{
    size_t size = strlen(store->directory) + 32;
    char *path = mr_alloc(size);
    if (path)
        snprintf(path, size, "%s/%016llx.lock", store->directory,
                 (unsigned long long)mr_hash64(key, strlen(key)));
    return path;
}

/* A lock that cannot be asked for (no such file, a file of somebody else) is nobody's, or nobody's that we can know of. */
static bool is_locked(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return locked;
}

static enum mr_status sqlite_holder(void *self, const char *key, struct mr_arena *arena,
                                    const char **run_id, struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    char *path = lock_path(store, key);
    *run_id = NULL;
    if (!path)
        return mr_error_nomem(err);
    bool locked = is_locked(path);
    mr_free(path);
    if (!locked)
        return MR_OK;
    MR_TRY(prepare(store, "SELECT run_id FROM leases WHERE state_key = ?", &stmt, err));
    bind_text(stmt, 1, key);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *run_id = copy_text(arena, stmt, 0);
    sqlite3_finalize(stmt);
    return MR_OK;
}

static enum mr_status take_lock(struct store *store, struct lease *lease, struct mr_error *err)
{
    char *path = lock_path(store, lease->key);
    if (!path)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    lease->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lease->fd < 0)
        status = mr_error_errno(err, MR_CONFIG, errno, "cannot open the lock file %s", path);
    else if (fcntl(lease->fd, F_OFD_SETLK, &lock) != 0)
        status = errno == EAGAIN || errno == EACCES
                     ? busy(store, lease->key, err)
                     : mr_error_errno(err, MR_CONFIG, errno, "cannot lock %s", path);
    mr_free(path);
    return status;
}

static enum mr_status sqlite_lease(void *self, const char *key, const char *run_id,
                                   struct mr_lease_attempt *attempt, void **out, int64_t *fence,
                                   struct mr_error *err)
{
    struct store *store = self;
    if (store->read_only)
        return mr_error_internal(err, "a lease of a state that is only looked at");
    struct lease *lease = mr_calloc(1, sizeof *lease);
    enum mr_status status = MR_OK;
    (void)attempt; /* the kernel knows who is alive: there is nothing to wait for */
    if (lease)
        *lease = (struct lease){.store = store, .key = mr_strdup(key), .fd = -1};
    if (!lease || !lease->key) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(take_lock(store, lease, err));
    MR_TRY_OUT(count_fence(store, key, run_id, &lease->fence, err));
    *fence = lease->fence;
    *out = lease;
    lease = NULL;
out:
    sqlite_release(lease);
    return status;
}

static enum mr_status sqlite_check(void *self, struct mr_error *err)
{
    struct lease *lease = self;
    struct store *store = lease->store;
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(store, "SELECT fence, run_id FROM leases WHERE state_key = ?", &stmt, err));
    bind_text(stmt, 1, lease->key);
    int code = sqlite3_step(stmt);
    enum mr_status status = MR_OK;
    if (code == SQLITE_DONE)
        status = mr_state_fenced(err, lease->key, NULL);
    else if (code != SQLITE_ROW)
        status = state_error(store, err, "cannot read");
    else if (sqlite3_column_int64(stmt, 0) != lease->fence)
        status = mr_state_fenced(err, lease->key, (const char *)sqlite3_column_text(stmt, 1));
    sqlite3_finalize(stmt);
    return status;
}

/* --- writes under a lease: the fence and the write in one transaction --- */

static const char put_note_sql[] = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?)";

static void bind_note(sqlite3_stmt *stmt, const struct mr_note *note)
{
    sqlite3_bind_int64(stmt, 3, note->epoch);
    bind_text(stmt, 4, note->name);
    sqlite3_bind_blob64(stmt, 5, note->bytes.data, note->bytes.size, SQLITE_STATIC);
}

static enum mr_status begin_fenced(struct lease *lease, const char *sql, sqlite3_stmt **stmt,
                                   struct mr_error *err)
{
    *stmt = NULL;
    MR_TRY(exec_sql(lease->store, "BEGIN IMMEDIATE", err));
    enum mr_status status = sqlite_check(lease, err);
    if (status == MR_OK)
        status = prepare(lease->store, sql, stmt, err);
    if (status == MR_OK)
        bind_text(*stmt, 1, lease->key);
    return roll_back(lease->store, status);
}

static enum mr_status finish_fenced(struct lease *lease, sqlite3_stmt *stmt, struct mr_error *err)
{
    enum mr_status status = finish(lease->store, stmt, err);
    if (status == MR_OK)
        status = exec_sql(lease->store, "COMMIT", err);
    return roll_back(lease->store, status);
}

/* Within a transaction. */
static enum mr_status change_notes(struct lease *lease, const struct mr_note_change *change,
                                   struct mr_error *err)
{
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(lease->store,
                   "DELETE FROM notes WHERE state_key = ? AND kind = ? AND epoch >= ?", &stmt,
                   err));
    bind_text(stmt, 1, lease->key);
    sqlite3_bind_int(stmt, 2, (int)change->kind);
    sqlite3_bind_int64(stmt, 3, change->from);
    MR_TRY(finish(lease->store, stmt, err));
    if (change->mark.name == NULL)
        return MR_OK;
    MR_TRY(prepare(lease->store, put_note_sql, &stmt, err));
    bind_text(stmt, 1, lease->key);
    sqlite3_bind_int(stmt, 2, (int)change->kind);
    bind_note(stmt, &change->mark);
    return finish(lease->store, stmt, err);
}

static enum mr_status sqlite_store_record(void *self, int lane, struct mr_slice record,
                                          const struct mr_note_change *changes, int count,
                                          struct mr_error *err)
{
    struct lease *lease = self;
    sqlite3_stmt *stmt;
    MR_TRY(begin_fenced(lease,
                        "INSERT INTO lanes VALUES (?1, ?2, ?3, NULL) ON CONFLICT (state_key, lane)"
                        " DO UPDATE SET previous = record, record = ?3",
                        &stmt, err));
    sqlite3_bind_int(stmt, 2, lane);
    sqlite3_bind_blob64(stmt, 3, record.data, record.size, SQLITE_STATIC);
    enum mr_status status = MR_OK;
    for (int i = 0; i < count && status == MR_OK; i++)
        status = change_notes(lease, &changes[i], err);
    if (status == MR_OK)
        return finish_fenced(lease, stmt, err);
    sqlite3_finalize(stmt);
    return roll_back(lease->store, status);
}

static enum mr_status sqlite_put_notes(void *self, enum mr_note_kind kind,
                                       const struct mr_note *notes, int count, struct mr_error *err)
{
    struct lease *lease = self;
    sqlite3_stmt *stmt;
    MR_TRY(begin_fenced(lease, put_note_sql, &stmt, err));
    sqlite3_bind_int(stmt, 2, (int)kind);
    for (int i = 0; i < count; i++) {
        bind_note(stmt, &notes[i]);
        if (i == count - 1)
            return finish_fenced(lease, stmt, err);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            break;
        sqlite3_reset(stmt);
    }
    enum mr_status status = state_error(lease->store, err, "cannot write");
    sqlite3_finalize(stmt);
    return roll_back(lease->store, status);
}

static enum mr_status sqlite_drop_notes(void *self, enum mr_note_kind kind, int64_t from,
                                        int64_t upto, struct mr_error *err)
{
    struct lease *lease = self;
    sqlite3_stmt *stmt;
    MR_TRY(begin_fenced(lease,
                        "DELETE FROM notes WHERE state_key = ? AND kind = ?"
                        " AND epoch BETWEEN ? AND ?",
                        &stmt, err));
    sqlite3_bind_int(stmt, 2, (int)kind);
    sqlite3_bind_int64(stmt, 3, from);
    sqlite3_bind_int64(stmt, 4, upto);
    return finish_fenced(lease, stmt, err);
}

/* --- reads --- */

static enum mr_status copy_blob(sqlite3_stmt *stmt, int column, struct mr_arena *arena,
                                struct mr_slice *out, struct mr_error *err)
{
    const char *data = sqlite3_column_blob(stmt, column);
    size_t size = (size_t)sqlite3_column_bytes(stmt, column);
    char *copy = mr_arena_alloc(arena, size + 1);
    if (!copy)
        return mr_error_nomem(err);
    if (size > 0)
        memcpy(copy, data, size);
    *out = (struct mr_slice){copy, size};
    return MR_OK;
}

static enum mr_status sqlite_load_record(void *self, const char *key, int lane, bool before,
                                         struct mr_arena *arena, struct mr_slice *out,
                                         struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    enum mr_status status = MR_OK;
    MR_TRY(prepare(store,
                   before ? "SELECT previous FROM lanes WHERE state_key = ? AND lane = ?"
                          : "SELECT record FROM lanes WHERE state_key = ? AND lane = ?",
                   &stmt, err));
    bind_text(stmt, 1, key);
    sqlite3_bind_int(stmt, 2, lane);
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        status = copy_blob(stmt, 0, arena, out, err);
    else if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = state_error(store, err, "cannot read");
    sqlite3_finalize(stmt);
    return status;
}

/* Room for one more in an array that grows by doubling inside the arena. */
static bool grow_notes(struct mr_arena *arena, struct mr_note **notes, int count)
{
    if (count & (count - 1) || count == INT_MAX / 2)
        return count != INT_MAX / 2;
    struct mr_note *larger = mr_arena_calloc(arena, (size_t)count * 2 + 1, sizeof *larger);
    if (larger && count > 0)
        memcpy(larger, *notes, (size_t)count * sizeof *larger);
    *notes = larger;
    return larger != NULL;
}

static enum mr_status read_note(sqlite3_stmt *stmt, bool with_bytes, struct mr_arena *arena,
                                struct mr_note *note, struct mr_error *err)
{
    note->epoch = sqlite3_column_int64(stmt, 0);
    note->name = copy_text(arena, stmt, 1);
    if (!note->name)
        return mr_error_nomem(err);
    return with_bytes ? copy_blob(stmt, 2, arena, &note->bytes, err) : MR_OK;
}

static enum mr_status sqlite_notes(void *self, const struct mr_note_filter *filter,
                                   struct mr_arena *arena, struct mr_note **out, int *count,
                                   struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    enum mr_status status = MR_OK;
    if (store->version < 2) /* it is only looked at, and has none */
        return MR_OK;
    /* Only what is asked for stands in it: then one note is found by the key, past all others. */
    char text[200];
    snprintf(text, sizeof text,
             "SELECT epoch, name%s FROM notes WHERE state_key = ?1 AND kind = ?2%s%s"
             " ORDER BY epoch, name",
             filter->no_bytes ? "" : ", bytes", filter->epoch >= 0 ? " AND epoch = ?3" : "",
             filter->name ? " AND name = ?4" : "");
    MR_TRY(prepare(store, text, &stmt, err));
    bind_text(stmt, 1, filter->key);
    sqlite3_bind_int(stmt, 2, (int)filter->kind);
    if (filter->epoch >= 0)
        sqlite3_bind_int64(stmt, 3, filter->epoch);
    if (filter->name)
        bind_text(stmt, 4, filter->name);
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!grow_notes(arena, out, *count)) {
            status = mr_error_nomem(err);
            goto out;
        }
        MR_TRY_OUT(read_note(stmt, !filter->no_bytes, arena, &(*out)[*count], err));
        ++*count;
    }
    if (code != SQLITE_DONE)
        status = state_error(store, err, "cannot read");
out:
    sqlite3_finalize(stmt);
    return status;
}

/* --- lanes --- */

/* '@' and the letter behind it: a range of the primary key. */
static enum mr_status sqlite_lane_keys(void *self, const char *key, struct mr_arena *arena,
                                       const char ***out, int *count, struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    enum mr_status status = MR_OK;
    int code, room = 0;
    MR_TRY(prepare(store,
                   "SELECT DISTINCT state_key FROM lanes WHERE state_key > ?1 || '@'"
                   " AND state_key < ?1 || 'A' ORDER BY state_key",
                   &stmt, err));
    bind_text(stmt, 1, key);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (*count == room) {
            room = room > 0 ? 2 * room : 16;
            const char **items = mr_arena_calloc(arena, (size_t)room, sizeof *items);
            for (int i = 0; items && i < *count; i++)
                items[i] = (*out)[i];
            *out = items;
        }
        const char *text = *out ? copy_text(arena, stmt, 0) : NULL;
        if (!text) {
            status = mr_error_nomem(err);
            break;
        }
        (*out)[(*count)++] = text;
    }
    if (status == MR_OK && code != SQLITE_DONE)
        status = state_error(store, err, "cannot read");
    sqlite3_finalize(stmt);
    return status;
}

/* --- runs --- */

static enum mr_status sqlite_run_begin(void *self, const struct mr_run_row *row,
                                       struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    MR_TRY(
        prepare(store,
                "INSERT INTO runs (run_id, pipeline, state_key, status, exit_code, started, ended,"
                " rows_read, rows_written, run_key) VALUES (?, ?, ?, 'running', -1, ?, 0, 0, 0, ?)",
                &stmt, err));
    bind_text(stmt, 1, row->run_id);
    bind_text(stmt, 2, row->pipeline);
    bind_text(stmt, 3, row->state_key);
    sqlite3_bind_int64(stmt, 4, row->started_micros);
    bind_text(stmt, 5, row->run_key);
    return finish(store, stmt, err);
}

static enum mr_status sqlite_run_end(void *self, const struct mr_run_row *row, struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    MR_TRY(prepare(store,
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
    return finish(store, stmt, err);
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
    row->run_key = copy_text(arena, stmt, 11);
}

#define RUN_COLUMNS                                                                                \
    "SELECT run_id, pipeline, state_key, status, exit_code, started, ended, rows_read,"            \
    " rows_written, message, CASE WHEN ?3 IS NULL THEN NULL ELSE report END, "
#define RUN_WHERE                                                                                  \
    " FROM runs WHERE (?1 IS NULL OR state_key = ?1"                                               \
    " OR (?5 AND substr(state_key, 1, length(?1) + 1) = ?1 || '@'))"                               \
    " AND (?3 IS NULL OR run_id = ?3)"
#define RUN_ORDER " ORDER BY started DESC LIMIT ?2"

static enum mr_status sqlite_runs(void *self, const struct mr_run_filter *filter,
                                  struct mr_arena *arena, struct mr_run_row **rows, int *count,
                                  struct mr_error *err)
{
    struct store *store = self;
    sqlite3_stmt *stmt = NULL;
    static const char all_sql[] = RUN_COLUMNS "run_key" RUN_WHERE RUN_ORDER;
    static const char old_sql[] = RUN_COLUMNS "NULL" RUN_WHERE RUN_ORDER; /* version 2 */
    static const char key_sql[] =
        RUN_COLUMNS "run_key" RUN_WHERE " AND run_key = ?4 AND status = 'success'" RUN_ORDER;
    *rows = mr_arena_calloc(arena, (size_t)filter->limit + 1, sizeof **rows);
    if (!*rows)
        return mr_error_nomem(err);
    MR_TRY(prepare(store,
                   filter->run_key      ? key_sql
                   : store->version < 3 ? old_sql
                                        : all_sql,
                   &stmt, err));
    bind_text(stmt, 1, filter->state_key);
    sqlite3_bind_int(stmt, 2, filter->limit);
    bind_text(stmt, 3, filter->run_id);
    sqlite3_bind_int(stmt, 5, filter->lanes);
    if (filter->run_key)
        bind_text(stmt, 4, filter->run_key);
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW && *count < filter->limit)
        read_run(arena, stmt, &(*rows)[(*count)++]);
    enum mr_status status =
        code == SQLITE_DONE || code == SQLITE_ROW ? MR_OK : state_error(store, err, "cannot read");
    sqlite3_finalize(stmt);
    return status;
}

const struct mr_state_backend mr_state_sqlite = {
    .open = sqlite_open,
    .close = sqlite_close,
    .lease = sqlite_lease,
    .release = sqlite_release,
    .check = sqlite_check,
    .load_record = sqlite_load_record,
    .store_record = sqlite_store_record,
    .lane_keys = sqlite_lane_keys,
    .put_notes = sqlite_put_notes,
    .notes = sqlite_notes,
    .drop_notes = sqlite_drop_notes,
    .run_begin = sqlite_run_begin,
    .run_end = sqlite_run_end,
    .runs = sqlite_runs,
    .holder = sqlite_holder,
};
