/*
 * A driver of one operator: no threads; what several threads would do comes one after the other.
 */
#include "drive.h"

#include "../col/sample.h"
#include "base/hash.h"
#include "codec/codecs.h"
#include "col/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct mr_codec *const codecs[] = {&mr_codec_lz4, NULL};

void drive_init(struct drive *drive)
{
    memset(drive, 0, sizeof *drive);
    mr_arena_init(&drive->arena, NULL);
    mr_memory_init(&drive->memory, NULL, "test", INT64_MAX);
    snprintf(drive->directory, sizeof drive->directory, "/tmp/op-test-XXXXXX");
    assert_non_null(mkdtemp(drive->directory));
    assert_int_equal(mr_tz_new("UTC", &drive->tz, &drive->err), MR_OK);
    drive->registry.codecs = codecs;
    drive->runtime = (struct mr_runtime){.memory = &drive->memory,
                                         .counters = &drive->counters,
                                         .registry = &drive->registry,
                                         .temp_dir = drive->directory,
                                         .parallelism = 2,
                                         .share = INT64_MAX / 4};
}

void drive_forget(struct drive *drive)
{
    for (int i = 0; i < drive->nbatches; i++)
        mr_batch_unref(drive->batches[i]);
    mr_batch_unref(drive->all);
    drive->all = NULL;
    drive->nbatches = 0;
}

static void unbind(struct drive *drive)
{
    if (drive->op && drive->op->unbind && drive->plan)
        drive->op->unbind(drive->plan);
    drive->plan = NULL;
}

void drive_reset(struct drive *drive)
{
    drive_forget(drive);
    unbind(drive);
    free(drive->batches);
    free(drive->partitions);
    mr_tz_free(drive->tz);
    mr_arena_reset(&drive->arena);
    assert_int_equal(mr_memory_used(&drive->memory), 0);
    assert_int_equal(rmdir(drive->directory), 0);
}

enum mr_status drive_bind_options(struct drive *drive, const struct mr_op *op,
                                  const struct mr_schema *schema, int64_t rows,
                                  const struct mr_options *options)
{
    struct mr_op_input *input = mr_arena_calloc(&drive->arena, 1, sizeof *input);
    unbind(drive);
    drive->op = op;
    *input = (struct mr_op_input){.schema = schema,
                                  .rows = rows,
                                  .stream = drive->stream,
                                  .measured = drive->stream};
    struct mr_op_bind bind = {.options = options,
                              .runtime = &drive->runtime,
                              .arena = &drive->arena,
                              .inputs = input,
                              .ninputs = 1,
                              .ansi = !drive->legacy,
                              .output_mode = drive->output_mode,
                              .tz = drive->tz};
    drive->info = (struct mr_op_info){.rows = -1};
    MR_TRY(op->bind(&bind, &drive->plan, &drive->info, &drive->err));
    assert_true(drive->info.pulls >= 1);
    return MR_OK;
}

enum mr_status drive_bind(struct drive *drive, const struct mr_op *op,
                          const struct mr_schema *schema, int64_t rows, const char *const *pairs)
{
    const struct mr_options *options;
    MR_TRY(mr_options_from_texts(&drive->arena, op->options, pairs, &options, &drive->err));
    return drive_bind_options(drive, op, schema, rows, options);
}

/* ---- one run ---- */

struct collector {
    struct mr_emit emit;
    struct drive *drive;
    int partition; /* -1: not wanted */
};

static enum mr_status collect(struct mr_emit *emit, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct collector *collector = (struct collector *)(void *)emit;
    struct drive *drive = collector->drive;
    assert_int_equal(port, 0);
    assert_true(batch->rows > 0);
    assert_int_equal(batch->schema->nfields, drive->info.schema->nfields);
    for (int c = 0; c < batch->schema->nfields; c++) {
        assert_int_equal(batch->columns[c]->length, batch->rows);
        assert_true(mr_type_equal(batch->columns[c]->type, drive->info.schema->fields[c].type));
        if (mr_column_check(batch->columns[c], err) != MR_OK)
            fail_msg("%s", err->message);
    }
    if (collector->partition < 0) {
        emit->closed = true;
        mr_batch_unref(batch);
        return MR_OK;
    }
    if (drive->nbatches == drive->capacity) {
        drive->capacity = drive->capacity * 2 + 16;
        drive->batches = realloc(drive->batches, (size_t)drive->capacity * sizeof(*drive->batches));
        drive->partitions =
            realloc(drive->partitions, (size_t)drive->capacity * sizeof *drive->partitions);
    }
    drive->partitions[drive->nbatches] = collector->partition;
    drive->batches[drive->nbatches++] = batch;
    return MR_OK;
}

