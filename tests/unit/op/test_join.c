/*
 * joinDataFrames against nested loops: every type of key and of join, with any number of tasks, in memory and with
 * shares of memory that leave nothing there.
 */
#include "drive.h"

#include "../col/sample.h"
#include "col/kernel.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BATCHES 4
#define ROWS    150
#define TOTAL   (BATCHES * ROWS)
#define NONE    (-1)

struct side {
    const struct mr_schema *schema;
    struct mr_batch *batches[BATCHES];
    int nbatches;
    struct mr_batch *all;
};

struct fixture {
    struct drive drive;
    struct side left, right;
    struct mr_op_input inputs[2]; /* of the bound join: port 0, port 1 */
    bool swapped;
};

struct pair {
    int64_t left, right;
};

/* The same types under other names: "rid", d0, d1, .. */
static const struct mr_schema *renamed(struct drive *drive, const struct mr_schema *schema)
{
    struct mr_field fields[64];
    for (int i = 0; i < schema->nfields; i++) {
        fields[i] = schema->fields[i];
        fields[i].name = i == 0 ? "rid" : mr_arena_printf(&drive->arena, "d%d", i - 1);
    }
    return mr_schema_new(&drive->arena, fields, schema->nfields);
}

static void fill_side(struct drive *drive, struct side *side, const struct mr_schema *schema,
                      int64_t distinct)
{
    side->schema = schema;
    side->nbatches = BATCHES;
    drive_data(drive, schema, BATCHES, ROWS, distinct, side->batches);
    assert_int_equal(mr_batch_concat(&drive->memory, side->batches, BATCHES, &side->all,
                                     &drive->err),
                     MR_OK);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    drive_init(&f.drive);
    static struct mr_waiter waiter;
    waiter = mr_waiter_plain();
    f.drive.runtime.waiter = &waiter;
    const struct mr_schema *schema = drive_schema(&f.drive);
    fill_side(&f.drive, &f.left, schema, 90);
    fill_side(&f.drive, &f.right, renamed(&f.drive, schema), 60);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    drive_free_data(f->left.batches, BATCHES);
    drive_free_data(f->right.batches, BATCHES);
    mr_batch_unref(f->left.all);
    mr_batch_unref(f->right.all);
    drive_reset(&f->drive);
    return 0;
}

/* ---- the driver of two ports ---- */

static enum mr_status bind_join(struct fixture *f, const char *const *pairs)
{
    struct drive *drive = &f->drive;
    const struct mr_op *op = &mr_op_join_data_frames;
    const struct mr_op_input both[2] = {{"l", f->left.schema, TOTAL},
                                        {"r", f->right.schema, TOTAL}};
    struct mr_op_parts parts = {0};
    struct mr_op_bind bind = {.runtime = &drive->runtime,
                              .arena = &drive->arena,
                              .inputs = both,
                              .ninputs = 2,
                              .ansi = true,
                              .tz = drive->tz};
    MR_TRY(mr_options_from_texts(&drive->arena, op->options, pairs, &bind.options, &drive->err));
    MR_TRY(op->expand(&bind, &parts, &drive->err));
    f->swapped = false;
    memcpy(f->inputs, both, sizeof both);
    if (parts.count > 0) {
        assert_int_equal(parts.count, 1);
        f->swapped = parts.items[0].inputs[0] == -2;
        bind.options = parts.items[0].options;
        f->inputs[0] = both[f->swapped];
        f->inputs[1] = both[!f->swapped];
    }
    bind.inputs = f->inputs;
    drive->op = op;
    drive->info = (struct mr_op_info){.rows = -1};
    return op->bind(&bind, &drive->plan, &drive->info, &drive->err);
}

static enum mr_status collect(struct mr_emit *emit, int port, struct mr_batch *batch,
                              struct mr_error *err);

struct collector {
    struct mr_emit emit;
    struct drive *drive;
};

