/*
 * test_kept.c - what operators keep: saved, restored, thrown away, refused.
 *
 * The plan is made by hand: two toys that count by key, of one step, each with a plan of its own in every epoch. The model is an array.
 */
#include "run/kept.h"

#include "col/builder.h"
#include "ext/kept.h"
#include "ext/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codecs.h"

#define KEYS   400000
#define EPOCHS 130

/* ---- the toy ---- */

struct counts {
    const struct mr_schema *schema;
    struct mr_runtime *runtime;
    int keys; /* that there may be */
    int64_t *values;
    bool *changed;
    bool fail;
};

static int opened, closed;

static enum mr_status counts_open(void *plan, struct mr_runtime *runtime, int64_t share,
                                  void **kept, struct mr_error *err)
{
    (void)err;
    assert_int_equal(share, mr_memory_available(runtime->memory) / 4 / 2);
    struct counts *self = calloc(1, sizeof *self);
    self->schema = plan;
    self->runtime = runtime;
    self->keys = KEYS;
    self->values = calloc(KEYS, sizeof *self->values);
    self->changed = calloc(KEYS, sizeof *self->changed);
    *kept = self;
    opened++;
    return MR_OK;
}

static enum mr_status counts_restore(void *kept, struct mr_batch *rows, struct mr_error *err)
{
    struct counts *self = kept;
    for (int64_t i = 0; i < rows->rows; i++) {
        struct mr_value key, value;
        mr_column_get(rows->columns[0], i, &key);
        mr_column_get(rows->columns[1], i, &value);
        if (key.is_null || key.u.i64 < 0 || key.u.i64 >= KEYS)
            return mr_error_internal(err, "no such key");
        self->values[key.u.i64] = value.u.i64;
    }
    return MR_OK;
}

static enum mr_status counts_save(void *kept, bool everything, struct mr_emit *emit,
                                  struct mr_error *err)
{
    struct counts *self = kept;
    struct mr_builder builders[3];
    struct mr_column *columns[3] = {NULL, NULL, NULL};
    struct mr_batch *batch;
    char text[32];
    int rows = 0;
    if (self->fail)
        return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT, "toy save failed");
    for (int c = 0; c < 3; c++)
        MR_TRY(mr_builder_init(&builders[c], self->runtime->memory, self->schema->fields[c].type,
                               err));
    for (int k = 0; k < self->keys; k++) {
        if (everything ? self->values[k] == 0 : !self->changed[k])
            continue;
        self->changed[k] = false;
        rows++;
        MR_TRY(mr_builder_int(&builders[0], k, err));
        MR_TRY(mr_builder_int(&builders[1], self->values[k], err));
        snprintf(text, sizeof text, "key %d", k % 7);
        MR_TRY(mr_builder_bytes(&builders[2], text, strlen(text), err));
    }
    for (int c = 0; c < 3; c++) {
        MR_TRY(mr_builder_finish(&builders[c], &columns[c], err));
        mr_builder_reset(&builders[c]);
    }
    MR_TRY(mr_batch_new(self->schema, rows, columns, &batch, err));
    return emit->batch(emit, 0, batch, err);
}

static void counts_close(void *kept)
{
    struct counts *self = kept;
    free(self->values);
    free(self->changed);
    free(self);
    closed++;
}

static const struct mr_keeper counts_keeper = {
    .open = counts_open,
    .restore = counts_restore,
    .save = counts_save,
    .close = counts_close,
};
static const struct mr_op toy = {.name = "toy", .flags = MR_OP_BREAKER, .keeper = &counts_keeper};

/* ---- a stream ---- */

static const struct mr_option step_options[] = {
    {.name = "size", .type = MR_OPTION_INT, .fallback = "1"}, MR_OPTION_END};
static const struct mr_method method = {.name = "toyCount", .type = MR_STEP_TRANSFORM, .op = &toy};
static const struct mr_codec *const codecs[] = {&mr_codec_lz4, NULL};
static const struct mr_registry registry = {.codecs = codecs};