static enum mr_status fill(struct drive *drive, void *task, struct mr_batch *const *batches,
                           int count, struct mr_emit *emit)
{
    for (int i = 0; i < count; i++)
        MR_TRY(drive->op->push(task, 0, batches[i], emit, &drive->err));
    return drive->op->finish ? drive->op->finish(task, 0, emit, &drive->err) : MR_OK;
}

static enum mr_status settle_and_pull(struct drive *drive, void *built)
{
    int pieces = 0;
    if (drive->op->settle) {
        MR_TRY(drive->op->settle(built, &drive->runtime, -1, &pieces, &drive->err));
        for (int p = 0, n = pieces; p < n; p++)
            MR_TRY(drive->op->settle(built, &drive->runtime, p, &pieces, &drive->err));
    }
    for (int p = 0; p < drive->info.pulls; p++) {
        for (int again = drive->spare_pulls > p ? 1 : 0; again >= 0; again--) {
            struct collector collector = {.emit = {.batch = collect},
                                          .drive = drive,
                                          .partition = again ? -1 : p};
            MR_TRY(drive->op->pull(built, &drive->runtime, p, &collector.emit, &drive->err));
        }
    }
    if (drive->nbatches > 0)
        MR_TRY(mr_batch_concat(&drive->memory, drive->batches, drive->nbatches, &drive->all,
                               &drive->err));
    return MR_OK;
}

enum mr_status drive_run(struct drive *drive, struct mr_batch *const *batches, int nbatches,
                         int ntasks, int64_t share)
{
    struct collector collector = {.emit = {.batch = collect}, .drive = drive};
    void *tasks[16] = {0};
    enum mr_status status = MR_OK;
    drive_forget(drive);
    drive->runtime.share = share;
    for (int t = 0; status == MR_OK && t < ntasks; t++) {
        int from = nbatches * t / ntasks, to = nbatches * (t + 1) / ntasks;
        status = drive->op->open(drive->plan, &drive->runtime, &tasks[t], &drive->err);
        if (status == MR_OK)
            status = fill(drive, tasks[t], batches + from, to - from, &collector.emit);
    }
    for (int t = 1; status == MR_OK && t < ntasks; t++) {
        status = drive->op->combine(tasks[0], tasks[t], &drive->err);
        drive->op->close(tasks[t]);
        tasks[t] = NULL;
    }
    if (status == MR_OK)
        status = settle_and_pull(drive, tasks[0]);
    for (int t = 0; t < ntasks; t++)
        if (tasks[t])
            drive->op->close(tasks[t]);
    return status;
}

int64_t drive_int(const struct drive *drive, int column, int64_t row)
{
    struct mr_value value;
    mr_column_get(drive->all->columns[column], row, &value);
    return value.is_null ? INT64_MIN : value.u.i64;
}

/* ---- data ---- */

const struct mr_schema *drive_schema(struct drive *drive)
{
    struct mr_field fields[64] = {{.name = "id", .type = mr_type_of(MR_TYPE_INT64)}};
    for (int i = 0; i < sample_ntypes; i++) {
        fields[i + 1].name = mr_arena_printf(&drive->arena, "c%d", i);
        fields[i + 1].nullable = true;
        assert_int_equal(mr_type_parse(&drive->arena, sample_types[i], &fields[i + 1].type,
                                       &drive->err),
                         MR_OK);
    }
    return mr_schema_new(&drive->arena, fields, sample_ntypes + 1);
}

