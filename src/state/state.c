/*
 * state.c - the front of the state store: what is the same whichever database keeps it.
 *
 * Records and notes become blobs with a CRC here and are checked here, so that no backend can return damage as truth. One mutex per
 * store serialises its callers: a pipeline makes a handful of calls a run, and a connection of either database serves one
 * thread at a time. Taking a lease that another holds lets go of the mutex while it waits.
 */
#include "base/failpoint.h"
#include "base/thread.h"
#include "base/time.h"
#include "base/wait.h"
#include "state/backend.h"
#include "state/record.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>

#define BLOB_MAXIMUM ((size_t)1 << 29)
#define CHANGES      4 /* one of each kind of note */

struct mr_state {
    const struct mr_state_backend *backend;
    void *self;
    struct mr_waiter *waiter; /* for leases; NULL = never cancelled */
    pthread_mutex_t lock;     /* guards self and every lease of it */
    char uuid[33];
};

struct mr_lease {
    struct mr_state *state;
    void *self;
};

enum mr_status mr_state_fenced(struct mr_error *err, const char *key, const char *run_id)
{
    mr_error_set(err, MR_BUSY, MR_CLASS_FATAL, "fenced: %s%s took the pipeline %s over",
                 run_id ? "run " : "somebody", run_id ? run_id : "", key);
    mr_error_hint(err, "this run was taken for dead and may write no more; what it had not "
                       "committed is discarded or finished by the other");
    return MR_BUSY;
}

enum mr_status mr_state_new_uuid(char *uuid, struct mr_error *err)
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "no random numbers");
    for (int i = 0; i < 16; i++)
        snprintf(uuid + i * 2, 3, "%02x", random[i]);
    return MR_OK;
}

enum mr_status mr_state_open(const struct mr_state_config *config, struct mr_state **out,
                             struct mr_error *err)
{
    struct mr_state *state = mr_calloc(1, sizeof *state);
    *out = NULL;
    if (!state)
        return mr_error_nomem(err);
    mr_mutex_init(&state->lock);
    state->waiter = config->waiter;
    state->backend = config->keywords ? &mr_state_postgres : &mr_state_sqlite;
    enum mr_status status = state->backend->open(config, &state->self, state->uuid, err);
    if (status == MR_OK)
        *out = state;
    else
        mr_state_close(state);
    return status;
}

void mr_state_close(struct mr_state *state)
{
    if (!state)
        return;
    if (state->self)
        state->backend->close(state->self);
    pthread_mutex_destroy(&state->lock);
    mr_free(state);
}

const char *mr_state_uuid(const struct mr_state *state)
{
    return state->uuid;
}

/* --- leases --- */

