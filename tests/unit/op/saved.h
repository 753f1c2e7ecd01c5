/*
 * saved.h - what an operator keeps from epoch to epoch: saved as a state would, and given back to another object.
 */
#ifndef TESTS_UNIT_OP_SAVED_H
#define TESTS_UNIT_OP_SAVED_H

#include "drive.h"

#include "ext/kept.h"

struct saved {
    struct mr_emit emit;
    struct drive *drive;
    const struct mr_keeper *keeper;
    void *plan; /* objects are opened with it; later epochs have plans of their own */
    struct mr_batch **batches; /* oldest first */
    int count, capacity;
};

/* Opens the first object (drive->runtime.kept) with the plan that was bound last. */
void saved_open(struct saved *saved, struct drive *drive, const struct mr_op *op);
/* What has changed, or everything, which replaces what was saved before. */
void saved_save(struct saved *saved, bool everything);
/* Another object in the place of the one that is there, with what was saved. */
void saved_reopen(struct saved *saved);
/* Closes the object and forgets what was saved. */
void saved_close(struct saved *saved);

#endif
