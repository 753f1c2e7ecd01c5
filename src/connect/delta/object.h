/*
 * object.h - the object that a path of an action means, which need not lie below the table.
 */
#ifndef MR_CONNECT_DELTA_OBJECT_H
#define MR_CONNECT_DELTA_OBJECT_H

#include "connect/delta/table.h"

struct delta_object {
    const struct mr_store *store;
    void *handle;
    const char *path;
    void *own; /* handle to close, or NULL */
    char *text;
};

/* `path` as in struct delta_file. Closed also after a failure is fine. */
enum mr_status delta_object_open(const struct delta_table *table, const char *path,
                                 struct delta_object *out, struct mr_error *err);
void delta_object_close(struct delta_object *object);

#endif
