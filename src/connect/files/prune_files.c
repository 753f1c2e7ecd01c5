/*
 * prune_files.c - what conditions say of whole files, and what is left of them inside of a file.
 *
 * Partition values are constants of a file, so a condition over them alone is decided for each file
 * and taken over exactly: no row is compared. Of other conditions the format gets what is over its
 * own columns, to skip parts by its statistics, and the filter stays.
 */
#include "connect/files/read.h"

#include "base/hash.h"

struct values {
    const struct files_source *source;
    const char *const *values;
    const int *from; /* of the predicate's columns */
};

static void known_value(void *context, int column, struct mr_part_column *out)
{
    const struct values *values = context;
    int partition = ~values->from[column];
    *out = (struct mr_part_column){.nulls = -1, .rows = -1};
    if (partition < 0)
        return;
    struct files_entry entry = {.values = values->values};
    struct mr_value value;
    if (!files_partition_value(values->source, &entry, partition, &value))
        return;
    out->rows = 1;
    out->nulls = value.is_null;
    out->has_minimum = out->has_maximum = !value.is_null;
    out->minimum = out->maximum = value;
    bool is_float = value.type->id == MR_TYPE_FLOAT32 || value.type->id == MR_TYPE_FLOAT64;
    if (is_float && !value.is_null && value.u.f64 != value.u.f64)
        out->has_minimum = out->has_maximum = false; /* NaN */
}

static enum mr_prune ask(const struct files_source *source, const struct mr_predicate *predicate,
                         const int *from, const char *const *values)
{
    struct values known = {source, values, from};
    struct mr_prune_part part = {known_value, &known, source->tz};
    return mr_prune(predicate, &part);
}

bool files_rules_out(const struct files_source *source, const struct mr_predicate *predicate,
                     const int *from, const char *const *values)
{
    return ask(source, predicate, from, values) == MR_PRUNE_NONE;
}

static bool is_list(const struct mr_predicate *predicate)
{
    return predicate->kind == MR_PREDICATE_AND || predicate->kind == MR_PREDICATE_OR ||
           predicate->kind == MR_PREDICATE_NOT;
}

/* Does the predicate use a column of the files (or, `partition`, of the directories)? */
static bool uses(const struct mr_predicate *predicate, const int *from, bool partition)
{
    if (!is_list(predicate))
        return (from[predicate->column] < 0) == partition;
    for (int i = 0; i < predicate->nargs; i++)
        if (uses(predicate->args[i], from, partition))
            return true;
    return false;
}

/* One condition against all files; false when some file is neither in nor out. */
static bool prune_by(struct files_source *source, const struct mr_predicate *predicate)
{
    bool decided = true;
    enum mr_prune answer = MR_PRUNE_SOME;
    for (int i = 0; i < source->nentries; i++) {
        struct files_entry *entry = &source->entries[i];
        if (i == 0 || entry->values != entry[-1].values)
            answer = ask(source, predicate, source->all_from, entry->values);
        entry->skipped = entry->skipped || answer == MR_PRUNE_NONE;
        decided = decided && answer != MR_PRUNE_SOME;
    }
    return decided;
}

void files_prune(struct files_source *source, struct mr_source_offer *offer)
{
    bool statistics = !files_is_text(source->format) && strcmp(source->format->name, "avro") != 0;
    for (int i = 0; i < source->nentries; i++)
        source->entries[i].skipped = source->entries[i].known;
    for (int i = 0; i < offer->npredicates; i++) {
        const struct mr_predicate *predicate = offer->predicates[i];
        bool of_files = uses(predicate, source->all_from, false);
        bool of_directories = uses(predicate, source->all_from, true);
        bool decided = of_directories && prune_by(source, predicate);
        offer->pushed[i] = decided && !of_files           ? MR_PUSH_EXACT
                           : of_directories || statistics ? MR_PUSH_PARTIAL
                                                          : MR_PUSH_REFUSED;
    }
}