static struct mr_column *ids(struct drive *drive, int64_t from, int64_t rows)
{
    struct mr_builder builder;
    struct mr_column *column;
    assert_int_equal(mr_builder_init(&builder, &drive->memory, mr_type_of(MR_TYPE_INT64),
                                     &drive->err),
                     MR_OK);
    for (int64_t i = 0; i < rows; i++)
        assert_int_equal(mr_builder_int(&builder, from + i, &drive->err), MR_OK);
    assert_int_equal(mr_builder_finish(&builder, &column, &drive->err), MR_OK);
    mr_builder_reset(&builder);
    return column;
}

void drive_data(struct drive *drive, const struct mr_schema *schema, int nbatches, int64_t rows,
                int64_t distinct, struct mr_batch **out)
{
    for (int b = 0; b < nbatches; b++) {
        struct mr_column *columns[64] = {ids(drive, b * rows, rows)};
        for (int c = 1; c < schema->nfields; c++) {
            const struct mr_type *type = schema->fields[c].type;
            columns[c] =
                (b + c) % 3 == 1 && type->id != MR_TYPE_NULL
                    ? sample_dictionary(&drive->memory, type, rows, distinct < 9 ? distinct : 9, 6)
                    : sample_column(&drive->memory, type, rows, distinct, (b + c) % 3 ? 7 : 0);
        }
        assert_int_equal(mr_batch_new(schema, rows, columns, &out[b], &drive->err), MR_OK);
    }
}

void drive_free_data(struct mr_batch **batches, int nbatches)
{
    for (int b = 0; b < nbatches; b++)
        mr_batch_unref(batches[b]);
}

static void append_word(struct mr_builder *builder, const char *word, struct mr_error *err)
{
    enum mr_status status;
    if (!strcmp(word, "NULL"))
        status = mr_builder_null(builder, err);
    else if (builder->layout == MR_LAYOUT_BYTES)
        status = mr_builder_bytes(builder, word, strlen(word), err);
    else if (builder->layout == MR_LAYOUT_F64 || builder->layout == MR_LAYOUT_F32)
        status = mr_builder_double(builder, atof(word), err);
    else if (builder->type->id == MR_TYPE_DECIMAL)
        status = mr_builder_decimal(builder, atoll(word), err);
    else
        status = mr_builder_int(builder, atoll(word), err);
    assert_int_equal(status, MR_OK);
}

struct mr_batch *drive_rows(struct drive *drive, const struct mr_schema *schema, const char *rows)
{
    struct mr_builder builders[16];
    struct mr_column *columns[16];
    struct mr_batch *batch;
    int64_t count = 0;
    for (int c = 0; c < schema->nfields; c++)
        assert_int_equal(mr_builder_init(&builders[c], &drive->memory, schema->fields[c].type,
                                         &drive->err),
                         MR_OK);
    for (const char *at = rows; *at; count++) {
        for (int c = 0; c < schema->nfields; c++) {
            char word[128];
            size_t n = strcspn(at, ",;");
            assert_true(n < sizeof word);
            memcpy(word, at, n);
            word[n] = '\0';
            append_word(&builders[c], word, &drive->err);
            at += n;
            at += *at != '\0';
        }
    }
    for (int c = 0; c < schema->nfields; c++) {
        assert_int_equal(mr_builder_finish(&builders[c], &columns[c], &drive->err), MR_OK);
        mr_builder_reset(&builders[c]);
    }
    assert_int_equal(mr_batch_new(schema, count, columns, &batch, &drive->err), MR_OK);
    return batch;
}

void drive_text(const struct drive *drive, struct mr_bytes *out)
{
    for (int64_t i = 0; drive->all && i < drive->all->rows; i++) {
        for (int c = 0; c < drive->all->schema->nfields; c++) {
            struct mr_value value;
            mr_column_get(drive->all->columns[c], i, &value);
            if (c > 0)
                mr_bytes_char(out, ',');
            mr_value_format(&value, out);
        }
        if (i + 1 < drive->all->rows)
            mr_bytes_char(out, ';');
    }
}
