/*
 * test_state.c - epoch records, notes, leases between processes, and the table of runs.
 */
#include "state/record.h"
#include "state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>

#include <libpq-fe.h>

/* A lease of the tests lasts this long unrenewed, so that none has to wait for 30 s. */
#define LEASE_MICROS 600000

/* The suite's own server; directory empty = none could be had. */
static struct {
    char directory[64];
    const char *keywords[5];
    const char *values[5];
} server;

struct fixture {
    char directory[64];
    bool postgres;
    struct mr_arena arena;
    struct mr_state *state;
};

static enum mr_status open_state(const struct fixture *fixture, struct mr_state **out,
                                 struct mr_error *err)
{
    struct mr_state_config config = {.directory = fixture->directory};
    if (fixture->postgres)
        config = (struct mr_state_config){.keywords = server.keywords,
                                          .values = server.values,
                                          .location = "test",
                                          .lease_micros = LEASE_MICROS};
    return mr_state_open(&config, out, err);
}

static void run_on_server(const char *sql)
{
    PGconn *conn = PQconnectdbParams(server.keywords, server.values, 0);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType kind = PQresultStatus(result);
    if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
}

static int set_up_either(void **out, bool postgres)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct mr_error err = {0};
    strcpy(fixture->directory, "mr-state-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->postgres = postgres;
    mr_arena_init(&fixture->arena, NULL);
    if (postgres)
        run_on_server("SET client_min_messages = warning; DROP SCHEMA IF EXISTS millrace CASCADE");
    if (open_state(fixture, &fixture->state, &err) != MR_OK)
        fail_msg("%s", err.message);
    *out = fixture;
    return 0;
}

static int set_up(void **out)
{
    return set_up_either(out, false);
}

static int set_up_postgres(void **out)
{
    return set_up_either(out, true);
}

static int tear_down(void **out)
{
    struct fixture *fixture = *out;
    char command[128];
    mr_state_close(fixture->state);
    mr_arena_reset(&fixture->arena);
    snprintf(command, sizeof command, "rm -rf %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

/* The holder of "k" looks dead although it is not. */
static void let_go(const struct fixture *fixture)
{
    char command[128];
    if (fixture->postgres) {
        run_on_server("UPDATE millrace.leases SET expires = '-infinity'");
        return;
    }
    snprintf(command, sizeof command, "rm %s/*.lock", fixture->directory);
    assert_int_equal(system(command), 0);
}

static struct mr_epoch_token tokens[] = {
    {.step = 3, .method = "toS3", .location = "s3://b/p", .token = {"a\0b", 3}},
    {.step = 7, .method = "toFile", .location = "", .token = {"", 0}},
};

static struct mr_epoch_record sample(void)
{
    return (struct mr_epoch_record){
        .phase = MR_EPOCH_PREPARED,
        .stream = true,
        .lane = 2,
        .epoch = INT64_C(1) << 40,
        .run_id = "20260101T000000Z-00000001",
        .fingerprint = "0123456789abcdef",
        .watermark = "2026-01-01 00:00:00.000001",
        .positions = {"\x01\x00\x02", 3},
        .ntokens = 2,
        .tokens = tokens,
    };
}

static void check_sample(const struct mr_epoch_record *read)
{
    struct mr_epoch_record record = sample();
    assert_int_equal(read->phase, record.phase);
    assert_int_equal(read->stream, record.stream);
    assert_int_equal(read->lane, record.lane);
    assert_true(read->epoch == record.epoch);
    assert_string_equal(read->run_id, record.run_id);
    assert_string_equal(read->fingerprint, record.fingerprint);
    assert_string_equal(read->watermark, record.watermark);
    assert_int_equal(read->positions.size, 3);
    assert_memory_equal(read->positions.data, record.positions.data, 3);
    assert_int_equal(read->ntokens, 2);
    assert_int_equal(read->tokens[0].step, 3);
    assert_string_equal(read->tokens[0].method, "toS3");
    assert_string_equal(read->tokens[0].location, "s3://b/p");
    assert_memory_equal(read->tokens[0].token.data, "a\0b", 3);
    assert_int_equal(read->tokens[1].token.size, 0);
}

static void holds_sample(struct fixture *fixture)
{
    struct mr_epoch_record read;
    struct mr_error err = {0};
    assert_int_equal(mr_state_load_epoch(fixture->state, "k", 2, &fixture->arena, &read, &err),
                     MR_OK);
    check_sample(&read);
}

static void record_survives(void **out)
{
    struct fixture *fixture = *out;
    struct mr_bytes bytes;
    struct mr_epoch_record record = sample(), read;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_epoch_record_encode(&record, 1700000000000001, &bytes);
    assert_true(
        mr_epoch_record_decode((struct mr_slice){bytes.data, bytes.size}, &fixture->arena, &read));
    check_sample(&read);
    assert_true(read.written == 1700000000000001);
    mr_bytes_reset(&bytes);
}

/* Every flipped bit and every truncation is noticed. */
static void damage_is_noticed(void **out)
{
    struct fixture *fixture = *out;
    struct mr_bytes bytes;
    struct mr_epoch_record record = sample(), read;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_epoch_record_encode(&record, 1700000000000001, &bytes);
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.data[i / 8] ^= (char)(1 << (i % 8));
        assert_false(mr_epoch_record_decode((struct mr_slice){bytes.data, bytes.size},
                                            &fixture->arena, &read));
        bytes.data[i / 8] ^= (char)(1 << (i % 8));
    }
    for (size_t size = 0; size < bytes.size; size++)
        assert_false(
            mr_epoch_record_decode((struct mr_slice){bytes.data, size}, &fixture->arena, &read));
    mr_bytes_reset(&bytes);
}

static void store(struct fixture *fixture, const char *key, const struct mr_epoch_record *record)
{
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    int64_t fence;
    assert_int_equal(mr_state_lease(fixture->state, key, "r", &lease, &fence, &err), MR_OK);
    assert_int_equal(mr_state_store_epoch(lease, record, &err), MR_OK);
    mr_lease_release(lease);
}

/* One process of several that open a new directory at the same moment: its exit code. */
static int open_at_signal(const struct fixture *fixture, int start)
{
    struct mr_error err = {0};
    struct mr_state *state = NULL;
    char byte;
    if (read(start, &byte, 1) != 0)
        return 2;
    enum mr_status status = open_state(fixture, &state, &err);
    mr_state_close(state);
    if (status != MR_OK)
        fprintf(stderr, "%s\n", err.message);
    return status != MR_OK;
}

static void opened_by_several_at_once(void **out)
{
    struct fixture *fixture = *out;
    enum { PROCESSES = 12 };
    int rounds = fixture->postgres ? 4 : 30;
    for (int round = 0; round < rounds; round++) {
        struct fixture at_once = *fixture;
        int gate[2];
        pid_t children[PROCESSES];
        snprintf(at_once.directory, sizeof at_once.directory, "%.20s/at-once-%d",
                 fixture->directory, round);
        if (fixture->postgres)
            run_on_server("SET client_min_messages = warning; DROP SCHEMA millrace CASCADE");
        assert_int_equal(pipe(gate), 0);
        for (int i = 0; i < PROCESSES; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                close(gate[1]);
                _exit(open_at_signal(&at_once, gate[0]));
            }
        }
        close(gate[0]);
        close(gate[1]);
        int failed = 0;
        for (int i = 0; i < PROCESSES; i++) {
            int status = 0;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            failed += status != 0;
        }
        assert_int_equal(failed, 0);
    }
}

