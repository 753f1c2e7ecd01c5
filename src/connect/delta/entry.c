/*
 * entry.c - the identity of a file in the log, and its partition values in the metadata's order.
 *
 * A data file is one logical file per deletion vector: (path, storage type + text [@ offset]).
 */
#include "base/hash.h"
#include "connect/delta/private.h"

uint64_t delta_file_hash(const struct delta_file *file)
{
    uint64_t hash = mr_hash64(file->path, strlen(file->path));
    const struct delta_vector *vector = file->vector;
    if (vector) {
        hash = mr_hash_combine(hash, (uint64_t)(unsigned char)vector->storage);
        hash = mr_hash_combine(hash, mr_hash64(vector->text, strlen(vector->text)));
        hash = mr_hash_combine(hash, (uint64_t)vector->offset);
    }
    return hash;
}

bool delta_file_same(const struct delta_file *a, const struct delta_file *b)
{
    if (strcmp(a->path, b->path) != 0)
        return false;
    if (!a->vector || !b->vector)
        return a->vector == b->vector;
    return a->vector->storage == b->vector->storage && a->vector->offset == b->vector->offset &&
           strcmp(a->vector->text, b->vector->text) == 0;
}

char *delta_file_address(struct mr_arena *arena, const struct delta_file *file)
{
    const struct delta_vector *vector = file->vector;
    if (!vector)
        return mr_arena_strdup(arena, file->raw_path);
    return mr_arena_printf(arena, "%s#%c%s@%lld", file->raw_path, vector->storage, vector->text,
                           (long long)vector->offset);
}

enum mr_status delta_entry_resolve(struct delta_entry *entry, const struct delta_metadata *metadata,
                                   struct mr_arena *arena, struct mr_error *err)
{
    int count = metadata->npartition_columns;
    if (count == 0)
        return MR_OK;
    const char **values = mr_arena_calloc(arena, (size_t)count, sizeof *values);
    if (!values)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        int field = mr_schema_find(metadata->schema, metadata->partition_columns[i]);
        const char *name =
            field >= 0 ? metadata->physical->fields[field].name : metadata->partition_columns[i];
        for (int p = 0; p < entry->values.count; p++) {
            const struct delta_pair *pair = &entry->values.items[p];
            /* the empty text is null, whatever the type */
            if (strcmp(pair->name, name) == 0)
                values[i] = pair->value && pair->value[0] ? pair->value : NULL;
        }
    }
    entry->file.partition_values = values;
    return MR_OK;
}