static enum mr_status collect(struct mr_emit *emit, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct drive *drive = ((struct collector *)(void *)emit)->drive;
    struct mr_batch *dense;
    assert_int_equal(port, 0);
    assert_true(mr_batch_active(batch) > 0);
    for (int c = 0; c < batch->schema->nfields; c++) {
        assert_int_equal(batch->columns[c]->length, batch->rows);
        assert_true(mr_type_equal(batch->columns[c]->type, drive->info.schema->fields[c].type));
        if (mr_column_check(batch->columns[c], err) != MR_OK)
            fail_msg("%s", err->message);
        if (!drive->info.schema->fields[c].nullable && !batch->selection)
            assert_int_equal(batch->columns[c]->nulls, 0);
    }
    enum mr_status status = mr_batch_compact(&drive->memory, batch, &dense, err);
    mr_batch_unref(batch);
    if (status != MR_OK)
        return status;
    if (drive->nbatches == drive->capacity) {
        drive->capacity = drive->capacity * 2 + 16;
        drive->batches = realloc(drive->batches, (size_t)drive->capacity * sizeof(*drive->batches));
    }
    drive->batches[drive->nbatches++] = dense;
    return MR_OK;
}

static enum mr_status fill(struct fixture *f, int port, const struct side *side, int from, int to,
                           void *task)
{
    struct collector collector = {.emit = {.batch = collect}, .drive = &f->drive};
    const struct mr_op *op = f->drive.op;
    for (int b = from; b < to; b++)
        MR_TRY(op->push(task, port, side->batches[b], &collector.emit, &f->drive.err));
    return op->finish(task, port, &collector.emit, &f->drive.err);
}

static enum mr_status build(struct fixture *f, const struct side *side, int ntasks, void **tasks)
{
    struct drive *drive = &f->drive;
    int pieces = 0;
    for (int t = 0; t < ntasks; t++) {
        MR_TRY(drive->op->open(drive->plan, &drive->runtime, &tasks[t], &drive->err));
        MR_TRY(fill(f, 1, side, side->nbatches * t / ntasks, side->nbatches * (t + 1) / ntasks,
                    tasks[t]));
    }
    for (int t = 1; t < ntasks; t++)
        MR_TRY(drive->op->combine(tasks[0], tasks[t], &drive->err));
    MR_TRY(drive->op->settle(tasks[0], &drive->runtime, -1, &pieces, &drive->err));
    for (int p = 0, n = pieces; p < n; p++)
        MR_TRY(drive->op->settle(tasks[0], &drive->runtime, n - 1 - p, &pieces, &drive->err));
    return MR_OK;
}

static enum mr_status probe(struct fixture *f, const struct side *side, int ntasks, void *built)
{
    struct drive *drive = &f->drive;
    if (drive->info.one_task)
        ntasks = 1;
    enum mr_status status = MR_OK;
    for (int t = 0; t < ntasks && status == MR_OK; t++) {
        void *task;
        MR_TRY(drive->op->open(drive->plan, &drive->runtime, &task, &drive->err));
        status = drive->op->attach(task, built, &drive->err);
        if (status == MR_OK)
            status = fill(f, 0, side, side->nbatches * t / ntasks,
                          side->nbatches * (t + 1) / ntasks, task);
        drive->op->close(task);
    }
    return status;
}

static enum mr_status run_join(struct fixture *f, int ntasks, int64_t share)
{
    struct drive *drive = &f->drive;
    void *tasks[8] = {0};
    drive_forget(drive);
    drive->runtime.share = share;
    enum mr_status status = build(f, f->swapped ? &f->left : &f->right, ntasks, tasks);
    if (status == MR_OK)
        status = probe(f, f->swapped ? &f->right : &f->left, ntasks, tasks[0]);
    for (int t = 0; t < ntasks; t++)
        if (tasks[t])
            drive->op->close(tasks[t]);
    if (status == MR_OK && drive->nbatches > 0)
        status = mr_batch_concat(&drive->memory, drive->batches, drive->nbatches, &drive->all,
                                 &drive->err);
    return status;
}

