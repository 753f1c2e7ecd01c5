/*
 * increment.c - the option `incremental` of fromDeltaLake: what commits have added since the version that the last run ended with.
 *
 * The files of an increment are made a snapshot of their own: schema and protocol of the version that is read to, and as files those that
 * the commits added, in their order. So conditions, splits and readers know nothing of increments. Comparing the files of two versions
 * was refused: a compaction would make all its rows new, and a file that came and went between two runs would be lost.
 *
 * A commit that only moves rows (dataChange false) is left out. One that takes rows away (delete, update, merge, overwrite) is
 * no increment: it stops the run unless `changes` says what it counts as. A commit that the log has forgotten stops it always.
 *
 * Position: 01 | version | hash of its commit (u64, 0 = not known) | table id | CRC-32 (u32). A table that was created anew under the same
 * path has another id; a copy whose history went another way has another commit.
 */
#include "base/hash.h"
#include "connect/delta/private.h"
#include "connect/delta/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION     1
#define HASHED_MOST ((int64_t)1 << 20) /* of a commit */

/* --- where a run ended, as bytes --- */

enum mr_status delta_mark_write(const struct delta_mark *mark, struct mr_arena *arena,
                                struct mr_slice *out, struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1 << 20);
    mr_bytes_u8(&bytes, VERSION);
    mr_bytes_varint(&bytes, (uint64_t)mark->version);
    mr_bytes_u64le(&bytes, mark->commit);
    mr_bytes_lenpref_text(&bytes, mark->table);
    mr_bytes_seal(&bytes, 0);
    return mr_bytes_settle(&bytes, arena, out, err);
}

bool delta_mark_read(struct mr_slice bytes, struct mr_arena *arena, struct delta_mark *out)
{
    struct mr_byte_reader reader;
    *out = (struct delta_mark){.version = -1};
    if (!mr_byte_reader_unseal(&reader, bytes))
        return false;
    uint8_t form = mr_byte_reader_u8(&reader);
    uint64_t version = mr_byte_reader_varint(&reader);
    out->commit = mr_byte_reader_u64le(&reader);
    struct mr_slice table = mr_byte_reader_lenpref(&reader);
    if (form != VERSION || version > INT64_MAX || !mr_byte_reader_done(&reader))
        return false;
    out->version = (int64_t)version;
    out->table = mr_arena_strndup(arena, table.data, table.size);
    return out->table != NULL;
}

/* Of its size and its first megabyte; 0 when the log does not have it any more. */
static enum mr_status hash_commit(const struct delta_table *table, int64_t version, uint64_t *out,
                                  struct mr_error *err)
{
    char path[64];
    struct mr_store_entry entry;
    bool exists = false;
    *out = 0;
    snprintf(path, sizeof path, DELTA_LOG_DIRECTORY "%020" PRId64 ".json", version);
    MR_TRY(table->store->stat(table->handle, path, &entry, &exists, err));
    if (!exists)
        return MR_OK;
    size_t size = (size_t)(entry.size < HASHED_MOST ? entry.size : HASHED_MOST), got = 0;
    char *data = mr_alloc(size + 1);
    if (!data)
        return mr_error_nomem(err);
    enum mr_status status = table->store->read(table->handle, path, 0, data, size, &got, err);
    if (status == MR_OK)
        *out = mr_hash64_seed(data, got, (uint64_t)entry.size) | 1;
    mr_free(data);
    return status;
}

/* --- options --- */