static enum mr_status try_lease(struct mr_state *state, const char *key, const char *run_id,
                                struct mr_lease_attempt *attempt, struct mr_lease *lease,
                                int64_t *fence, struct mr_error *err)
{
    attempt->retry_micros = 0;
    pthread_mutex_lock(&state->lock);
    enum mr_status status =
        state->backend->lease(state->self, key, run_id, attempt, &lease->self, fence, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum mr_status mr_state_lease(struct mr_state *state, const char *key, const char *run_id,
                              struct mr_lease **out, int64_t *fence, struct mr_error *err)
{
    struct mr_waiter plain = mr_waiter_plain();
    struct mr_waiter *waiter = state->waiter ? state->waiter : &plain;
    struct mr_lease_attempt attempt = {0};
    struct mr_lease *lease = mr_calloc(1, sizeof *lease);
    *out = NULL;
    if (!lease)
        return mr_error_nomem(err);
    lease->state = state;
    enum mr_status status;
    while ((status = try_lease(state, key, run_id, &attempt, lease, fence, err)) == MR_BUSY &&
           attempt.retry_micros > 0) {
        bool timed_out;
        int64_t until = mr_clock_monotonic_micros() + attempt.retry_micros;
        status = mr_wait(waiter, -1, 0, until, MR_WAIT_RETRY, &timed_out, err);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK)
        *out = lease;
    else
        mr_free(lease);
    return status;
}

void mr_lease_release(struct mr_lease *lease)
{
    if (!lease)
        return;
    pthread_mutex_lock(&lease->state->lock);
    lease->state->backend->release(lease->self);
    pthread_mutex_unlock(&lease->state->lock);
    mr_free(lease);
}

enum mr_status mr_lease_check(struct mr_lease *lease, struct mr_error *err)
{
    pthread_mutex_lock(&lease->state->lock);
    enum mr_status status = lease->state->backend->check(lease->self, err);
    pthread_mutex_unlock(&lease->state->lock);
    return status;
}

/* --- epoch records --- */

static enum mr_status damaged(struct mr_error *err, const char *what, const char *key)
{
    mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "the %s of %s in the state is damaged", what,
                 key);
    mr_error_hint(err, "restore the state, or run once with --fresh after checking what the "
                       "target holds");
    return MR_INTERNAL;
}

static enum mr_status load_epoch(struct mr_state *state, const char *key, int lane, bool before,
                                 struct mr_arena *arena, struct mr_epoch_record *out,
                                 struct mr_error *err)
{
    struct mr_slice blob = {0};
    *out = (struct mr_epoch_record){.lane = lane};
    pthread_mutex_lock(&state->lock);
    enum mr_status status =
        state->backend->load_record(state->self, key, lane, before, arena, &blob, err);
    pthread_mutex_unlock(&state->lock);
    if (status != MR_OK || !blob.data)
        return status;
    if (!mr_epoch_record_decode(blob, arena, out) || out->lane != lane) {
        *out = (struct mr_epoch_record){.lane = lane};
        return damaged(err, before ? "earlier epoch record" : "epoch record", key);
    }
    return MR_OK;
}

enum mr_status mr_state_load_epoch(struct mr_state *state, const char *key, int lane,
                                   struct mr_arena *arena, struct mr_epoch_record *out,
                                   struct mr_error *err)
{
    return load_epoch(state, key, lane, false, arena, out, err);
}

enum mr_status mr_state_load_epoch_before(struct mr_state *state, const char *key, int lane,
                                          struct mr_arena *arena, struct mr_epoch_record *out,
                                          struct mr_error *err)
{
    return load_epoch(state, key, lane, true, arena, out, err);
}

static enum mr_status store_sealed(struct mr_lease *lease, const struct mr_epoch_record *record,
                                   const struct mr_note_change *changes, int count,
                                   struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, BLOB_MAXIMUM);
    mr_epoch_record_encode(record, mr_clock_wall_micros(), &bytes);
    enum mr_status status = MR_OK;
    pthread_mutex_lock(&lease->state->lock);
    MR_TRY_OUT(mr_bytes_status(&bytes, err));
    MR_TRY_OUT(MR_FAILPOINT("state.before", err));
    MR_TRY_OUT(lease->state->backend->store_record(lease->self, record->lane,
                                                   (struct mr_slice){bytes.data, bytes.size},
                                                   changes, count, err));
    MR_TRY_OUT(MR_FAILPOINT("state.after", err));
out:
    pthread_mutex_unlock(&lease->state->lock);
    mr_bytes_reset(&bytes);
    return status;
}

enum mr_status mr_state_store_epoch(struct mr_lease *lease, const struct mr_epoch_record *record,
                                    struct mr_error *err)
{
    return store_sealed(lease, record, NULL, 0, err);
}

enum mr_status mr_state_store_epoch_and(struct mr_lease *lease,
                                        const struct mr_epoch_record *record,
                                        const struct mr_note_change *changes, int count,
                                        struct mr_error *err)
{
    struct mr_note_change sealed[CHANGES] = {0};
    struct mr_bytes bytes[CHANGES];
    enum mr_status status = MR_OK;
    assert(count <= CHANGES);
    for (int i = 0; i < count; i++) {
        mr_bytes_init(&bytes[i], BLOB_MAXIMUM);
        sealed[i] = changes[i];
        if (changes[i].mark.name == NULL)
            continue;
        mr_note_encode(changes[i].kind, &changes[i].mark, &bytes[i]);
        sealed[i].mark.bytes = (struct mr_slice){bytes[i].data, bytes[i].size};
        if (status == MR_OK)
            status = mr_bytes_status(&bytes[i], err);
    }
    if (status == MR_OK)
        status = store_sealed(lease, record, sealed, count, err);
    for (int i = 0; i < count; i++)
        mr_bytes_reset(&bytes[i]);
    return status;
}