static void must_run(struct fixture *f, int ntasks, int64_t share)
{
    if (run_join(f, ntasks, share) != MR_OK)
        fail_msg("%s", f->drive.err.message);
}

/* ---- what it must be ---- */

enum kind { INNER, LEFT, RIGHT, FULL, SEMI, ANTI, KINDS };
static const char *const kinds[] = {"inner", "left", "right", "full", "left_semi", "left_anti"};

struct rule {
    int nkeys;
    int keys[3];
    bool null_safe;
    bool less;   /* AND l.id % 100 < r.rid % 100 */
    bool filter; /* AND l.id % 3 = 0 */
};

static bool equal_keys(const struct fixture *f, const struct rule *rule, int64_t l, int64_t r)
{
    for (int k = 0; k < rule->nkeys; k++) {
        const struct mr_column *a = f->left.all->columns[rule->keys[k] + 1];
        const struct mr_column *b = f->right.all->columns[rule->keys[k] + 1];
        if (!rule->null_safe && (mr_column_is_null(a, l) || mr_column_is_null(b, r)))
            return false;
        if (!mr_column_equal_rows(a, l, b, r))
            return false;
    }
    return (!rule->less || l % 100 < r % 100) && (!rule->filter || l % 3 == 0);
}

static int by_pair(const void *a_, const void *b_)
{
    const struct pair *a = a_, *b = b_;
    if (a->left != b->left)
        return a->left < b->left ? -1 : 1;
    return (a->right > b->right) - (a->right < b->right);
}

static struct pair *expected(const struct fixture *f, const struct rule *rule, enum kind kind,
                             int64_t *count)
{
    static struct pair pairs[TOTAL * TOTAL + 2 * TOTAL];
    static bool right_hit[TOTAL];
    int64_t n = 0;
    memset(right_hit, 0, sizeof right_hit);
    for (int64_t l = 0; l < f->left.all->rows; l++) {
        bool hit = false;
        for (int64_t r = 0; r < f->right.all->rows; r++) {
            if (!equal_keys(f, rule, l, r))
                continue;
            hit = right_hit[r] = true;
            if (kind <= FULL)
                pairs[n++] = (struct pair){l, r};
        }
        if ((!hit && (kind == LEFT || kind == FULL || kind == ANTI)) || (hit && kind == SEMI))
            pairs[n++] = (struct pair){l, NONE};
    }
    for (int64_t r = 0; (kind == RIGHT || kind == FULL) && r < f->right.all->rows; r++)
        if (!right_hit[r])
            pairs[n++] = (struct pair){NONE, r};
    qsort(pairs, (size_t)n, sizeof *pairs, by_pair);
    *count = n;
    return pairs;
}

static int64_t id_of(const struct mr_batch *all, const char *name, int64_t row)
{
    int c = mr_schema_find(all->schema, name);
    struct mr_value value = {.is_null = true};
    if (c >= 0)
        mr_column_get(all->columns[c], row, &value);
    return value.is_null ? NONE : value.u.i64;
}

/* Every column of the row is that of the rows it was made of, or NULL where there was none. */
static void check_row(const struct fixture *f, int64_t row, struct pair pair)
{
    const struct mr_batch *all = f->drive.all;
    for (int c = 0; c < all->schema->nfields; c++) {
        const char *name = all->schema->fields[c].name;
        int l = mr_schema_find(f->left.schema, name), r = mr_schema_find(f->right.schema, name);
        int64_t from = l >= 0 ? pair.left : pair.right;
        const struct mr_column *source =
            l >= 0 ? f->left.all->columns[l] : f->right.all->columns[r];
        bool same = from == NONE ? mr_column_is_null(all->columns[c], row)
                                 : mr_column_equal_rows(all->columns[c], row, source, from);
        if (!same)
            fail_msg("row %d (%d, %d): column %s", (int)row, (int)pair.left, (int)pair.right, name);
    }
}