static void epoch_is_stored(void **out)
{
    struct fixture *fixture = *out;
    struct mr_epoch_record record = sample(), read;
    struct mr_error err = {0};
    assert_int_equal(mr_state_load_epoch(fixture->state, "k", 2, &fixture->arena, &read, &err),
                     MR_OK);
    assert_int_equal(read.phase, MR_EPOCH_NONE);
    store(fixture, "k", &record);
    record.epoch--;
    store(fixture, "other", &record);
    /* A new connection, as another process would. */
    char uuid[33];
    snprintf(uuid, sizeof uuid, "%s", mr_state_uuid(fixture->state));
    mr_state_close(fixture->state);
    fixture->state = NULL;
    assert_int_equal(open_state(fixture, &fixture->state, &err), MR_OK);
    assert_string_equal(mr_state_uuid(fixture->state), uuid);
    holds_sample(fixture);
}

/* The lease keeps other processes out, is per key, and ends with its holder however that dies. */
static void lease_is_exclusive(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL, *other = NULL;
    int64_t fence = 0, next = 0;
    int ready[2], done[2], status = 0;
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid_t child = fork();
    if (child == 0) {
        struct mr_state *state = NULL;
        bool held = open_state(fixture, &state, NULL) == MR_OK &&
                    mr_state_lease(state, "k", "run-a", &lease, &fence, NULL) == MR_OK;
        byte = held ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) != 1)
            _exit(1);
        abort();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(mr_state_lease(fixture->state, "k", "run-b", &lease, &fence, &err), MR_BUSY);
    assert_non_null(strstr(err.message, "run-a"));
    assert_int_equal(mr_state_lease(fixture->state, "k2", "run-b", &other, &fence, &err), MR_OK);
    mr_lease_release(other);
    assert_int_equal(write(done[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(mr_state_lease(fixture->state, "k", "run-b", &lease, &next, &err), MR_OK);
    assert_true(next > 1);
    mr_lease_release(lease);
}

static void runs_are_listed(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_run_row *rows = NULL, *row = NULL;
    int count = 0;
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "run-%d", i);
        struct mr_run_row begin = {.run_id = id,
                                   .pipeline = "p",
                                   .state_key = i == 2 ? "b" : "a",
                                   .started_micros = i};
        assert_int_equal(mr_state_run_begin(fixture->state, &begin, &err), MR_OK);
    }
    struct mr_run_row end = {.run_id = "run-1",
                             .status = "failed",
                             .exit_code = 5,
                             .ended_micros = 9,
                             .rows_read = 7,
                             .message = "it's \"broken\"",
                             .report = "{}"};
    assert_int_equal(mr_state_run_end(fixture->state, &end, &err), MR_OK);
    assert_int_equal(mr_state_runs(fixture->state, NULL, false, 10, &fixture->arena, &rows, &count,
                                   &err),
                     MR_OK);
    assert_int_equal(count, 3);
    assert_string_equal(rows[0].run_id, "run-2");
    assert_int_equal(rows[0].exit_code, -1);
    assert_int_equal(mr_state_runs(fixture->state, "a", false, 1, &fixture->arena, &rows, &count,
                                   &err),
                     MR_OK);
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].run_id, "run-1");
    assert_string_equal(rows[0].message, "it's \"broken\"");
    assert_int_equal(mr_state_run(fixture->state, "run-1", &fixture->arena, &row, &err), MR_OK);
    assert_string_equal(row->report, "{}");
    assert_int_equal(mr_state_run(fixture->state, "nope", &fixture->arena, &row, &err), MR_OK);
    assert_null(row);
}