struct stream {
    char directory[64];
    struct mr_arena arena; /* of the fixture */
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_runtime runtime;
    atomic_int_fast64_t pieces;
    struct mr_state *state;
    struct mr_lease *lease;
    struct mr_step_spec step;
    const char *schema;
    struct mr_kept *kept;
    struct mr_plan *plan;
    struct mr_arena plan_arena;
    int64_t committed;
    int64_t *model; /* of both toys */
};

static const char *const schema_text = "k BIGINT NOT NULL, n BIGINT, t STRING";

static void open_state(struct stream *stream)
{
    struct mr_error err = {0};
    int64_t fence;
    struct mr_state_config config = {.directory = stream->directory};
    if (mr_state_open(&config, &stream->state, &err) != MR_OK ||
        mr_state_lease(stream->state, "k", "run", &stream->lease, &fence, &err) != MR_OK)
        fail_msg("%s", err.message);
    struct mr_kept_place place = {stream->state, stream->lease, "k", &registry, &stream->runtime};
    assert_int_equal(mr_kept_new(&place, &stream->kept, &err), MR_OK);
}

static void drop_plan(struct stream *stream)
{
    if (stream->plan != NULL && !mr_kept_takes(stream->kept, stream->plan, &stream->plan_arena)) {
        mr_plan_free(stream->plan);
        mr_arena_reset(&stream->plan_arena);
    }
    stream->plan = NULL;
}

static void close_state(struct stream *stream)
{
    drop_plan(stream);
    mr_kept_free(stream->kept);
    mr_lease_release(stream->lease);
    mr_state_close(stream->state);
}

/* As a kill and a start do. */
static void restart(struct stream *stream)
{
    close_state(stream);
    open_state(stream);
}

static int set_up(void **out)
{
    struct stream *stream = calloc(1, sizeof *stream);
    struct mr_error err = {0};
    strcpy(stream->directory, "mr-kept-XXXXXX");
    assert_non_null(mkdtemp(stream->directory));
    mr_arena_init(&stream->arena, NULL);
    mr_memory_init(&stream->memory, NULL, "test", INT64_MAX);
    stream->model = calloc(2 * KEYS, sizeof *stream->model);
    const struct mr_options *options;
    assert_int_equal(mr_options_from_texts(&stream->arena, step_options,
                                           (const char *const[]){NULL}, &options, &err),
                     MR_OK);
    stream->step = (struct mr_step_spec){.key = "count|it", /* any name of a step will do */
                                         .label = "step 2 (toyCount)",
                                         .method = &method,
                                         .method_name = "toyCount",
                                         .type = MR_STEP_TRANSFORM,
                                         .options = options};
    stream->schema = schema_text;
    stream->runtime.pieces = &stream->pieces;
    opened = closed = 0;
    open_state(stream);
    *out = stream;
    return 0;
}

static int tear_down(void **out)
{
    struct stream *stream = *out;
    char command[128];
    close_state(stream);
    assert_int_equal(opened, closed);
    assert_int_equal(mr_memory_used(&stream->memory), 0);
    mr_arena_reset(&stream->arena);
    snprintf(command, sizeof command, "rm -rf %s", stream->directory);
    assert_int_equal(system(command), 0);
    free(stream->model);
    free(stream);
    return 0;
}