static void check(const struct fixture *f, const struct rule *rule, enum kind kind)
{
    static struct pair got[TOTAL * TOTAL + 2 * TOTAL];
    int64_t count, n = f->drive.all ? f->drive.all->rows : 0;
    const struct pair *pairs = expected(f, rule, kind, &count);
    for (int64_t i = 0; i < n; i++) {
        got[i] = (struct pair){id_of(f->drive.all, "id", i), id_of(f->drive.all, "rid", i)};
        if (n < 5000 || i % 101 == 0)
            check_row(f, i, got[i]);
    }
    qsort(got, (size_t)n, sizeof *got, by_pair);
    if (n != count)
        fail_msg("%s: %d rows, expected %d", kinds[kind], (int)n, (int)count);
    for (int64_t i = 0; i < n; i++)
        if (by_pair(&got[i], &pairs[i]))
            fail_msg("%s: row %d is (%d, %d), expected (%d, %d)", kinds[kind], (int)i,
                     (int)got[i].left, (int)got[i].right, (int)pairs[i].left, (int)pairs[i].right);
}

static const char *condition_of(const struct rule *rule)
{
    static char text[512];
    int n = snprintf(text, sizeof text, "%s", rule->nkeys ? "" : "true");
    for (int k = 0; k < rule->nkeys; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%sl.c%d %s r.d%d", k ? " AND " : "",
                      rule->keys[k], rule->null_safe ? "<=>" : "=", rule->keys[k]);
    if (rule->less)
        n += snprintf(text + n, sizeof text - (size_t)n, " AND l.id %% 100 < r.rid %% 100");
    if (rule->filter)
        snprintf(text + n, sizeof text - (size_t)n, " AND l.id %% 3 = 0");
    return text;
}

static void must_bind(struct fixture *f, const struct rule *rule, enum kind kind)
{
    const char *const pairs[] = {"joinConditions", condition_of(rule), "joinType", kinds[kind],
                                 NULL};
    if (bind_join(f, pairs) != MR_OK)
        fail_msg("%s: %s", pairs[1], f->drive.err.message);
}

/* In memory; partitions written and spread again; everything in between. */
static const int64_t shares[] = {INT64_MAX / 4, 1, 1 << 20, 100000};

static bool is_key(const struct mr_type *type)
{
    return type->id != MR_TYPE_NULL && type->id != MR_TYPE_MAP && type->id != MR_TYPE_INTERVAL;
}

static void test_types(void **state)
{
    struct fixture *f = *state;
    for (int t = 0; t < sample_ntypes; t++) {
        const struct mr_type *type = f->left.schema->fields[t + 1].type;
        if (!is_key(type) || strstr(sample_types[t], "map") || strstr(sample_types[t], "interval"))
            continue;
        for (enum kind kind = INNER; kind < KINDS; kind++) {
            struct rule rule = {.nkeys = 1,
                                .keys = {t},
                                .null_safe = (t + (int)kind) % 4 == 3,
                                .less = type->id == MR_TYPE_BOOL || (t + (int)kind) % 3 == 1};
            must_bind(f, &rule, kind);
            must_run(f, 1 + (t + (int)kind) % 3, shares[(t + (int)kind) % 4]);
            check(f, &rule, kind);
            drive_forget(&f->drive);
        }
    }
}

