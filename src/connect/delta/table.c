/*
 * table.c - a table as a place: its store, opened at the table's directory.
 */
#include "connect/delta/table.h"

enum mr_status delta_table_open(const struct mr_location *location,
                                const struct mr_options *options, struct mr_runtime *runtime,
                                struct delta_table *out, struct mr_error *err)
{
    *out = (struct delta_table){.store = location->store,
                                .url = location->url,
                                .text = location->text ? location->text : location->url,
                                .runtime = runtime,
                                .options = options};
    if (!location->store)
        return mr_error_internal(err, "the table's store is not known yet");
    return location->store->open(location->url, options, runtime, &out->handle, err);
}

void delta_table_close(struct delta_table *table)
{
    if (table->handle)
        table->store->close(table->handle);
    table->handle = NULL;
}

const char *delta_property(const struct delta_metadata *metadata, const char *name)
{
    for (int i = metadata->nconfiguration; i-- > 0;) {
        if (strcmp(metadata->configuration[i].name, name) == 0)
            return metadata->configuration[i].value;
    }
    return NULL;
}