enum mr_status delta_increment_check(struct delta_source *source, const struct mr_source_bind *bind,
                                     struct mr_error *err)
{
    const struct mr_options *options = bind->options;
    const struct mr_option_value *value = mr_options_get(options, "incremental");
    if (!value->set)
        return MR_OK;
    const char *both = mr_options_has(options, "version")     ? "version"
                       : mr_options_has(options, "timestamp") ? "timestamp"
                                                              : NULL;
    if (both)
        return mr_options_error(options, both, err,
                                "incremental reading ends at the latest version: leave out %s, or "
                                "`incremental`",
                                both);
    struct delta_increment *work = mr_arena_calloc(source->arena, 1, sizeof *work);
    if (!work)
        return mr_error_nomem(err);
    source->increment = work;
    work->changes =
        (enum delta_changes)mr_options_integer(value->u.object, "changes", DELTA_CHANGES_FAIL);
    work->from = DELTA_WHOLE;
    int64_t initial = mr_options_integer(value->u.object, "initial", -1);
    if (bind->since.size == 0 && bind->since_text && bind->since_text[0]) {
        const char *text = bind->since_text;
        char *end = NULL;
        long long version = strtoll(text, &end, 10);
        if (text[strspn(text, "0123456789")] != '\0' || strlen(text) > 18) {
            mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                         "the watermark \"%s\" is no version of a table (a number)", text);
            mr_error_hint(err, "set another with `millrace watermark set`, or run with --fresh");
            return MR_SOURCE;
        }
        work->from = version;
    } else if (bind->since.size == 0 && initial >= 0) {
        work->from = initial - 1;
    }
    return MR_OK;
}

/* --- the commits --- */

static enum mr_status remedy(struct mr_error *err, enum mr_status status)
{
    if (err)
        mr_error_hint(err, "run with --fresh to read the whole table again (into a target that was "
                           "emptied), or say with `millrace watermark set` which version was read");
    return status;
}

static enum mr_status changed(const struct delta_table *table, int64_t version, int64_t files,
                              bool recorded, struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s: version %" PRId64 " takes rows away or changes them (%" PRId64
                 " files removed%s): incremental reading is of rows that were added",
                 table->text, version, files,
                 recorded ? "; the table has change data files, which are not read" : "");
    if (err)
        mr_error_hint(err, "give `incremental: {changes: rewritten}` (rows of rewritten files come "
                           "again: for loads with keys) or {changes: skip} (the commit is left "
                           "out), or read everything with --fresh");
    return MR_SOURCE;
}

struct gathering {
    const struct delta_table *table;
    const struct delta_snapshot *to;
    enum delta_changes changes;
    struct mr_arena *arena;
    struct delta_file *files;
    int nfiles;
    int capacity;
    int nskipped; /* commits */
};

static bool has_value(const struct delta_pairs *values, const char *name)
{
    for (int i = 0; i < values->count; i++)
        if (strcmp(values->items[i].name, name) == 0)
            return true;
    return false;
}

/* A file of a table that was partitioned otherwise would get NULLs. */
static enum mr_status check_partitions(const struct gathering *gathering,
                                       const struct delta_entry *entry, int64_t version,
                                       struct mr_error *err)
{
    const struct delta_metadata *metadata = &gathering->to->metadata;
    bool same = entry->values.count == metadata->npartition_columns;
    for (int i = 0; same && i < metadata->npartition_columns; i++) {
        const char *name = metadata->partition_columns[i];
        int field = mr_schema_find(metadata->schema, name);
        same =
            has_value(&entry->values, field >= 0 ? metadata->physical->fields[field].name : name);
    }
    if (same)
        return MR_OK;
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s: the files of version %" PRId64
                 " are partitioned by other columns than the table is now",
                 gathering->table->text, version);
    return remedy(err, MR_SOURCE);
}

static enum mr_status add_file(struct gathering *gathering, struct delta_entry *entry,
                               int64_t version, struct mr_error *err)
{
    MR_TRY(check_partitions(gathering, entry, version, err));
    MR_TRY(delta_entry_resolve(entry, &gathering->to->metadata, gathering->arena, err));
    if (gathering->nfiles == gathering->capacity) {
        if (gathering->capacity > INT32_MAX / 4)
            return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "%s: too many files",
                                gathering->table->text);
        int capacity = gathering->capacity ? 2 * gathering->capacity : 64;
        struct delta_file *more = mr_arena_calloc(gathering->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (gathering->nfiles)
            memcpy(more, gathering->files, (size_t)gathering->nfiles * sizeof *more);
        gathering->files = more;
        gathering->capacity = capacity;
    }
    gathering->files[gathering->nfiles++] = entry->file;
    return MR_OK;
}