/* Number of the sample type of this name. */
static int type_number(const char *name)
{
    for (int t = 0; t < sample_ntypes; t++)
        if (!strcmp(sample_types[t], name))
            return t;
    fail_msg("no sample type %s", name);
    return 0;
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    struct rule rules[] = {
        {.nkeys = 2, .keys = {type_number("int"), type_number("string")}},
        {.nkeys = 2, .keys = {type_number("string"), type_number("bigint")}, .null_safe = true},
        {.nkeys = 1, .keys = {type_number("bigint")}, .filter = true},
        {.nkeys = 1, .keys = {type_number("bigint")}, .less = true, .filter = true},
        {.less = true, .filter = true},
        {.nkeys = 0},
    };
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        for (enum kind kind = INNER; kind < KINDS; kind++) {
            must_bind(f, &rules[r], kind);
            for (int s = 0; s < (rules[r].nkeys ? 4 : 2); s++) {
                must_run(f, 1 + s % 3, shares[s]);
                check(f, &rules[r], kind);
                drive_forget(&f->drive);
            }
        }
    }
}

/* Batches with a selection, and one row at a time. */
static void test_selections(void **state)
{
    struct fixture *f = *state;
    struct rule rule = {.nkeys = 1, .keys = {type_number("bigint")}, .filter = true};
    struct mr_batch *whole[BATCHES];
    memcpy(whole, f->left.batches, sizeof whole);
    for (int b = 0; b < BATCHES; b++) { /* every other row, twice: together they are the batch */
        struct mr_buffer *rows;
        struct mr_selection *selection;
        int every = b % 2 ? 1 : 5, n = 0;
        assert_int_equal(mr_buffer_new(&f->drive.memory, ROWS * 4, &rows, &f->drive.err), MR_OK);
        for (int32_t i = 0; i < ROWS; i++)
            if (every == 5 ? i % every != 0 : i % 10 == 0)
                ((int32_t *)(void *)rows->data)[n++] = i;
        mr_buffer_finish(rows, (size_t)n * 4);
        assert_int_equal(mr_selection_new(rows, n, &selection, &f->drive.err), MR_OK);
        assert_int_equal(mr_batch_select(whole[b], selection, &f->left.batches[b], &f->drive.err),
                         MR_OK);
    }
    struct mr_batch *all = f->left.all;
    for (enum kind kind = INNER; kind < KINDS; kind++) {
        must_bind(f, &rule, kind);
        for (int s = 0; s < 4; s++) {
            must_run(f, 2, shares[s]);
            int64_t n = f->drive.all ? f->drive.all->rows : 0;
            for (int64_t i = 0; i < n; i++) {
                struct pair pair = {id_of(f->drive.all, "id", i), id_of(f->drive.all, "rid", i)};
                int64_t in = pair.left % ROWS, b = pair.left / ROWS;
                check_row(f, i, pair);
                assert_true(pair.left == NONE || (b % 2 ? in % 10 == 0 : in % 5 != 0));
                if (kind == INNER)
                    assert_true(equal_keys(f, &rule, pair.left, pair.right));
            }
        }
        drive_forget(&f->drive);
    }
    f->left.all = all;
    drive_free_data(f->left.batches, BATCHES);
    memcpy(f->left.batches, whole, sizeof whole);
}

/* No rows on one side or on both. */
static void test_empty(void **state)
{
    struct fixture *f = *state;
    struct rule rules[] = {{.nkeys = 1, .keys = {type_number("string")}}, {.less = true}};
    struct mr_batch *full_left = f->left.all, *full_right = f->right.all, *none;
    assert_int_equal(mr_batch_slice(&f->drive.memory, full_left, 0, 0, &none, &f->drive.err),
                     MR_OK);
    for (int which = 0; which < 6; which++) {
        f->left.nbatches = which % 3 == 1 ? BATCHES : 0;
        f->right.nbatches = which % 3 == 2 ? BATCHES : 0;
        f->left.all = f->left.nbatches ? full_left : none;
        f->right.all = f->right.nbatches ? full_right : none;
        for (enum kind kind = INNER; kind < KINDS; kind++) {
            must_bind(f, &rules[which / 3], kind);
            for (int s = 0; s < 2; s++) {
                must_run(f, 2, shares[s]);
                check(f, &rules[which / 3], kind);
            }
            drive_forget(&f->drive);
        }
    }
    mr_batch_unref(none);
    f->left.all = full_left;
    f->right.all = full_right;
    f->left.nbatches = f->right.nbatches = BATCHES;
}