/* A key is that of a pipeline, and counts when its run has succeeded. */
static void run_keys_are_found(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    static const struct {
        const char *run_id, *state_key, *run_key, *status;
    } runs[] = {
        {"1", "a", "monday", "failed"},  {"2", "a", "monday", "success"},
        {"3", "a", "monday", "skipped"}, {"4", "b", "tuesday", "success"},
        {"5", "a", "tuesday", "failed"}, {"6", "a", NULL, "success"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct mr_run_row row = {.run_id = runs[i].run_id,
                                 .pipeline = "p",
                                 .state_key = runs[i].state_key,
                                 .run_key = runs[i].run_key,
                                 .started_micros = (int64_t)i,
                                 .status = runs[i].status};
        assert_int_equal(mr_state_run_begin(fixture->state, &row, &err), MR_OK);
        assert_int_equal(mr_state_run_end(fixture->state, &row, &err), MR_OK);
    }
    struct mr_run_row *row = NULL;
    assert_int_equal(mr_state_run_of_key(fixture->state, "a", "monday", &fixture->arena, &row,
                                         &err),
                     MR_OK);
    assert_string_equal(row->run_id, "2");
    assert_string_equal(row->run_key, "monday");
    assert_int_equal(mr_state_run_of_key(fixture->state, "a", "tuesday", &fixture->arena, &row,
                                         &err),
                     MR_OK);
    assert_null(row);
    assert_int_equal(mr_state_run(fixture->state, "6", &fixture->arena, &row, &err), MR_OK);
    assert_null(row->run_key);
}

/* A row says running for ever when its process is killed: whether it is at work the lease tells. */
static void killed_runs_are_told(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    struct mr_run_row *row = NULL;
    int64_t fence;
    for (int i = 0; i < 2; i++) {
        struct mr_run_row begin = {.run_id = i ? "new" : "old",
                                   .pipeline = "p",
                                   .state_key = "k",
                                   .started_micros = i};
        assert_int_equal(mr_state_run_begin(fixture->state, &begin, &err), MR_OK);
    }
    assert_int_equal(mr_state_lease(fixture->state, "k", "new", &lease, &fence, &err), MR_OK);
    assert_int_equal(mr_state_run(fixture->state, "old", &fixture->arena, &row, &err), MR_OK);
    assert_string_equal(row->status, "killed");
    assert_int_equal(mr_state_run(fixture->state, "new", &fixture->arena, &row, &err), MR_OK);
    assert_string_equal(row->status, "running");
    mr_lease_release(lease);
    assert_int_equal(mr_state_run(fixture->state, "new", &fixture->arena, &row, &err), MR_OK);
    assert_string_equal(row->status, "killed");
}

/* --- fences --- */

/* Every write of a holder whose lease another has taken is refused, for good, and changes nothing. */
static void check_fenced(struct mr_lease *lease)
{
    struct mr_epoch_record record = sample();
    struct mr_note note = {.epoch = 1, .name = "n", .bytes = {"late", 4}};
    struct mr_error errs[4] = {0};
    assert_int_equal(mr_lease_check(lease, &errs[0]), MR_BUSY);
    assert_int_equal(mr_state_store_epoch(lease, &record, &errs[1]), MR_BUSY);
    assert_int_equal(mr_state_put_note(lease, MR_NOTE_DONE, &note, &errs[2]), MR_BUSY);
    assert_int_equal(mr_state_drop_notes(lease, MR_NOTE_DONE, 9, &errs[3]), MR_BUSY);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(errs[i].cls, MR_CLASS_FATAL);
        assert_non_null(strstr(errs[i].message, "fenced: run run-b took the pipeline k over"));
    }
}