static void plan_epoch(struct stream *stream)
{
    drop_plan(stream);
    mr_arena_init(&stream->plan_arena, NULL);
    struct mr_arena *arena = &stream->plan_arena;
    stream->plan = mr_arena_calloc(arena, 1, sizeof *stream->plan);
    stream->plan->arena = arena;
    stream->plan->nnodes = 2;
    stream->plan->nodes = mr_arena_calloc(arena, 2, sizeof *stream->plan->nodes);
    for (int i = 0; i < 2; i++) {
        struct mr_plan_node *node = &stream->plan->nodes[i];
        const struct mr_schema *schema;
        struct mr_error err;
        assert_int_equal(mr_schema_parse(arena, stream->schema, &schema, &err), MR_OK);
        struct mr_runtime *runtime = mr_arena_calloc(arena, 1, sizeof *runtime);
        runtime->memory = &stream->memory;
        runtime->counters = &stream->counters;
        *node = (struct mr_plan_node){.id = i,
                                      .kind = MR_PLAN_OP,
                                      .step = &stream->step,
                                      .label = "step 2 (toyCount)",
                                      .runtime = runtime,
                                      .op = &toy,
                                      .op_plan = (void *)(uintptr_t)schema,
                                      .op_info = {.kept = schema}};
    }
}

static struct counts *counts_of(const struct stream *stream, int part)
{
    return stream->plan->nodes[part].runtime->kept;
}

static enum mr_status begin(struct stream *stream, struct mr_error *err)
{
    plan_epoch(stream);
    return mr_kept_begin(stream->kept, stream->plan, stream->committed, 1000, err);
}

static void add(struct stream *stream, int part, int key, int64_t by)
{
    struct counts *counts = counts_of(stream, part);
    counts->values[key] += by;
    counts->changed[key] = true;
    stream->model[part * KEYS + key] += by;
}

static void save(struct stream *stream)
{
    struct mr_error err = {0};
    if (mr_kept_save(stream->kept, stream->committed + 1, &err) != MR_OK)
        fail_msg("%s", err.message);
}

static void commit(struct stream *stream)
{
    save(stream);
    stream->committed++;
    mr_kept_committed(stream->kept, stream->committed);
}

static void must_begin(struct stream *stream)
{
    struct mr_error err = {0};
    if (begin(stream, &err) != MR_OK)
        fail_msg("%s", err.message);
    for (int part = 0; part < 2; part++)
        assert_memory_equal(counts_of(stream, part)->values, stream->model + part * KEYS,
                            KEYS * sizeof(int64_t));
}

static int count_notes(struct stream *stream)
{
    struct mr_error err = {0};
    struct mr_note *notes;
    int count = 0;
    assert_int_equal(mr_state_note_names(stream->state, "k", MR_NOTE_KEPT, &stream->arena, &notes,
                                         &count, &err),
                     MR_OK);
    return count;
}

/* ---- tests ---- */

/* Killed and started again behind every epoch, in every place an epoch can be in. */
static void restored_at_each_epoch(void **out)
{
    struct stream *stream = *out;
    unsigned random = 7;
    int most = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        must_begin(stream);
        for (int i = 0; i < 5; i++) {
            random = random * 1103515245 + 12345;
            if (epoch % 10 != 3) /* some change nothing */
                add(stream, (int)(random >> 16) & 1, (int)((random >> 17) % 50), 1 + epoch);
        }
        commit(stream);
        int notes = count_notes(stream);
        most = notes > most ? notes : most;
        if (epoch % 3 == 0)
            restart(stream);
    }
    /* Everything was saved again from time to time. */
    assert_in_range(most, 50, 2 * 110 + 5);
}

/* What an epoch saved that was not committed counts for nothing, whoever looks. */
static void not_committed(void **out)
{
    struct stream *stream = *out;
    must_begin(stream);
    add(stream, 0, 1, 10);
    commit(stream);
    for (int way = 0; way < 2; way++) {
        must_begin(stream);
        counts_of(stream, 0)->values[1] = 99;
        counts_of(stream, 0)->changed[1] = true;
        counts_of(stream, 1)->values[2] = 99;
        counts_of(stream, 1)->changed[2] = true;
        save(stream);
        if (way == 0)
            mr_kept_discard(stream->kept);
        else
            restart(stream);
    }
    must_begin(stream);
    struct mr_error err = {0};
    counts_of(stream, 0)->fail = true;
    assert_int_equal(mr_kept_save(stream->kept, 2, &err), MR_SINK);
    assert_string_equal(err.where, "step 2 (toyCount)");
    mr_kept_discard(stream->kept);
    must_begin(stream);
}

