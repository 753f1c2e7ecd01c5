/*
 * saved.c - a state for the tests of stateful operators: a list of the batches that were saved.
 */
#include "saved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static enum mr_status keep(struct mr_emit *emit, int port, struct mr_batch *batch,
                           struct mr_error *err)
{
    struct saved *saved = (struct saved *)(void *)emit;
    assert_int_equal(port, 0);
    for (int c = 0; c < batch->schema->nfields; c++) {
        assert_int_equal(batch->columns[c]->length, batch->rows);
        if (mr_column_check(batch->columns[c], err) != MR_OK)
            fail_msg("%s", err->message);
    }
    if (saved->count == saved->capacity) {
        saved->capacity = saved->capacity * 2 + 64;
        saved->batches = realloc(saved->batches, (size_t)saved->capacity * sizeof(*saved->batches));
        assert_non_null(saved->batches);
    }
    saved->batches[saved->count++] = batch;
    return MR_OK;
}

static void forget(struct saved *saved)
{
    drive_free_data(saved->batches, saved->count);
    saved->count = 0;
}

void saved_open(struct saved *saved, struct drive *drive, const struct mr_op *op)
{
    *saved = (struct saved){.emit = {.batch = keep},
                            .drive = drive,
                            .keeper = op->keeper,
                            .plan = drive->plan};
    assert_null(drive->runtime.kept);
    saved_reopen(saved);
}

void saved_save(struct saved *saved, bool everything)
{
    struct drive *drive = saved->drive;
    if (everything)
        forget(saved);
    if (saved->keeper->save(drive->runtime.kept, everything, &saved->emit, &drive->err) != MR_OK)
        fail_msg("%s", drive->err.message);
}

void saved_reopen(struct saved *saved)
{
    struct drive *drive = saved->drive;
    struct mr_runtime *runtime = &drive->runtime;
    void *kept;
    if (runtime->kept)
        saved->keeper->close(runtime->kept);
    runtime->kept = NULL;
    assert_int_equal(saved->keeper->open(saved->plan, runtime, runtime->share, &kept, &drive->err),
                     MR_OK);
    for (int i = 0; i < saved->count; i++)
        if (saved->keeper->restore(kept, saved->batches[i], &drive->err) != MR_OK)
            fail_msg("%s", drive->err.message);
    runtime->kept = kept;
}

void saved_close(struct saved *saved)
{
    saved->keeper->close(saved->drive->runtime.kept);
    saved->drive->runtime.kept = NULL;
    forget(saved);
    free(saved->batches);
}