/* --- the part of a condition that is over columns that are read --- */

/* Only what takes rows away may be left out, and only where nothing turns it round: an AND that is in no NOT. */
static enum mr_status translate(const struct mr_predicate *predicate, const int *map, bool whole,
                                struct mr_arena *arena, const struct mr_predicate **out,
                                struct mr_error *err)
{
    *out = NULL;
    if (!is_list(predicate) && map[predicate->column] < 0)
        return MR_OK;
    struct mr_predicate *copy = mr_arena_alloc(arena, sizeof *copy);
    const struct mr_predicate **args =
        mr_arena_calloc(arena, (size_t)predicate->nargs + 1, sizeof(struct mr_predicate *));
    if (copy == NULL || args == NULL)
        return mr_error_nomem(err);
    *copy = *predicate;
    copy->args = args;
    copy->nargs = 0;
    if (!is_list(predicate))
        copy->column = map[predicate->column];
    whole = whole || predicate->kind == MR_PREDICATE_NOT;
    for (int i = 0; i < predicate->nargs; i++) {
        MR_TRY(translate(predicate->args[i], map, whole, arena, &args[copy->nargs], err));
        if (args[copy->nargs] != NULL)
            copy->nargs++;
        else if (whole || predicate->kind != MR_PREDICATE_AND)
            return MR_OK;
    }
    if (!is_list(predicate) || copy->nargs > 0)
        *out = copy;
    return MR_OK;
}

enum mr_status files_file_predicate(const struct mr_predicate *predicate, const int *map,
                                    struct mr_arena *arena, const struct mr_predicate **out,
                                    struct mr_error *err)
{
    return translate(predicate, map, false, arena, out, err);
}

enum mr_status files_copy_predicate(const struct mr_predicate *predicate, struct mr_arena *arena,
                                    const struct mr_predicate **out, struct mr_error *err)
{
    struct mr_predicate *copy = mr_arena_alloc(arena, sizeof *copy);
    struct mr_value *values =
        mr_arena_calloc(arena, (size_t)predicate->nvalues + 1, sizeof *values);
    const struct mr_predicate **args =
        mr_arena_calloc(arena, (size_t)predicate->nargs + 1, sizeof(struct mr_predicate *));
    if (copy == NULL || values == NULL || args == NULL)
        return mr_error_nomem(err);
    *copy = *predicate;
    for (int i = 0; i < predicate->nvalues; i++) {
        if (!mr_value_copy(arena, &predicate->values[i], &values[i]))
            return mr_error_nomem(err);
        values[i].type = mr_type_copy(arena, predicate->values[i].type);
        if (values[i].type == NULL)
            return mr_error_nomem(err);
    }
    for (int i = 0; i < predicate->nargs; i++)
        MR_TRY(files_copy_predicate(predicate->args[i], arena, &args[i], err));
    copy->values = values;
    copy->args = args;
    *out = copy;
    return MR_OK;
}

uint64_t files_hash_predicate(const struct mr_predicate *predicate, uint64_t seed)
{
    if (predicate == NULL)
        return mr_hash_combine(seed, 1);
    uint64_t head = (uint64_t)predicate->kind | (uint64_t)predicate->compare << 8 |
                    (uint64_t)predicate->monotone << 16 | (uint64_t)predicate->nargs << 24 |
                    (uint64_t)predicate->nvalues << 44;
    uint64_t hash = mr_hash_combine(mr_hash_combine(seed, head), (uint64_t)predicate->column);
    for (int i = 0; i < predicate->nvalues; i++) {
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        mr_value_format(&predicate->values[i], &text);
        hash = mr_hash64_seed(text.data ? text.data : "", text.size, hash);
        mr_bytes_reset(&text);
    }
    for (int i = 0; i < predicate->nargs; i++)
        hash = files_hash_predicate(predicate->args[i], hash);
    return hash;
}