/* Much in several pieces; changes that outgrow what was saved. */
static void large(void **out)
{
    struct stream *stream = *out;
    must_begin(stream);
    for (int key = 0; key < KEYS; key++)
        add(stream, 0, key, 1 + key % 1000);
    commit(stream);
    assert_in_range(count_notes(stream), 4, 40); /* base, both toys, in pieces of 4 MB */
    int before = count_notes(stream);
    assert_true(atomic_load(&stream->pieces) >= before); /* somebody who watches sees each */
    for (int epoch = 0; epoch < 4; epoch++) {
        must_begin(stream);
        for (int key = 0; key < KEYS; key++)
            add(stream, 0, key, 1);
        commit(stream);
    }
    assert_in_range(count_notes(stream), before, 4 * before);
    restart(stream);
    int64_t pieces = atomic_load(&stream->pieces);
    must_begin(stream);
    assert_true(atomic_load(&stream->pieces) >= pieces + before - 1); /* all but the base */
}

/* Together with some record. */
static void change(struct stream *stream, struct mr_note_change change)
{
    struct mr_error err = {0};
    struct mr_epoch_record record = {.phase = MR_EPOCH_COMMITTED,
                                     .epoch = stream->committed,
                                     .run_id = "",
                                     .maker = "",
                                     .fingerprint = ""};
    assert_int_equal(mr_state_store_epoch_and(stream->lease, &record, &change, 1, &err), MR_OK);
}

static void refused(struct stream *stream, const char *what)
{
    struct mr_error err = {0};
    assert_int_equal(begin(stream, &err), MR_CONFIG);
    assert_non_null(strstr(err.message, what));
    assert_non_null(strstr(err.hint, "--fresh"));
}

static void other_options(void **out)
{
    struct stream *stream = *out;
    struct mr_error err = {0};
    const struct mr_options *options = stream->step.options, *others;
    must_begin(stream);
    add(stream, 1, 5, 3);
    commit(stream);
    restart(stream);
    static const char *const pairs[] = {"size", "2", NULL};
    assert_int_equal(mr_options_from_texts(&stream->arena, step_options, pairs, &others, &err),
                     MR_OK);
    stream->step.options = others;
    refused(stream, "its options, or the columns");
    stream->step.options = options;
    stream->schema = "k BIGINT, n BIGINT, t STRING, u INT";
    refused(stream, "its options, or the columns");
    stream->schema = schema_text;
    stream->step.key = "other";
    refused(stream, "\"count|it\" that is gone");
    stream->step.key = "count|it";
    must_begin(stream);
    /* Begun anew, whatever there was. */
    stream->step.options = others;
    /* The mark counts once its epoch does. */
    change(stream, mr_kept_forget(stream->committed + 1));
    restart(stream);
    refused(stream, "its options, or the columns");
    change(stream, mr_kept_forget(++stream->committed));
    memset(stream->model, 0, 2 * KEYS * sizeof *stream->model);
    restart(stream);
    must_begin(stream);
    add(stream, 0, 1, 1);
    commit(stream);
    restart(stream);
    must_begin(stream);
}

/* Epochs that were committed without the step leave nothing that it could go on from. */
static void step_is_new(void **out)
{
    struct stream *stream = *out;
    stream->committed = 4;
    refused(stream, "epochs were committed without it");
}