static enum mr_status take_commit(struct gathering *gathering, const struct delta_actions *actions,
                                  int64_t version, struct mr_error *err)
{
    int64_t removed = 0;
    if (actions->metadata && strcmp(actions->metadata->id, gathering->to->metadata.id) != 0) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s: version %" PRId64 " is of another table (id %s, now %s)",
                     gathering->table->text, version, actions->metadata->id,
                     gathering->to->metadata.id);
        return remedy(err, MR_SOURCE);
    }
    for (int i = 0; i < actions->nentries; i++) {
        const struct delta_file *file = &actions->entries[i].file;
        removed += file->removed && file->data_change;
    }
    bool changes = removed > 0 || actions->ncdc > 0;
    if (changes && gathering->changes == DELTA_CHANGES_FAIL)
        return changed(gathering->table, version, removed, actions->ncdc > 0, err);
    gathering->nskipped += changes && gathering->changes == DELTA_CHANGES_SKIP;
    if (changes && gathering->changes == DELTA_CHANGES_SKIP)
        return MR_OK;
    for (int i = 0; i < actions->nentries; i++) {
        const struct delta_file *file = &actions->entries[i].file;
        if (!file->removed && file->data_change)
            MR_TRY(add_file(gathering, &actions->entries[i], version, err));
    }
    return MR_OK;
}

static enum mr_status forgotten(const struct delta_table *table, int64_t version,
                                struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s: the log does not have the commit of version %" PRId64
                 " any more, which was not read yet: what it added is not known",
                 table->text, version);
    return remedy(err, MR_SOURCE);
}

static enum mr_status read_commit(struct gathering *gathering, const struct delta_log_file *file,
                                  struct mr_error *err)
{
    struct mr_arena text_arena;
    mr_arena_init(&text_arena, gathering->table->runtime->memory);
    struct mr_slice text;
    struct delta_actions actions;
    enum mr_status status =
        delta_load(gathering->table, file->path, file->size, &text_arena, &text, err);
    if (status == MR_OK)
        status = delta_actions_parse(gathering->table, file->path, text, file->version,
                                     gathering->arena, &actions, err);
    mr_arena_reset(&text_arena);
    return status == MR_OK ? take_commit(gathering, &actions, file->version, err) : status;
}

enum mr_status delta_increment_read(const struct delta_table *table,
                                    const struct delta_snapshot *to, int64_t from,
                                    enum delta_changes changes, struct mr_arena *arena,
                                    const struct delta_snapshot **out, int *nskipped,
                                    struct mr_error *err)
{
    struct gathering gathering = {.table = table, .to = to, .changes = changes, .arena = arena};
    struct delta_log log;
    MR_TRY(delta_log_list(table, from + 1, arena, &log, err));
    for (int64_t version = from + 1; version <= to->version; version++) {
        const struct delta_log_file *file = delta_log_commit(&log, version);
        if (!file)
            return forgotten(table, version, err);
        MR_TRY(read_commit(&gathering, file, err));
    }
    struct delta_snapshot *made = mr_arena_alloc(arena, sizeof *made);
    if (!made)
        return mr_error_nomem(err);
    *made = *to;
    made->files = gathering.files;
    made->nfiles = gathering.nfiles;
    *nskipped = gathering.nskipped;
    *out = made;
    return MR_OK;
}

/* --- bind --- */

static enum mr_status find_beginning(struct delta_source *source, struct mr_slice since,
                                     struct delta_mark *before, struct mr_error *err)
{
    const struct delta_snapshot *now = source->snapshot;
    *before = (struct delta_mark){.version = -1};
    if (since.size == 0)
        return MR_OK;
    if (!delta_mark_read(since, source->arena, before)) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s: where the last run ended is damaged, or of another version",
                     source->location.text);
        return remedy(err, MR_SOURCE);
    }
    if (strcmp(before->table, now->metadata.id) != 0) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s is another table than the last run read (id %s, now %s): it was created "
                     "anew",
                     source->location.text, before->table, now->metadata.id);
        return remedy(err, MR_SOURCE);
    }
    source->increment->from = before->version;
    return MR_OK;
}