static void stale_holder_is_fenced(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_state *other = NULL;
    struct mr_lease *first = NULL, *second = NULL;
    struct mr_epoch_record record = sample(), read;
    struct mr_note note = {.epoch = 1, .name = "n", .bytes = {"early", 5}}, *notes = NULL;
    int64_t fence, next;
    int count;
    assert_int_equal(mr_state_lease(fixture->state, "k", "run-a", &first, &fence, &err), MR_OK);
    assert_int_equal(mr_lease_check(first, &err), MR_OK);
    assert_int_equal(mr_state_put_note(first, MR_NOTE_DONE, &note, &err), MR_OK);
    let_go(fixture);
    assert_int_equal(open_state(fixture, &other, &err), MR_OK);
    assert_int_equal(mr_state_lease(other, "k", "run-b", &second, &next, &err), MR_OK);
    assert_true(next > fence);
    check_fenced(first);
    assert_int_equal(mr_lease_check(second, &err), MR_OK);
    assert_int_equal(mr_state_load_epoch(other, "k", 2, &fixture->arena, &read, &err), MR_OK);
    assert_int_equal(read.phase, MR_EPOCH_NONE);
    assert_int_equal(mr_state_notes(other, "k", MR_NOTE_DONE, -1, &fixture->arena, &notes, &count,
                                    &err),
                     MR_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(notes[0].bytes.data, "early", 5);
    /* What the old holder lets go of is not the new one's. */
    mr_lease_release(first);
    assert_int_equal(mr_state_store_epoch(second, &record, &err), MR_OK);
    mr_lease_release(second);
    mr_state_close(other);
}

/* --- notes --- */

static void put(struct mr_lease *lease, enum mr_note_kind kind, int64_t epoch, const char *name,
                const char *text)
{
    struct mr_error err = {0};
    struct mr_note note = {.epoch = epoch, .name = name, .bytes = mr_slice_of(text)};
    assert_int_equal(mr_state_put_note(lease, kind, &note, &err), MR_OK);
}

/* "epoch/name=bytes epoch/name=bytes .." */
static const char *list(struct fixture *fixture, enum mr_note_kind kind, int64_t epoch)
{
    static char text[256];
    struct mr_error err = {0};
    struct mr_note *notes = NULL;
    int count = 0;
    size_t used = 0;
    assert_int_equal(mr_state_notes(fixture->state, "k", kind, epoch, &fixture->arena, &notes,
                                    &count, &err),
                     MR_OK);
    text[0] = '\0';
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d/%s=%.*s", i ? " " : "",
                                 (int)notes[i].epoch, notes[i].name, (int)notes[i].bytes.size,
                                 notes[i].bytes.data);
    return text;
}

static void notes_are_kept(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL, *other = NULL;
    int64_t fence;
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    assert_int_equal(mr_state_lease(fixture->state, "k2", "r", &other, &fence, &err), MR_OK);
    assert_string_equal(list(fixture, MR_NOTE_DONE, -1), "");
    put(lease, MR_NOTE_DONE, 2, "b", "1");
    put(lease, MR_NOTE_DONE, 10, "a", "2");
    put(lease, MR_NOTE_DONE, 2, "a", "it's");
    put(lease, MR_NOTE_DONE, 2, "B", "");
    put(lease, MR_NOTE_DONE, 2, "a", "3\\4");
    put(lease, MR_NOTE_CONTENT, 2, "a", "5");
    put(other, MR_NOTE_DONE, 2, "a", "6");
    assert_string_equal(list(fixture, MR_NOTE_DONE, -1), "2/B= 2/a=3\\4 2/b=1 10/a=2");
    assert_string_equal(list(fixture, MR_NOTE_DONE, 10), "10/a=2");
    assert_string_equal(list(fixture, MR_NOTE_DONE, 3), "");
    assert_int_equal(mr_state_drop_notes(lease, MR_NOTE_DONE, 2, &err), MR_OK);
    assert_string_equal(list(fixture, MR_NOTE_DONE, -1), "10/a=2");
    assert_string_equal(list(fixture, MR_NOTE_CONTENT, -1), "2/a=5");
    mr_lease_release(lease);
    mr_lease_release(other);
}

static void put_named(struct mr_lease *lease, enum mr_note_kind kind, int64_t epoch,
                      const char *name)
{
    struct mr_error err = {0};
    struct mr_note note = {.epoch = epoch, .name = name, .bytes = {"old", 3}};
    assert_int_equal(mr_state_put_note(lease, kind, &note, &err), MR_OK);
}