static void test_spills(void **state)
{
    struct fixture *f = *state;
    struct rule rule = {.nkeys = 1, .keys = {type_number("bigint")}};
    must_bind(f, &rule, LEFT);
    must_run(f, 2, INT64_MAX / 4);
    assert_int_equal(atomic_load(&f->drive.counters.value[MR_COUNT_SPILL_BYTES]), 0);
    must_run(f, 2, 1);
    assert_true(atomic_load(&f->drive.counters.value[MR_COUNT_SPILL_BYTES]) > 0);
    check(f, &rule, LEFT);
    drive_forget(&f->drive);
}

/* ---- what is refused ---- */

static void refused(struct fixture *f, const char *const *pairs, const char *message,
                    const char *hint)
{
    assert_int_equal(bind_join(f, pairs), MR_CONFIG);
    if (!strstr(f->drive.err.message, message) || !strstr(f->drive.err.hint, hint))
        fail_msg("%s (%s)", f->drive.err.message, f->drive.err.hint);
}

#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_refused(void **state)
{
    struct fixture *f = *state;
    refused(f, WITH("joinConditions", "x.id = r.rid"), "there is no frame x here",
            "frames of this join: l, r");
    refused(f, WITH("joinConditions", "l.id = r.rid,l.id = r.rid"), "need 1 condition, there are 2",
            "");
    refused(f, WITH("joinConditions", "l.nothing = r.rid"), "the frame l has no column nothing",
            "");
    refused(f, WITH("joinConditions", "l.id = r.rid", "joinType", "sideways"),
            "\"sideways\" is no type of join", "left_semi");
    refused(f, WITH("joinConditions", "l.id = r.rid", "joinType", "left,inner"), "give one type",
            "");
    refused(f, WITH("joinColumn", "id"), "r: no column", "");
    refused(f, WITH("leftKeys", "id", "rightKeys", "rid,d1"), "do not pair up", "");
    refused(f, WITH("leftKeys", "id"), "go together", "");
    refused(f, WITH("joinType", "inner"), "says nothing of what joins", "cross");
    refused(f, WITH("joinType", "cross", "joinColumn", "id"), "a cross join has no keys", "");
    refused(f, WITH("joinColumn", "id", "joinConditions", "true"), "three ways", "");
    char keys[2][16];
    snprintf(keys[0], sizeof keys[0], "c%d", type_number("date"));
    snprintf(keys[1], sizeof keys[1], "d%d", type_number("bigint"));
    refused(f, WITH("leftKeys", keys[0], "rightKeys", keys[1]), "is date in l and", "castColumns");
    const struct mr_schema *right = f->right.schema;
    f->right.schema = f->left.schema;
    refused(f, WITH("joinConditions", "l.id = r.id"), "l and r both have a column id",
            "joinColumn");
    refused(f, WITH("joinConditions", "id = 3", "joinType", "semi"), "id is a column of both sides",
            "l.id or r.id");
    f->right.schema = right;
}