static void withdrawn(void **out)
{
    struct stream *stream = *out;
    struct mr_note_change withdrawal;
    struct mr_error err = {0};
    /* The first epoch of all. */
    must_begin(stream);
    counts_of(stream, 0)->values[3] = 1;
    save(stream);
    stream->committed++;
    mr_kept_discard(stream->kept);
    assert_int_equal(mr_kept_withdraw(stream->state, "k", 1, 0, &withdrawal, &err), MR_OK);
    change(stream, withdrawal);
    must_begin(stream);
    add(stream, 0, 4, 2);
    commit(stream);
    must_begin(stream);
    counts_of(stream, 0)->values[3] = 1;
    counts_of(stream, 0)->changed[3] = true;
    save(stream);
    mr_kept_discard(stream->kept);
    stream->committed++;
    assert_int_equal(mr_kept_withdraw(stream->state, "k", 3, 2, &withdrawal, &err), MR_OK);
    change(stream, withdrawal);
    restart(stream);
    must_begin(stream);
}

/* Nothing but the note of the withdrawal says whether steps may begin with nothing, so it must not say more than is true. */
static void withdrawn_behind_others(void **out)
{
    struct stream *stream = *out;
    struct mr_note_change withdrawal;
    struct mr_error err = {0};
    /* Epochs that nobody kept anything of: of batch runs, or without the step. */
    stream->committed = 4;
    assert_int_equal(mr_kept_withdraw(stream->state, "k", 5, 4, &withdrawal, &err), MR_OK);
    stream->committed = 5;
    change(stream, withdrawal);
    refused(stream, "epochs were committed without it");
    /* One withdrawal behind the other, from a beginning. */
    change(stream, mr_kept_forget(++stream->committed));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mr_kept_withdraw(stream->state, "k", stream->committed + 1,
                                          stream->committed, &withdrawal, &err),
                         MR_OK);
        stream->committed++;
        change(stream, withdrawal);
    }
    restart(stream);
    must_begin(stream);
    drop_plan(stream);
    mr_kept_discard(stream->kept);
    /* The beginning is past once an epoch is committed, with the step or without. */
    stream->committed++;
    refused(stream, "epochs were committed without it");
    /* What a batch run has committed is missed still. */
    change(stream, mr_kept_forget(++stream->committed));
    int64_t next = stream->committed + 1;
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", next, &err), MR_OK);
    assert_int_equal(mr_kept_withdraw(stream->state, "k", next + 1, next, &withdrawal, &err),
                     MR_OK);
    stream->committed = next + 1;
    change(stream, withdrawal);
    restart(stream);
    refused(stream, "it cannot go on from them");
}

/* What an epoch saved that died does not become true by a batch run that takes its number, nor hide what was kept before. */
static void passed_over_a_dead_epoch(void **out)
{
    struct stream *stream = *out;
    struct mr_error err = {0};
    bool any = false;
    must_begin(stream);
    add(stream, 0, 1, 1);
    commit(stream);
    must_begin(stream);
    for (int key = 0; key < KEYS / 4; key++)
        add(stream, 0, key, 1 + key);
    commit(stream);
    must_begin(stream);
    save(stream); /* everything, for the third epoch */
    restart(stream);
    assert_int_equal(mr_kept_is_any(stream->state, "k", 2, &any, &err), MR_OK);
    assert_true(any);
    int before = count_notes(stream);
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", 3, &err), MR_OK);
    assert_true(count_notes(stream) < before);
    must_begin(stream);
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", 3, &err), MR_OK);
    stream->committed = 3;
    restart(stream);
    refused(stream, "it cannot go on from them");
}

/* A target that is ahead of the state: no step can go on from there, at this start or the next. */
static void adopted(void **out)
{
    struct stream *stream = *out;
    must_begin(stream);
    add(stream, 0, 1, 1);
    commit(stream);
    stream->committed = 4;
    change(stream, mr_kept_miss(4));
    restart(stream);
    refused(stream, "it cannot go on from them");
    restart(stream);
    refused(stream, "it cannot go on from them");
    change(stream, mr_kept_forget(++stream->committed));
    memset(stream->model, 0, 2 * KEYS * sizeof *stream->model);
    must_begin(stream);
    add(stream, 0, 1, 1);
    commit(stream);
    restart(stream);
    must_begin(stream);
}