static enum mr_status check_history(const struct delta_source *source,
                                    const struct delta_table *table,
                                    const struct delta_mark *before, struct mr_error *err)
{
    const struct delta_increment *work = source->increment;
    if (work->from > source->snapshot->version) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s is at version %" PRId64 ", but version %" PRId64
                     " was read before: it was restored from a copy",
                     source->location.text, source->snapshot->version, work->from);
        return remedy(err, MR_SOURCE);
    }
    uint64_t commit = 0;
    if (before->commit)
        MR_TRY(hash_commit(table, before->version, &commit, err));
    if (!commit || commit == before->commit)
        return MR_OK;
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s: version %" PRId64
                 " is another commit than the one that the last run read: the table was restored "
                 "from a copy",
                 source->location.text, before->version);
    return remedy(err, MR_SOURCE);
}

static const char *guarantee(const struct delta_increment *work)
{
    switch (work->changes) {
    case DELTA_CHANGES_SKIP:
        return "every row of a commit that only adds, exactly once: reads the commits since the "
               "last version; commits that take rows away or change them are left out whole";
    case DELTA_CHANGES_REWRITTEN:
        return "every row that was added, at least once: reads the commits since the last version; "
               "a commit that changes rows brings all rows of the files it rewrote again, and "
               "deletions are not seen";
    default:
        return "every row that was added, exactly once: reads the commits since the last version; "
               "one that takes rows away or changes them stops the run";
    }
}

static enum mr_status read_increment(struct delta_source *source, const struct mr_source_bind *bind,
                                     struct mr_error *err)
{
    struct delta_increment *work = source->increment;
    struct delta_mark before;
    struct delta_table table;
    MR_TRY(find_beginning(source, bind->since, &before, err));
    MR_TRY(delta_table_open(&source->location, bind->options, bind->runtime, &table, err));
    enum mr_status status = hash_commit(&table, source->snapshot->version, &work->commit, err);
    if (status == MR_OK && work->from != DELTA_WHOLE)
        status = check_history(source, &table, &before, err);
    if (status == MR_OK && work->from != DELTA_WHOLE)
        status = delta_increment_read(&table, source->snapshot, work->from, work->changes,
                                      source->arena, &source->snapshot, &work->nskipped, err);
    delta_table_close(&table);
    return status;
}

enum mr_status delta_increment_bind(struct delta_source *source, const struct mr_source_bind *bind,
                                    struct mr_source_info *info, struct mr_error *err)
{
    struct delta_increment *work = source->increment;
    if (!work)
        return MR_OK;
    info->guarantee = guarantee(work);
    info->repeats = work->changes == DELTA_CHANGES_REWRITTEN;
    MR_TRY(read_increment(source, bind, err));
    const char **notes = mr_arena_calloc(source->arena, 2, sizeof *notes);
    if (!notes)
        return mr_error_nomem(err);
    int64_t version = source->snapshot->version;
    if (work->from == DELTA_WHOLE)
        notes[0] =
            mr_arena_printf(source->arena,
                            "incremental: nothing was read before: the whole version %" PRId64,
                            version);
    else
        notes[0] =
            mr_arena_printf(source->arena,
                            "incremental: %" PRId64 " commit(s), from version %" PRId64 " on",
                            version - work->from, work->from + 1);
    if (work->nskipped)
        notes[1] = mr_arena_printf(source->arena,
                                   "incremental: %d of them take rows away or change them and are "
                                   "left out",
                                   work->nskipped);
    info->notes = notes;
    info->nnotes = work->nskipped ? 2 : 1;
    return notes[0] && (notes[1] || !work->nskipped) ? MR_OK : mr_error_nomem(err);
}

enum mr_status delta_increment_end(const struct delta_source *source, struct mr_arena *arena,
                                   struct mr_split_list *out, struct mr_error *err)
{
    const struct delta_increment *work = source->increment;
    if (!work)
        return MR_OK;
    struct delta_mark mark = {.version = source->snapshot->version,
                              .commit = work->commit,
                              .table = source->snapshot->metadata.id};
    MR_TRY(delta_mark_write(&mark, arena, &out->upto, err));
    out->upto_text = mr_arena_printf(arena, "%" PRId64, mark.version);
    return out->upto_text ? MR_OK : mr_error_nomem(err);
}