/* --- notes --- */

enum mr_status mr_state_put_notes(struct mr_lease *lease, enum mr_note_kind kind,
                                  const struct mr_note *notes, int count, struct mr_error *err)
{
    if (count == 0)
        return MR_OK;
    struct mr_bytes *bytes = mr_calloc((size_t)count + 1, sizeof *bytes);
    struct mr_note *sealed = mr_calloc((size_t)count + 1, sizeof *sealed);
    enum mr_status status = bytes && sealed ? MR_OK : mr_error_nomem(err);
    for (int i = 0; i < count && status == MR_OK; i++) {
        mr_bytes_init(&bytes[i], BLOB_MAXIMUM);
        mr_note_encode(kind, &notes[i], &bytes[i]);
        sealed[i] = notes[i];
        sealed[i].bytes = (struct mr_slice){bytes[i].data, bytes[i].size};
        status = mr_bytes_status(&bytes[i], err);
    }
    pthread_mutex_lock(&lease->state->lock);
    MR_TRY_OUT(status);
    MR_TRY_OUT(MR_FAILPOINT("state.note", err));
    status = lease->state->backend->put_notes(lease->self, kind, sealed, count, err);
out:
    pthread_mutex_unlock(&lease->state->lock);
    for (int i = 0; bytes && i < count; i++)
        mr_bytes_reset(&bytes[i]);
    mr_free(bytes);
    mr_free(sealed);
    return status;
}

enum mr_status mr_state_put_note(struct mr_lease *lease, enum mr_note_kind kind,
                                 const struct mr_note *note, struct mr_error *err)
{
    return mr_state_put_notes(lease, kind, note, 1, err);
}

static enum mr_status read_notes(struct mr_state *state, const struct mr_note_filter *filter,
                                 struct mr_arena *arena, struct mr_note **out, int *count,
                                 struct mr_error *err)
{
    *out = NULL;
    *count = 0;
    pthread_mutex_lock(&state->lock);
    enum mr_status status = state->backend->notes(state->self, filter, arena, out, count, err);
    pthread_mutex_unlock(&state->lock);
    for (int i = 0; status == MR_OK && !filter->no_bytes && i < *count; i++)
        if (!mr_note_unseal(filter->kind, &(*out)[i]))
            status = damaged(err, "notes", filter->key);
    if (status != MR_OK)
        *count = 0;
    return status;
}

enum mr_status mr_state_notes(struct mr_state *state, const char *key, enum mr_note_kind kind,
                              int64_t epoch, struct mr_arena *arena, struct mr_note **out,
                              int *count, struct mr_error *err)
{
    struct mr_note_filter filter = {.key = key, .kind = kind, .epoch = epoch};
    return read_notes(state, &filter, arena, out, count, err);
}

enum mr_status mr_state_note_names(struct mr_state *state, const char *key, enum mr_note_kind kind,
                                   struct mr_arena *arena, struct mr_note **out, int *count,
                                   struct mr_error *err)
{
    struct mr_note_filter filter = {.key = key, .kind = kind, .epoch = -1, .no_bytes = true};
    return read_notes(state, &filter, arena, out, count, err);
}

enum mr_status mr_state_note(struct mr_state *state, const char *key, enum mr_note_kind kind,
                             int64_t epoch, const char *name, struct mr_arena *arena,
                             struct mr_note *out, struct mr_error *err)
{
    struct mr_note_filter filter = {.key = key, .kind = kind, .epoch = epoch, .name = name};
    struct mr_note *notes = NULL;
    int count;
    MR_TRY(read_notes(state, &filter, arena, &notes, &count, err));
    if (count != 1)
        return damaged(err, "notes", key);
    *out = notes[0];
    return MR_OK;
}