/* A record and what becomes of the notes with it: both, or under a lease that is lost neither. */
static void notes_change_with_a_record(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_epoch_record record = sample();
    struct mr_lease *lease = NULL, *next = NULL;
    int64_t fence;
    struct mr_note_change changes[] = {
        {MR_NOTE_KEPT, 2, {2, "a", {"new", 3}}},
        {MR_NOTE_CONTENT, 3, {.name = NULL}},
        {MR_NOTE_DONE, 9, {7, "z", {"", 0}}},
    };
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    for (int epoch = 1; epoch <= 3; epoch++) {
        put_named(lease, MR_NOTE_KEPT, epoch, "a");
        put_named(lease, MR_NOTE_KEPT, epoch, "b");
        put_named(lease, MR_NOTE_CONTENT, epoch, "a");
    }
    put_named(lease, MR_NOTE_CHECKPOINT, 5, "a");
    assert_int_equal(mr_state_store_epoch_and(lease, &record, changes, 3, &err), MR_OK);
    assert_string_equal(list(fixture, MR_NOTE_KEPT, -1), "1/a=old 1/b=old 2/a=new");
    assert_string_equal(list(fixture, MR_NOTE_CONTENT, -1), "1/a=old 2/a=old");
    assert_string_equal(list(fixture, MR_NOTE_DONE, -1), "7/z=");
    assert_string_equal(list(fixture, MR_NOTE_CHECKPOINT, -1), "5/a=old");
    holds_sample(fixture);
    let_go(fixture);
    assert_int_equal(mr_state_lease(fixture->state, "k", "other", &next, &fence, &err), MR_OK);
    changes[0].from = changes[1].from = 0;
    record.epoch++;
    assert_int_equal(mr_state_store_epoch_and(lease, &record, changes, 3, &err), MR_BUSY);
    assert_string_equal(list(fixture, MR_NOTE_KEPT, -1), "1/a=old 1/b=old 2/a=new");
    holds_sample(fixture);
    mr_lease_release(lease);
    mr_lease_release(next);
}

/* Many in one call, names without bytes, and one by itself; names may hold anything. */
static void many_notes(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    struct mr_note *names = NULL, one;
    int64_t fence;
    int count = 0;
    struct mr_note notes[] = {{3, "a, b|0", {"x\0y", 3}},
                              {3, "it's \"{\\}\" NULL", {"\\x00", 4}},
                              {4, "", {"", 0}},
                              {5, "a, b|0", {"z", 1}}};
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    assert_int_equal(mr_state_put_notes(lease, MR_NOTE_KEPT, notes, 0, &err), MR_OK);
    if (mr_state_put_notes(lease, MR_NOTE_KEPT, notes, 4, &err) != MR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mr_state_note_names(fixture->state, "k", MR_NOTE_KEPT, &fixture->arena, &names,
                                         &count, &err),
                     MR_OK);
    assert_int_equal(count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(names[i].epoch, notes[i].epoch);
        assert_string_equal(names[i].name, notes[i].name);
        assert_int_equal(names[i].bytes.size, 0);
        assert_int_equal(mr_state_note(fixture->state, "k", MR_NOTE_KEPT, names[i].epoch,
                                       names[i].name, &fixture->arena, &one, &err),
                         MR_OK);
        assert_true(mr_slice_equal(one.bytes, notes[i].bytes));
    }
    assert_int_equal(mr_state_note(fixture->state, "k", MR_NOTE_KEPT, 9, "a", &fixture->arena, &one,
                                   &err),
                     MR_INTERNAL);
    assert_int_equal(mr_state_drop_notes_from(lease, MR_NOTE_KEPT, 5, &err), MR_OK);
    assert_int_equal(mr_state_drop_notes(lease, MR_NOTE_KEPT, 3, &err), MR_OK);
    assert_string_equal(list(fixture, MR_NOTE_KEPT, -1), "4/=");
    mr_lease_release(lease);
}

/* A sealed note is noticed when any bit of it is not what it was, or when it lies in another's place. */
static void damaged_note_is_noticed(void **out)
{
    struct mr_bytes bytes;
    struct mr_note note = {.epoch = 5, .name = "part 1", .bytes = {"x\0y", 3}};
    (void)out;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_note_encode(MR_NOTE_DONE, &note, &bytes);
    struct mr_note sealed = note;
    sealed.bytes = (struct mr_slice){bytes.data, bytes.size};
    struct mr_note read = sealed;
    assert_true(mr_note_unseal(MR_NOTE_DONE, &read));
    assert_int_equal(read.bytes.size, 3);
    assert_memory_equal(read.bytes.data, "x\0y", 3);
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.data[i / 8] ^= (char)(1 << (i % 8));
        read = sealed;
        assert_false(mr_note_unseal(MR_NOTE_DONE, &read));
        bytes.data[i / 8] ^= (char)(1 << (i % 8));
    }
    for (size_t size = 0; size < bytes.size; size++) {
        read = sealed;
        read.bytes.size = size;
        assert_false(mr_note_unseal(MR_NOTE_DONE, &read));
    }
    read = sealed;
    assert_false(mr_note_unseal(MR_NOTE_CONTENT, &read));
    read = sealed;
    read.epoch = 6;
    assert_false(mr_note_unseal(MR_NOTE_DONE, &read));
    read = sealed;
    read.name = "part 2";
    assert_false(mr_note_unseal(MR_NOTE_DONE, &read));
    mr_bytes_reset(&bytes);
}