/* USING: the key is there once, in front, and never lost. */
static void test_using(void **state)
{
    struct fixture *f = *state;
    struct drive *drive = &f->drive;
    static const char *const wanted[] = {
        "2,20,200;2,20,201;3,30,300",
        "1,10,NULL;2,20,200;2,20,201;3,30,300;NULL,40,NULL",
        "2,20,200;2,20,201;3,30,300;5,NULL,500;NULL,NULL,600",
        "1,10,NULL;2,20,200;2,20,201;3,30,300;5,NULL,500;NULL,40,NULL;NULL,NULL,600",
        "2,20;3,30",
        "1,10;NULL,40",
    };
    struct side left = f->left, right = f->right;
    assert_int_equal(mr_schema_parse(&drive->arena, "a INT, k INT", &f->left.schema, &drive->err),
                     MR_OK);
    assert_int_equal(mr_schema_parse(&drive->arena, "k BIGINT, b INT", &f->right.schema,
                                     &drive->err),
                     MR_OK);
    f->left.nbatches = f->right.nbatches = 1;
    f->left.batches[0] = drive_rows(drive, f->left.schema, "10,1;20,2;30,3;40,NULL");
    f->right.batches[0] = drive_rows(drive, f->right.schema, "2,200;3,300;5,500;NULL,600;2,201");
    for (enum kind kind = INNER; kind < KINDS; kind++) {
        for (int s = 0; s < 2; s++) {
            struct mr_bytes text;
            assert_int_equal(bind_join(f, WITH("joinKey", "k", "joinType", kinds[kind])), MR_OK);
            assert_string_equal(drive->info.schema->fields[0].name, "k");
            must_run(f, 1, shares[s]);
            char *rows[16], copy[512];
            int n = 0;
            mr_bytes_init(&text, 1 << 20);
            drive_text(drive, &text);
            snprintf(copy, sizeof copy, "%.*s", (int)text.size, text.data);
            mr_bytes_reset(&text);
            for (char *row = strtok(copy, ";"); row; row = strtok(NULL, ";"))
                rows[n++] = row;
            int found = 0;
            char list[512];
            snprintf(list, sizeof list, ";%s;", wanted[kind]);
            for (int i = 0; i < n; i++) {
                char row[64];
                snprintf(row, sizeof row, ";%s;", rows[i]);
                found += strstr(list, row) != NULL;
            }
            int semicolons = 1;
            for (const char *at = wanted[kind]; *at; at++)
                semicolons += *at == ';';
            if (found != n || n != semicolons)
                fail_msg("%s: %d of %d rows are right, %d wanted", kinds[kind], found, n,
                         semicolons);
            drive_forget(drive);
        }
    }
    mr_batch_unref(f->left.batches[0]);
    mr_batch_unref(f->right.batches[0]);
    f->left = left;
    f->right = right;
}

/* Ranges and lists of the kept side, for the source of the other. */
static void test_narrows(void **state)
{
    struct fixture *f = *state;
    const struct mr_predicate *predicate;
    void *tasks[2] = {0};
    struct drive *drive = &f->drive;
    assert_int_equal(bind_join(f, WITH("leftKeys", "id", "rightKeys", "rid")), MR_OK);
    drive->runtime.share = INT64_MAX / 4;
    assert_int_equal(build(f, &f->right, 2, tasks), MR_OK);
    assert_int_equal(drive->op->narrows(tasks[0], &drive->arena, &predicate, &drive->err), MR_OK);
    assert_non_null(predicate);
    assert_int_equal(predicate->kind, MR_PREDICATE_IN);
    assert_int_equal(predicate->column, 0);
    assert_int_equal(predicate->nvalues, TOTAL);
    drive->op->close(tasks[0]);
    drive->op->close(tasks[1]);
    tasks[0] = tasks[1] = NULL;
    drive->runtime.share = 1;
    assert_int_equal(build(f, &f->right, 2, tasks), MR_OK);
    assert_int_equal(drive->op->narrows(tasks[0], &drive->arena, &predicate, &drive->err), MR_OK);
    assert_int_equal(predicate->kind, MR_PREDICATE_AND);
    assert_int_equal(predicate->nargs, 2);
    assert_int_equal(predicate->args[0]->values[0].u.i64, 0);
    assert_int_equal(predicate->args[1]->values[0].u.i64, TOTAL - 1);
    drive->op->close(tasks[0]);
    drive->op->close(tasks[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_using, setup, teardown),
        cmocka_unit_test_setup_teardown(test_narrows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