static enum mr_status drop_notes(struct mr_lease *lease, enum mr_note_kind kind, int64_t from,
                                 int64_t upto, struct mr_error *err)
{
    pthread_mutex_lock(&lease->state->lock);
    enum mr_status status = lease->state->backend->drop_notes(lease->self, kind, from, upto, err);
    pthread_mutex_unlock(&lease->state->lock);
    return status;
}

enum mr_status mr_state_drop_notes(struct mr_lease *lease, enum mr_note_kind kind, int64_t upto,
                                   struct mr_error *err)
{
    return drop_notes(lease, kind, INT64_MIN, upto, err);
}

enum mr_status mr_state_drop_notes_from(struct mr_lease *lease, enum mr_note_kind kind,
                                        int64_t from, struct mr_error *err)
{
    return drop_notes(lease, kind, from, INT64_MAX, err);
}

/* --- runs --- */

enum mr_status mr_state_run_begin(struct mr_state *state, const struct mr_run_row *row,
                                  struct mr_error *err)
{
    pthread_mutex_lock(&state->lock);
    enum mr_status status = state->backend->run_begin(state->self, row, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum mr_status mr_state_run_end(struct mr_state *state, const struct mr_run_row *row,
                                struct mr_error *err)
{
    pthread_mutex_lock(&state->lock);
    enum mr_status status = state->backend->run_end(state->self, row, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum mr_status mr_state_lane_keys(struct mr_state *state, const char *key, struct mr_arena *arena,
                                  const char *const **out, int *count, struct mr_error *err)
{
    const char **keys = NULL;
    *count = 0;
    pthread_mutex_lock(&state->lock);
    enum mr_status status = state->backend->lane_keys(state->self, key, arena, &keys, count, err);
    pthread_mutex_unlock(&state->lock);
    *out = (const char *const *)keys;
    return status;
}

/* Nobody tells the state of a process that was killed: its row is running, and its lease is gone. */
static enum mr_status judge_running(struct mr_state *state, struct mr_arena *arena,
                                    struct mr_run_row *row, struct mr_error *err)
{
    const char *holder = NULL;
    if (strcmp(row->status, "running") != 0)
        return MR_OK;
    MR_TRY(state->backend->holder(state->self, row->state_key, arena, &holder, err));
    if (!holder || strcmp(holder, row->run_id) != 0)
        row->status = "killed";
    return MR_OK;
}

static enum mr_status read_runs(struct mr_state *state, const struct mr_run_filter *filter,
                                struct mr_arena *arena, struct mr_run_row **rows, int *count,
                                struct mr_error *err)
{
    *count = 0;
    pthread_mutex_lock(&state->lock);
    enum mr_status status = state->backend->runs(state->self, filter, arena, rows, count, err);
    for (int i = 0; status == MR_OK && i < *count; i++)
        status = judge_running(state, arena, &(*rows)[i], err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

static enum mr_status read_run(struct mr_state *state, const struct mr_run_filter *filter,
                               struct mr_arena *arena, struct mr_run_row **row,
                               struct mr_error *err)
{
    struct mr_run_row *rows = NULL;
    int count = 0;
    enum mr_status status = read_runs(state, filter, arena, &rows, &count, err);
    *row = status == MR_OK && count > 0 ? rows : NULL;
    return status;
}

enum mr_status mr_state_runs(struct mr_state *state, const char *key, bool lanes, int limit,
                             struct mr_arena *arena, struct mr_run_row **rows, int *count,
                             struct mr_error *err)
{
    struct mr_run_filter filter = {.state_key = key, .lanes = lanes, .limit = limit};
    return read_runs(state, &filter, arena, rows, count, err);
}

enum mr_status mr_state_run(struct mr_state *state, const char *run_id, struct mr_arena *arena,
                            struct mr_run_row **row, struct mr_error *err)
{
    struct mr_run_filter filter = {.run_id = run_id, .limit = 1};
    return read_run(state, &filter, arena, row, err);
}

enum mr_status mr_state_run_of_key(struct mr_state *state, const char *key, const char *run_key,
                                   struct mr_arena *arena, struct mr_run_row **row,
                                   struct mr_error *err)
{
    struct mr_run_filter filter = {.state_key = key, .run_key = run_key, .limit = 1};
    return read_run(state, &filter, arena, row, err);
}