/* --- threads --- */

struct writer {
    struct mr_lease *lease;
    int number;
    enum mr_status status;
};

static void *write_notes(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < 20 && writer->status == MR_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d-%02d", writer->number, i);
        struct mr_note note = {.epoch = 1, .name = name, .bytes = {name, 4}};
        writer->status = mr_state_put_note(writer->lease, MR_NOTE_DONE, &note, NULL);
    }
    return NULL;
}

static void threads_may_write(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct writer writers[4];
    pthread_t threads[4];
    struct mr_lease *lease = NULL;
    struct mr_note *notes = NULL;
    int64_t fence;
    int count = 0;
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    for (int i = 0; i < 4; i++) {
        writers[i] = (struct writer){.lease = lease, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_notes, &writers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].status, MR_OK);
    }
    assert_int_equal(mr_state_notes(fixture->state, "k", MR_NOTE_DONE, 1, &fixture->arena, &notes,
                                    &count, &err),
                     MR_OK);
    assert_int_equal(count, 80);
    mr_lease_release(lease);
}

/* --- what only the directory has --- */

static void run_sql(const struct fixture *fixture, const char *sql)
{
    char path[96];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/state.db", fixture->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Looking at a directory reads what is there and takes no lease; at one that is not there it makes none. */
static void looking_changes_nothing(void **out)
{
    struct fixture *fixture = *out;
    struct mr_state *state = NULL;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    struct mr_epoch_record record = sample(), read;
    struct mr_state_config config = {.directory = fixture->directory, .read_only = true};
    int64_t fence;
    char path[96];
    store(fixture, "k", &record);
    for (int closed = 0; closed < 2;
         closed++) { /* with the log of another connection, and without */
        assert_int_equal(mr_state_open(&config, &state, &err), MR_OK);
        assert_int_equal(mr_state_load_epoch(state, "k", 2, &fixture->arena, &read, &err), MR_OK);
        check_sample(&read);
        assert_int_not_equal(mr_state_lease(state, "k", "r", &lease, &fence, &err), MR_OK);
        mr_state_close(state);
        mr_state_close(fixture->state);
        fixture->state = NULL;
    }
    snprintf(path, sizeof path, "%s/nothing", fixture->directory);
    config.directory = path;
    assert_int_equal(mr_state_open(&config, &state, &err), MR_CONFIG);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* A directory without a state, and one whose first start was killed before it had made all of it, hold nothing. */
static void looking_at_nothing(void **out)
{
    struct fixture *fixture = *out;
    struct mr_state_config config = {.directory = fixture->directory, .read_only = true};
    char path[96];
    mr_state_close(fixture->state);
    fixture->state = NULL;
    snprintf(path, sizeof path, "%s/state.db", fixture->directory);
    for (int made = 0; made < 3; made++) {
        struct mr_state *state = NULL;
        struct mr_error err = {0};
        struct mr_epoch_record read;
        assert_int_equal(unlink(path), 0);
        if (made > 0)
            run_sql(fixture, made == 1 ? "PRAGMA user_version = 0" : "CREATE TABLE runs(a)");
        else
            assert_int_not_equal(access(path, F_OK), 0);
        assert_int_equal(mr_state_open(&config, &state, &err), MR_OK);
        assert_int_equal(mr_state_load_epoch(state, "k", 0, &fixture->arena, &read, &err), MR_OK);
        assert_int_equal(read.phase, MR_EPOCH_NONE);
        mr_state_close(state);
        if (made == 0)
            run_sql(fixture, "PRAGMA user_version = 0");
    }
}

/* The record of an older version has no maker. */
static void older_records_are_read(void **out)
{
    struct fixture *fixture = *out;
    struct mr_epoch_record record = sample(), read;
    struct mr_bytes now, before;
    mr_bytes_init(&now, 4096);
    mr_bytes_init(&before, 4096);
    mr_epoch_record_encode(&record, 0, &now);
    size_t flags = 4 + 1, maker = flags + 1 + 1 + 8 + 1 + strlen(record.run_id);
    assert_int_equal(now.data[flags], 1);
    assert_int_equal(now.data[maker], 0);
    for (int version = 2; version <= 3; version++) {
        size_t rest = version == 2 ? maker + 1 : maker;
        mr_bytes_clear(&before);
        mr_bytes_printf(&before, "MRE%d", version);
        mr_bytes_append(&before, now.data + 4, flags - 4);
        mr_bytes_append(&before, now.data + flags + 1, maker - flags - 1);
        mr_bytes_append(&before, now.data + rest, now.size - rest - 4);
        mr_bytes_seal(&before, 0);
        assert_true(mr_epoch_record_decode((struct mr_slice){before.data, before.size},
                                           &fixture->arena, &read));
        assert_false(read.stream);
        read.stream = true;
        check_sample(&read);
        assert_string_equal(read.maker, "");
    }
    mr_bytes_reset(&now);
    mr_bytes_reset(&before);
}

/* The record of store(), and no notes. Closes the state. */
static void holds_sample_alone(struct fixture *fixture)
{
    holds_sample(fixture);
    assert_string_equal(list(fixture, MR_NOTE_DONE, -1), "");
    mr_state_close(fixture->state);
    fixture->state = NULL;
}

/* A directory of version 1 keeps what it holds and gets notes; a newer one is refused. */
static void old_directory_is_upgraded(void **out)
{
    struct fixture *fixture = *out;
    struct mr_epoch_record record = sample();
    struct mr_error err = {0};
    store(fixture, "k", &record);
    mr_state_close(fixture->state);
    fixture->state = NULL;
    run_sql(fixture, "DROP TABLE notes; DROP INDEX runs_key; ALTER TABLE runs DROP COLUMN run_key;"
                     " UPDATE identity SET version = 1;");
    struct mr_state_config config = {.directory = fixture->directory, .read_only = true};
    assert_int_equal(mr_state_open(&config, &fixture->state, &err), MR_OK);
    holds_sample_alone(fixture);
    assert_int_equal(open_state(fixture, &fixture->state, &err), MR_OK);
    holds_sample_alone(fixture);
    run_sql(fixture, "UPDATE identity SET version = version + 1;");
    assert_int_equal(open_state(fixture, &fixture->state, &err), MR_CONFIG);
    assert_non_null(strstr(err.message, "newer version (4)"));
}

/* Damage is an error and never the record before it. */
static void damage_is_no_fallback(void **out)
{
    struct fixture *fixture = *out;
    struct mr_epoch_record record = sample(), read;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    struct mr_note *notes = NULL;
    int64_t fence;
    int count = 0;
    store(fixture, "k", &record);
    store(fixture, "k", &record);
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    put(lease, MR_NOTE_DONE, 2, "a", "1");
    mr_lease_release(lease);
    if (fixture->postgres)
        run_on_server("UPDATE millrace.lanes SET record = set_byte(record, 20,"
                      " get_byte(record, 20) # 1); UPDATE millrace.notes SET name = 'b'");
    else
        run_sql(fixture, "UPDATE lanes SET record = substr(record, 1, 20) || x'00' ||"
                         " substr(record, 22); UPDATE notes SET name = 'b';");
    assert_int_equal(mr_state_load_epoch(fixture->state, "k", 2, &fixture->arena, &read, &err),
                     MR_INTERNAL);
    assert_int_equal(err.cls, MR_CLASS_FATAL);
    assert_int_equal(read.phase, MR_EPOCH_NONE);
    assert_int_equal(mr_state_notes(fixture->state, "k", MR_NOTE_DONE, -1, &fixture->arena, &notes,
                                    &count, &err),
                     MR_INTERNAL);
    assert_int_equal(count, 0);
}

/* --- what only the server has --- */

/* A connection that breaks at any moment, also while a write is under way, is nothing that a caller notices. */
static void lost_connection_is_mended(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    int64_t fence;
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    for (int i = 0; i < 10; i++) {
        char name[8], text[8];
        snprintf(name, sizeof name, "n%d", i);
        snprintf(text, sizeof text, "%d", i);
        run_on_server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'");
        put(lease, MR_NOTE_DONE, 1, name, text);
    }
    assert_string_equal(list(fixture, MR_NOTE_DONE, 1),
                        "1/n0=0 1/n1=1 1/n2=2 1/n3=3 1/n4=4 1/n5=5 1/n6=6 1/n7=7 1/n8=8 1/n9=9");
    mr_lease_release(lease);
}

/* A reply that is lost: the write was done once, and its repetition says so. */
static void lost_reply_is_settled(void **out)
{
    struct fixture *fixture = *out;
    struct mr_epoch_record record = sample(), read;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    int64_t fence;
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    /* As if write 1 had been done and its reply lost. */
    run_on_server("UPDATE millrace.leases SET written = 1");
    assert_int_equal(mr_state_store_epoch(lease, &record, &err), MR_OK);
    assert_int_equal(mr_state_load_epoch(fixture->state, "k", 2, &fixture->arena, &read, &err),
                     MR_OK);
    assert_int_equal(read.phase, MR_EPOCH_NONE);
    assert_int_equal(mr_state_store_epoch(lease, &record, &err), MR_OK);
    holds_sample(fixture);
    /* A write of another that counts with our fence cannot be. */
    run_on_server("UPDATE millrace.leases SET written = 99");
    assert_int_equal(mr_state_store_epoch(lease, &record, &err), MR_INTERNAL);
    mr_lease_release(lease);
}

/* A holder that is gone without a word: its lease runs out. One that lets go leaves it at once. */
static void dead_holder_runs_out(void **out)
{
    struct fixture *fixture = *out;
    struct mr_error err = {0};
    struct mr_lease *lease = NULL;
    int64_t fence, next;
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    mr_lease_release(lease);
    run_on_server("UPDATE millrace.leases SET run_id = 'dead',"
                  " expires = clock_timestamp() + interval '300 ms'");
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &next, &err), MR_OK);
    assert_int_equal(next, fence + 1);
    mr_lease_release(lease);
    assert_int_equal(mr_state_lease(fixture->state, "k", "r", &lease, &fence, &err), MR_OK);
    assert_int_equal(fence, next + 1);
    mr_lease_release(lease);
}