/* A batch run between streams commits rows that no step keeps; one that fails changes nothing. */
static void passed_over(void **out)
{
    struct stream *stream = *out;
    struct mr_error err = {0};
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", 1, &err), MR_OK);
    must_begin(stream);
    add(stream, 0, 1, 1);
    commit(stream);
    int64_t next = stream->committed + 1;
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", next, &err), MR_OK);
    restart(stream);
    must_begin(stream);
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", next, &err), MR_OK);
    stream->committed = next;
    restart(stream);
    refused(stream, "it cannot go on from them");
    /* Nor is it there if the stream was to begin anew, and has not come to it. */
    change(stream, mr_kept_forget(++next));
    assert_int_equal(mr_kept_pass_over(stream->state, stream->lease, "k", ++next, &err), MR_OK);
    stream->committed = next;
    restart(stream);
    refused(stream, "it cannot go on from them");
}

static void replace_note(struct stream *stream, const char *name, struct mr_slice bytes)
{
    struct mr_error err = {0};
    struct mr_note note = {.epoch = 1, .name = name, .bytes = bytes};
    assert_int_equal(mr_state_put_note(stream->lease, MR_NOTE_KEPT, &note, &err), MR_OK);
}

/* Bytes with the right checksum that are no rows: every prefix, and every byte of it changed. */
static void hostile(void **out)
{
    struct stream *stream = *out;
    struct mr_error err = {0};
    const char *name = "count|it|0|00000000";
    struct mr_note note;
    must_begin(stream);
    for (int i = 0; i < 20; i++)
        add(stream, 0, i, 3);
    commit(stream);
    assert_int_equal(mr_state_note(stream->state, "k", MR_NOTE_KEPT, 1, name, &stream->arena, &note,
                                   &err),
                     MR_OK);
    drop_plan(stream);
    char *bytes = malloc(note.bytes.size);
    for (size_t i = 0; i < note.bytes.size; i += i < 40 ? 2 : 37) {
        replace_note(stream, name, (struct mr_slice){note.bytes.data, i});
        mr_kept_discard(stream->kept);
        assert_int_not_equal(begin(stream, &err), MR_OK);
    }
    for (size_t i = 0; i < note.bytes.size; i += i < 250 ? 2 : 13) {
        memcpy(bytes, note.bytes.data, note.bytes.size);
        bytes[i] ^= (char)(i % 2 ? 0xff : 0x11);
        replace_note(stream, name, (struct mr_slice){bytes, note.bytes.size});
        mr_kept_discard(stream->kept);
        (void)begin(stream, &err); /* it may be well formed: some value is another then */
        err = (struct mr_error){0};
    }
    replace_note(stream, name, note.bytes);
    mr_kept_discard(stream->kept);
    must_begin(stream);
    /* One that says that others follow, and none does: its flags come behind four bytes. */
    memcpy(bytes, note.bytes.data, note.bytes.size);
    bytes[4] &= ~1;
    replace_note(stream, name, (struct mr_slice){bytes, note.bytes.size});
    mr_kept_discard(stream->kept);
    assert_int_equal(begin(stream, &err), MR_INTERNAL);
    assert_non_null(strstr(err.message, "damaged"));
    replace_note(stream, name, note.bytes);
    mr_kept_discard(stream->kept);
    must_begin(stream);
    /* One that is not the next. */
    replace_note(stream, "count|it|0|00000002", note.bytes);
    mr_kept_discard(stream->kept);
    assert_int_equal(begin(stream, &err), MR_INTERNAL);
    assert_non_null(strstr(err.message, "damaged"));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restored_at_each_epoch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(step_is_new, set_up, tear_down),
        cmocka_unit_test_setup_teardown(withdrawn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(withdrawn_behind_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passed_over_a_dead_epoch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(adopted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
