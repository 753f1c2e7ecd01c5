/*
 * partitions.c - columns whose values stand in the names of directories.
 *
 * All files must have the same ones in the same order, else a row's columns would depend on where
 * its file lies: an error that names two files. Files of one directory follow each other in the
 * listing and share their values.
 */
#include "connect/files/read.h"
#include "dataset/hive_read.h"

#define PARTITIONS_MOST 64

struct parts {
    int count;
    const char *names[PARTITIONS_MOST];
    const char *values[PARTITIONS_MOST];
};

/* What lies below the path that the user gave. */
static const char *below(const struct files_source *source, const char *path)
{
    const char *prefix = source->place.prefix;
    size_t size = strlen(prefix);
    if (size == 0)
        return path;
    if (strncmp(path, prefix, size) != 0)
        return path;
    return path[size] == '/' ? path + size + 1 : path + size;
}

static enum mr_status parse(const struct files_source *source, const char *path,
                            struct mr_arena *arena, struct parts *parts, struct mr_error *err)
{
    parts->count = 0;
    const char *at = below(source, path);
    for (const char *slash; (slash = strchr(at, '/')) != NULL; at = slash + 1) {
        const char *name, *value;
        MR_TRY(mr_hive_read_part((struct mr_slice){at, (size_t)(slash - at)}, arena, &name, &value,
                                 err));
        if (name == NULL)
            continue;
        if (parts->count == PARTITIONS_MOST)
            return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                                "%s: more than %d directories column=value", path, PARTITIONS_MOST);
        parts->names[parts->count] = name;
        parts->values[parts->count++] = value;
    }
    return MR_OK;
}

static bool same_names(const struct files_source *source, const struct parts *parts)
{
    bool same = parts->count == source->npartitions;
    for (int i = 0; same && i < parts->count; i++)
        same = strcmp(parts->names[i], source->partitions[i].name) == 0;
    return same;
}

static enum mr_status keep(const struct parts *parts, struct mr_arena *arena,
                           const char *const **out, struct mr_error *err)
{
    const char **values = mr_arena_calloc(arena, (size_t)parts->count + 1, sizeof(const char *));
    if (values == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < parts->count; i++)
        values[i] = parts->values[i];
    *out = values;
    return MR_OK;
}

static enum mr_status adopt_names(struct files_source *source, const struct parts *parts,
                                  const char *path, struct mr_error *err)
{
    source->npartitions = parts->count;
    source->partitions =
        mr_arena_calloc(source->arena, (size_t)parts->count + 1, sizeof *source->partitions);
    if (source->partitions == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < parts->count; i++) {
        for (int k = 0; k < i; k++)
            if (strcmp(parts->names[k], parts->names[i]) == 0)
                return mr_error_data(err, MR_SOURCE,
                                     "%s: two directories have a value of the column \"%s\"",
                                     files_name(source, source->arena, path), parts->names[i]);
        source->partitions[i].name = parts->names[i];
    }
    return MR_OK;
}

static bool same_directory(const char *a, const char *b)
{
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    size_t size_a = slash_a ? (size_t)(slash_a - a) : 0;
    size_t size_b = slash_b ? (size_t)(slash_b - b) : 0;
    return size_a == size_b && memcmp(a, b, size_a) == 0;
}

enum mr_status files_read_partitions(struct files_source *source, struct files_entry *entry,
                                     const struct files_entry *before, struct mr_error *err)
{
    struct parts parts;
    if (before != NULL && same_directory(before->path, entry->path)) {
        entry->values = before->values;
        return MR_OK;
    }
    MR_TRY(parse(source, entry->path, source->arena, &parts, err));
    if (before == NULL)
        MR_TRY(adopt_names(source, &parts, entry->path, err));
    if (same_names(source, &parts))
        return keep(&parts, source->arena, &entry->values, err);
    mr_error_data(err, MR_SOURCE,
                  "the directories of %s and %s do not have the same partition columns",
                  files_name(source, source->arena, source->entries[0].path),
                  files_name(source, source->arena, entry->path));
    mr_error_hint(err, "read them by two steps, with paths that leave the others out");
    return MR_SOURCE;
}

enum mr_status files_path_values(const struct files_source *source, const char *path,
                                 struct mr_arena *arena, const char *const **out,
                                 struct mr_error *err)
{
    struct parts parts;
    MR_TRY(parse(source, path, arena, &parts, err));
    if (!same_names(source, &parts))
        return mr_error_internal(err, "a split of files with other partition columns: %s", path);
    return keep(&parts, arena, out, err);
}

/* --- types --- */

static const struct mr_type *guess_type(const struct files_source *source, int partition)
{
    enum mr_hive_guess guess = MR_HIVE_GUESS_NULL;
    for (int i = 0; i < source->nentries && guess != MR_HIVE_GUESS_STRING; i++) {
        const char *const *values = source->entries[i].values;
        if (i == 0 || values != source->entries[i - 1].values)
            guess = mr_hive_widen(guess, mr_hive_guess(values[partition]));
    }
    return mr_hive_type(guess);
}

static enum mr_status check_values(const struct files_source *source, int partition,
                                   struct mr_error *err)
{
    const struct files_partition *column = &source->partitions[partition];
    char type[64];
    struct mr_value value;
    for (int i = 0; i < source->nentries; i++) {
        const struct files_entry *entry = &source->entries[i];
        if ((i > 0 && entry->values == source->entries[i - 1].values) ||
            files_partition_value(source, entry, partition, &value))
            continue;
        return mr_error_data(err, MR_SOURCE, "%s: the partition column \"%s\" is %s, not \"%s\"",
                             files_name(source, source->arena, entry->path), column->name,
                             mr_type_text(column->type, type, sizeof type),
                             entry->values[partition]);
    }
    return MR_OK;
}

enum mr_status files_type_partitions(struct files_source *source, struct mr_error *err)
{
    for (int i = 0; i < source->npartitions; i++) {
        struct files_partition *column = &source->partitions[i];
        int at = source->given ? mr_schema_find(source->given, column->name) : -1;
        column->type = at >= 0 ? source->given->fields[at].type : guess_type(source, i);
        MR_TRY(check_values(source, i, err));
    }
    return MR_OK;
}

bool files_partition_value(const struct files_source *source, const struct files_entry *entry,
                           int partition, struct mr_value *out)
{
    return mr_hive_value(entry->values[partition], source->partitions[partition].type, source->tz,
                         out);
}