static const char start_script[] =
    "set -e; bin=$(dirname $(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)); d=%s;"
    " as=; if [ $(id -u) = 0 ]; then chown postgres $d; as='runuser -u postgres --'; fi; cd $d;"
    " $as $bin/initdb -D $d/data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >log 2>&1;"
    " $as $bin/pg_ctl -D $d/data -l $d/server.log -w -o \"-k $d -c listen_addresses='' -c "
    "fsync=off\""
    " start >/dev/null 2>&1 </dev/null";
static const char stop_script[] =
    "bin=$(dirname $(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)); d=%s;"
    " as=; if [ $(id -u) = 0 ]; then as='runuser -u postgres --'; fi; cd $d;"
    " $as $bin/pg_ctl -D $d/data -m immediate -w stop >/dev/null 2>&1; cd /; rm -rf $d";

static int run_script(const char *script)
{
    char command[1024];
    snprintf(command, sizeof command, script, server.directory);
    return system(command);
}

/* A directory that cannot be used is a configuration error that names it. */
static void bad_directory(void **out)
{
    struct fixture *fixture = *out;
    struct mr_state *state = NULL;
    struct mr_error err = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/state.db/below", fixture->directory);
    assert_int_equal(mr_state_open(&(struct mr_state_config){.directory = path}, &state, &err),
                     MR_CONFIG);
    assert_non_null(strstr(err.message, "state.db"));
    assert_null(state);
}

#define EITHER(test, set_up)                                                                       \
    {                                                                                              \
#test, test, set_up, tear_down, NULL                                                       \
    }
#define BOTH(set_up)                                                                               \
    EITHER(epoch_is_stored, set_up), EITHER(opened_by_several_at_once, set_up),                    \
        EITHER(lease_is_exclusive, set_up), EITHER(runs_are_listed, set_up),                       \
        EITHER(run_keys_are_found, set_up), EITHER(killed_runs_are_told, set_up),                  \
        EITHER(stale_holder_is_fenced, set_up), EITHER(notes_are_kept, set_up),                    \
        EITHER(many_notes, set_up), EITHER(notes_change_with_a_record, set_up),                    \
        EITHER(threads_may_write, set_up), EITHER(damage_is_no_fallback, set_up)

int main(void)
{
    const struct CMUnitTest directory_tests[] = {
        cmocka_unit_test_setup_teardown(record_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_note_is_noticed, set_up, tear_down),
        BOTH(set_up),
        cmocka_unit_test_setup_teardown(old_directory_is_upgraded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looking_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looking_at_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(older_records_are_read, set_up, tear_down),
    };
    const struct CMUnitTest server_tests[] = {
        BOTH(set_up_postgres),
        cmocka_unit_test_setup_teardown(lost_connection_is_mended, set_up_postgres, tear_down),
        cmocka_unit_test_setup_teardown(lost_reply_is_settled, set_up_postgres, tear_down),
        cmocka_unit_test_setup_teardown(dead_holder_runs_out, set_up_postgres, tear_down),
    };
    int failed = cmocka_run_group_tests(directory_tests, NULL, NULL);
    strcpy(server.directory, "/tmp/mr-state-pg-XXXXXX");
    if (!mkdtemp(server.directory))
        return 1;
    server.keywords[0] = "host", server.values[0] = server.directory;
    server.keywords[1] = "user", server.values[1] = "postgres";
    server.keywords[2] = "dbname", server.values[2] = "postgres";
    server.keywords[3] = "client_encoding", server.values[3] = "UTF8";
    if (run_script(start_script) == 0)
        failed += cmocka_run_group_tests(server_tests, NULL, NULL);
    else
        printf("no PostgreSQL server could be started: its tests are skipped\n");
    if (run_script(stop_script) != 0)
        failed++;
    return failed;
}
